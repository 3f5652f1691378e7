"""Tries what only the last stage uses, before the first one trains."""

import contextlib
import pathlib
import tempfile
from collections.abc import Iterator, Sequence

import jax.numpy as jnp
import numpy as np

from dualgan_jax.errors import UserError, first_line
from dualgan_jax.reporting import plots
from dualgan_jax.student import student, student_folder
from dualgan_jax.training import console

_IMAGE = (2, 2, 1)


def check_last_stage(workdir: pathlib.Path, labels: Sequence[str]) -> None:
  """Draws a picture and writes a program, as stage `evaluate` will.

  What is missing or broken on this machine is found within a second, and not
  after hours of training.

  Args:
    workdir: the run's folder; what is tried there is removed again.
    labels: the student's.

  Raises:
    UserError: stage `evaluate` would fail here.
  """
  for name in ('student', 'branched'):
    student_folder.check_replaceable(workdir / name)
  # A hidden folder of its own: nothing of the user's can be in it.
  with tempfile.TemporaryDirectory(prefix='.rehearsal-', dir=workdir) as place:
    folder = pathlib.Path(place)
    with _blamed('the metrics cannot be computed'):
      from dualgan_jax.reporting import metrics  # noqa: F401
    with _blamed('pictures cannot be drawn'):
      image, scores = np.zeros((1, *_IMAGE)), np.zeros((1, len(labels)))
      plots.draw_samples(folder / 'samples.png', labels, image, scores)
      if letters := plots.missing_letters(labels):
        console.say(
          f'evaluate: pictures have a box in place of each {letters}; install '
          'a font that has them as font.sans-serif of matplotlib'
        )
    with _blamed('the student cannot be written'):
      _write_program(folder / 'branched', labels)


def _write_program(folder: pathlib.Path, labels: Sequence[str]) -> None:
  def apply(variables, images):
    return jnp.broadcast_to(variables, (len(images), len(labels)))

  student.write_program(
    folder,
    apply,
    np.zeros(()),
    labels=tuple(labels),
    image_shape=_IMAGE,
    net={'single_label': False},
    origin={},
  )


@contextlib.contextmanager
def _blamed(failure: str) -> Iterator[None]:
  """Makes one sentence of whatever a library raises."""
  try:
    yield
  except OSError:
    raise  # says itself which file it is about
  except Exception as e:
    raise UserError(
      f'evaluate: {failure} on this machine ({type(e).__name__}: '
      f'{first_line(e)}); install dualgan_jax again, with all that it needs.'
    ) from e
