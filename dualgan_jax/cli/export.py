"""`dualgan export`: a finished run's student in other formats."""

import errno
import os
import pathlib
import shutil
from collections.abc import Sequence

from dualgan_jax import errors
from dualgan_jax.cli import signals
from dualgan_jax.cli.arguments import ArgumentParser
from dualgan_jax.display import printable
from dualgan_jax.student import export, student, student_folder
from dualgan_jax.student.student import Student

_DESCRIPTION = """Adds model.stablehlo (jax.export: CPU, GPU, TPU) and
model.onnx (extra export) to DIR/student, or to a copy of it, and prints how far
each is from the student."""


def main(argv: Sequence[str]) -> int:
  """Writes a student in other formats.

  Args:
    argv: the program's name and its arguments.

  Returns:
    The exit code.

  Raises:
    UserError: there is no student, or a format cannot be written.
  """
  signals.exit_on_signals(signals.STOPPED_EXPORT)
  parser = ArgumentParser(argv[0], description=_DESCRIPTION)
  parser.add_argument(
    '--workdir', metavar='DIR', help="a finished run's folder"
  )
  parser.add_argument(
    '--format', default='', help=f'of {", ".join(export.FORMATS)}, by commas'
  )
  parser.add_argument(
    '--output', metavar='FOLDER', help='a new folder, not DIR/student'
  )
  arguments = parser.parse_args(argv[1:])
  if not arguments.workdir:
    raise errors.UserError('--workdir: missing; name the folder of a run.')
  forms = [form for form in arguments.format.split(',') if form]
  if not forms:
    raise errors.UserError(
      f'--format: missing; name some of {", ".join(export.FORMATS)}.'
    )
  for form in forms:
    if form not in export.FORMATS:
      raise errors.UserError(
        f'--format: {form!r} is none of {", ".join(export.FORMATS)}.'
      )
  _export(arguments.workdir, forms, arguments.output)
  return 0


def _export(
  workdir: str, forms: Sequence[str], output_path: str | None
) -> None:
  folder = pathlib.Path(os.path.expanduser(workdir)) / 'student'
  if not os.path.isdir(folder):
    raise errors.UserError(
      f'--workdir: there is no {folder}; name the folder of a finished run.'
    )
  loaded = student.load(folder)
  if output_path == '':
    raise errors.UserError('--output: empty; name a folder, or leave it out.')
  if output_path is None:
    _add(loaded, folder, folder, forms)
    return
  output = pathlib.Path(os.path.expanduser(output_path))
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
    _add(loaded, part, output, forms)
    part.rename(output)
  except BaseException:
    shutil.rmtree(part, ignore_errors=True)
    raise


def _add(
  loaded: Student,
  folder: pathlib.Path,
  final: pathlib.Path,
  forms: Sequence[str],
) -> None:
  """Adds formats to a folder that will have the name `final`."""
  for form in forms:
    try:
      apart = export.write(loaded, folder, form)
    except OSError as e:
      raise errors.UserError(
        f'{final}: cannot be written to ({e.strerror}); name a new folder by '
        '--output.'
      ) from e
    path = printable(final / f'model.{form}')
    print(f'{path}: within {apart:.1e} of the student')
