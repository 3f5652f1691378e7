"""Implements `dualgan export`: a finished run's student in other formats."""

import dataclasses
import errno
import os
import pathlib
import shutil
from collections.abc import Sequence

from dualgan_jax import errors
from dualgan_jax.cli import signals
from dualgan_jax.cli.arguments import ArgumentParser, positive_integer
from dualgan_jax.display import printable
from dualgan_jax.stdout import printing
from dualgan_jax.student import (
  export,
  generated_images,
  student,
  student_folder,
)
from dualgan_jax.student.export import ExportOptions
from dualgan_jax.student.student import Student

_FORMAT_LIST = ', '.join(export.FORMATS)
_DESCRIPTION = """Adds model.stablehlo (jax.export: CPU, GPU, TPU) and
model.onnx (extra export), also of 8 bits, to DIR/student, or to a copy of it,
and prints how far the answers of each file are from the student's."""


def main(argv: Sequence[str]) -> int:
  """Writes a student in other formats.

  Args:
    argv: the program's name and its arguments.

  Returns:
    The exit code.

  Raises:
    UserError: there is no student, or a format cannot be written.
  """
  signals.exit_on_signals(signals.STOPPED_EXPORT_MESSAGE)
  parser = ArgumentParser(argv[0], description=_DESCRIPTION)
  parser.add_argument(
    '--workdir', metavar='DIR', help='folder of a finished run'
  )
  parser.add_argument(
    '--format',
    default='',
    metavar='FORMAT,...',
    help=f'formats to write: {_FORMAT_LIST}',
  )
  parser.add_argument(
    '--output',
    metavar='FOLDER',
    help='new folder for a copy with the formats; DIR/student stays as it is',
  )
  parser.add_argument(
    '--batch',
    type=positive_integer,
    metavar='N',
    help='number of images that the models take; any number by default',
  )
  parser.add_argument(
    '--opset',
    type=positive_integer,
    default=export.DEFAULT_OPSET,
    metavar='N',
    help=f"version of ONNX's operators; {export.DEFAULT_OPSET} by default",
  )
  parser.add_argument(
    '--quantise',
    action='store_true',
    help=f'also write {student_folder.QUANTISED}, of 8 bits, calibrated on '
    'images of the generator',
  )
  arguments = parser.parse_args(argv[1:])
  if not arguments.workdir:
    raise errors.UserError('--workdir: missing; name the folder of a run.')
  # Each format is checked before any is written.
  format_names = [name for name in arguments.format.split(',') if name]
  if not format_names and not arguments.quantise:
    raise errors.UserError(f'--format: missing; name some of {_FORMAT_LIST}.')
  for format_name in format_names:
    if format_name not in export.FORMATS:
      raise errors.UserError(
        f'--format: {format_name!r} is none of {_FORMAT_LIST}.'
      )
  writer = _Writer(
    format_names,
    ExportOptions(arguments.batch, arguments.opset),
    pathlib.Path(os.path.expanduser(arguments.workdir)),
    quantise=arguments.quantise,
  )
  _export_student(writer, arguments.output)
  return 0


@dataclasses.dataclass(frozen=True)
class _Writer:
  """Writes what the flags name into a folder.

  Attributes:
    format_names: some of `export.FORMATS`.
    options: of all formats.
    workdir: folder of the run.
    quantise: whether to write a model of 8 bits, too.
  """

  format_names: Sequence[str]
  options: ExportOptions
  workdir: pathlib.Path
  quantise: bool

  def write(
    self,
    loaded_student: Student,
    folder: pathlib.Path,
    final_folder: pathlib.Path,
  ) -> None:
    """Adds all formats to a folder, and prints how exact each file is.

    Args:
      loaded_student: the student to write.
      folder: where to write.
      final_folder: name that the folder will have in the end, for messages.
    """
    try:
      for format_name in self.format_names:
        largest_difference = export.write(
          loaded_student, folder, format_name, self.options
        )
        _print_line(
          final_folder / f'model.{format_name}',
          f'within {largest_difference:.1e} of the student',
        )
      if self.quantise:
        agreement = self._write_quantised(loaded_student, folder)
        _print_line(final_folder / student_folder.QUANTISED, agreement)
    except OSError as error:
      raise errors.UserError(
        f'{final_folder}: cannot be written to ({error.strerror}); name a new '
        'folder by --output.'
      ) from error

  def _write_quantised(
    self, loaded_student: Student, folder: pathlib.Path
  ) -> str:
    """Writes the model of 8 bits, and describes how exact it is."""
    generated = generated_images.read(
      self.workdir / 'evaluate' / generated_images.NAME,
      loaded_student.image_shape,
      len(loaded_student.labels),
    )
    export.check_onnx(self.options.opset)
    # Imported here, since the extra may be missing.
    from dualgan_jax.student import quantisation

    agreement = quantisation.write(
      loaded_student,
      folder,
      generated,
      self.options.opset,
      self.options.batch_size,
    )
    return (
      f'agrees with the student on {agreement.with_student:.1%} of '
      f'{agreement.num_images} generated images; with the teachers on '
      f'{agreement.quantised_with_teachers:.1%}, the student on '
      f'{agreement.student_with_teachers:.1%}'
    )


def _print_line(path: pathlib.Path, description: str) -> None:
  with printing():
    print(f'{printable(path)}: {description}')


def _export_student(writer: _Writer, output_path: str | None) -> None:
  """Adds formats to a run's student, or to a copy of it in a new folder."""
  student_path = writer.workdir / 'student'
  if not os.path.isdir(student_path):
    raise errors.UserError(
      f'--workdir: there is no {student_path}; name the folder of a finished '
      'run.'
    )
  loaded_student = student.load(student_path)
  if output_path == '':
    raise errors.UserError('--output: empty; name a folder, or leave it out.')
  if output_path is None:
    writer.write(loaded_student, student_path, student_path)
    return

  # The copy gets its name last, so that an interrupted one is not taken for
  # a whole student.
  output_folder = pathlib.Path(os.path.expanduser(output_path))
  partial_folder = output_folder.with_name(f'{output_folder.name}.part')
  try:
    if os.path.lexists(output_folder):
      raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    student_folder.copy(student_path, partial_folder)
  except OSError as error:
    raise errors.UserError(
      f'--output: {output_folder} cannot be made '
      f'({error.strerror or error}); name a new folder.'
    ) from error
  try:
    writer.write(loaded_student, partial_folder, output_folder)
    partial_folder.rename(output_folder)
  except BaseException:
    shutil.rmtree(partial_folder, ignore_errors=True)
    raise
