"""Writes a finished run's student in other formats.

    python -m experiments.export --workdir=DIR --format=stablehlo,onnx \\
        [--output=FOLDER]

Every finished run leaves DIR/student, a config.json and a model.safetensors.
This adds model.stablehlo (`jax.export`: CPU, GPU, TPU) and model.onnx (extra
`export`) there, or to a copy of it, and prints how far each is from the
student.
"""

from dualgan_jax.cli import signals

if __name__ == '__main__':
  # First of all: importing the rest takes a second.
  signals.exit_on_signals('stopped; the same command starts again')

import errno
import os
import pathlib
import shutil
import sys
from collections.abc import Sequence

from absl import app, flags, logging

from dualgan_jax import errors
from dualgan_jax.display import printable
from dualgan_jax.student import export, student, student_folder

_WORKDIR = flags.DEFINE_string('workdir', None, "The run's folder.")
_FORMAT = flags.DEFINE_list(
  'format', [], f'Of {", ".join(export.FORMATS)}, besides safetensors.'
)
_OUTPUT = flags.DEFINE_string('output', None, 'A new folder, not DIR/student.')


def main(argv: Sequence[str]) -> None:
  """Writes, checks, prints."""
  logging.set_verbosity(logging.WARNING)
  try:
    _write(argv)
  except errors.UserError as e:
    _leave(e)


def _parse(argv):
  try:
    return flags.FLAGS(argv)
  except flags.Error as e:
    _leave(f'{e}; see --help.')


def _leave(sentence):
  print(f'error: {printable(sentence)}', file=sys.stderr)
  sys.exit(errors.UserError.exit_code)


def _write(argv):
  if argv[1:]:
    raise errors.UserError(f'{argv[1]}: not a flag.')
  if not _WORKDIR.value:
    raise errors.UserError('--workdir: missing; name the folder of a run.')
  if not _FORMAT.value:
    raise errors.UserError(
      f'--format: missing; name some of {", ".join(export.FORMATS)}.'
    )
  for form in _FORMAT.value:
    if form not in export.FORMATS:
      raise errors.UserError(
        f'--format: {form!r} is none of {", ".join(export.FORMATS)}.'
      )
  folder = pathlib.Path(os.path.expanduser(_WORKDIR.value)) / 'student'
  if not os.path.isdir(folder):
    raise errors.UserError(
      f'--workdir: there is no {folder}; name the folder of a finished run.'
    )
  own = student.load(folder)
  if _OUTPUT.value == '':
    raise errors.UserError('--output: empty; name a folder, or leave it out.')
  if _OUTPUT.value is None:
    _add(own, folder, folder)
    return
  output = pathlib.Path(os.path.expanduser(_OUTPUT.value))
  part = output.with_name(f'{output.name}.part')
  try:
    if os.path.lexists(output):
      raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    student_folder.copy(folder, part)
  except OSError as e:
    raise errors.UserError(
      f'--output: {output} cannot be made ({e.strerror or e}); name a new '
      'folder.'
    ) from e
  try:
    _add(own, part, output)
    part.rename(output)
  except BaseException:
    shutil.rmtree(part, ignore_errors=True)
    raise


def _add(own, folder, final):
  """Adds all formats to a folder that will have the name `final`."""
  for form in _FORMAT.value:
    try:
      apart = export.write(own, folder, form)
    except OSError as e:
      raise errors.UserError(
        f'{final}: cannot be written to ({e.strerror}); name a new folder by '
        '--output.'
      ) from e
    path = printable(final / f'model.{form}')
    print(f'{path}: within {apart:.1e} of the student')


if __name__ == '__main__':
  app.run(main, flags_parser=_parse)
