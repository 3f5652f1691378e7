"""Writes a finished run's student in other formats.

    python -m experiments.export --workdir=DIR --format=stablehlo,onnx \\
        [--output=FOLDER]

Every finished run leaves DIR/student, a config.json and a model.safetensors.
This adds model.stablehlo (`jax.export`: CPU, GPU, TPU) and model.onnx (extra
`export`) there, or to a copy of it, and prints how far each is from the
student.
"""

import os
import pathlib
import shutil
import sys
from collections.abc import Sequence

from absl import app, flags, logging

from dualgan_jax import errors, export, student

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
  print(f'error: {sentence}', file=sys.stderr)
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
  if not folder.is_dir():
    raise errors.UserError(
      f'--workdir: there is no {folder}; name the folder of a finished run.'
    )
  own = student.load(folder)
  if not _OUTPUT.value:
    _add(own, folder)
    return
  output = pathlib.Path(os.path.expanduser(_OUTPUT.value))
  try:
    shutil.copytree(folder, output)
  except OSError as e:
    raise errors.UserError(
      f'--output: {output} cannot be made ({e.strerror or e}); name a new '
      'folder.'
    ) from e
  try:
    _add(own, output)
  except errors.UserError:
    shutil.rmtree(output)  # so that the same command can be given again
    raise


def _add(own, folder):
  for form in _FORMAT.value:
    try:
      apart = export.write(own, folder, form)
    except OSError as e:
      raise errors.UserError(
        f'{folder}: cannot be written to ({e.strerror}); name a new folder by '
        '--output.'
      ) from e
    print(f'{folder}/model.{form}: within {apart:.1e} of the student')


if __name__ == '__main__':
  app.run(main, flags_parser=_parse)
