"""Tries the libraries that only the last stage uses, before any training."""

import contextlib
import pathlib
import tempfile
from collections.abc import Iterator, Sequence

import jax.numpy as jnp
import numpy as np

from dualgan_jax.errors import UserError, first_line
from dualgan_jax.reporting import plots, report
from dualgan_jax.student import student, student_folder
from dualgan_jax.training import console

_IMAGE_SHAPE = (2, 2, 1)


def check_last_stage(workdir: pathlib.Path, labels: Sequence[str]) -> None:
  """Draws a picture and writes a program, as stage `evaluate` will.

  A missing font or a broken library is found within a second, and not after
  hours of training.

  Args:
    workdir: the run's folder; all that is written there is removed again.
    labels: the student's labels.

  Raises:
    UserError: stage `evaluate` would fail here.
  """
  # Files that a user has added to them are never deleted.
  for name in ('student', 'branched'):
    student_folder.check_replaceable(workdir / name)
  # A new, hidden folder: no file of the user can be in it.
  with tempfile.TemporaryDirectory(prefix='.rehearsal-', dir=workdir) as path:
    folder = pathlib.Path(path)
    with explain_failure('the metrics cannot be computed'):
      # It imports scikit-learn, which may be broken on this machine.
      from dualgan_jax.reporting import metrics  # noqa: F401
    with explain_failure('pictures cannot be drawn'):
      images, logits = np.zeros((1, *_IMAGE_SHAPE)), np.zeros((1, len(labels)))
      plots.draw_samples(folder / 'samples.png', labels, images, logits)
      if letters := plots.missing_letters(labels):
        console.say(
          f'evaluate: pictures have a box in place of each {letters}; install '
          'a font that has them as font.sans-serif of matplotlib'
        )
    with explain_failure('the report cannot be written'):
      report.load_templates()
    with explain_failure('the student cannot be written'):
      _write_program(folder / 'branched', labels)


def _write_program(folder: pathlib.Path, labels: Sequence[str]) -> None:
  """Exports the smallest program, as a branched TargetNet is exported."""

  def apply(variables, images):
    return jnp.broadcast_to(variables, (len(images), len(labels)))

  student.write_program(
    folder,
    apply,
    np.zeros(()),
    labels=tuple(labels),
    image_shape=_IMAGE_SHAPE,
    net={'single_label': False},
    origin={},
  )


@contextlib.contextmanager
def explain_failure(failure: str) -> Iterator[None]:
  """Turns any error of a library into one sentence.

  Args:
    failure: what cannot be done, as the beginning of the sentence.

  Raises:
    UserError: a library raised an error.
  """
  try:
    yield
  # Its message names the file.
  except OSError:
    raise
  except Exception as error:
    raise UserError(
      f'evaluate: {failure} on this machine ({type(error).__name__}: '
      f'{first_line(error)}); install dualgan_jax again, with all that it '
      'needs.'
    ) from error
