"""`dualgan predict`: a trained student's answers to images."""

import argparse
import json
import pathlib
import sys
from collections.abc import Iterator, Sequence

import numpy as np

from dualgan_jax.cli.arguments import ArgumentParser
from dualgan_jax.data import pictures
from dualgan_jax.display import align, printable
from dualgan_jax.errors import UserError
from dualgan_jax.stdout import printing
from dualgan_jax.student.student import Student, load

_TOP = 3
_EXIT_CODES = """Exit codes: 0 done, 1 some images could not be read, 2 nothing
could be done, 75 ended by SIGTERM, 130 by Ctrl-C."""


def main(argv: Sequence[str]) -> int:
  """Prints a student's answers to images.

  Args:
    argv: the program's name and its arguments.

  Returns:
    The exit code.

  Raises:
    UserError: the folder is no student's, or no image can be read.
  """
  parser = ArgumentParser(
    argv[0], description='Answers images with a student.', epilog=_EXIT_CODES
  )
  parser.add_argument(
    'folder', metavar='FOLDER', help="a run's folder student or branched"
  )
  parser.add_argument(
    'images', metavar='IMAGE|DIR', nargs='+', help='files, or folders of them'
  )
  parser.add_argument(
    '--json',
    action='store_true',
    help='all labels, one line of JSON per image',
  )
  parser.add_argument(
    '--top', type=_positive, default=_TOP, metavar='N', help='labels per row'
  )
  arguments = parser.parse_args(argv[1:])
  student = load(arguments.folder)
  with printing():
    return _predict(student, arguments)


def _positive(text: str) -> int:
  if not text.isdecimal() or int(text) < 1:
    raise argparse.ArgumentTypeError(f'{text}, but it must be 1 or more')
  return int(text)


def _predict(student: Student, told: argparse.Namespace) -> int:
  (height, width, channels), bad = student.image, 0
  read, images = [], []
  for path in _files(told.images):
    try:
      images.append(pictures.read(path, channels, (height, width)))
      read.append(str(path))
    except pictures.UNREADABLE as e:
      sentence = printable(f'{path}: skipped, no image ({e})')
      print(sentence, file=sys.stderr)
      bad += 1
  if not read:
    raise UserError('no image could be read; name files or folders of images.')
  answers = student.predict(np.stack(images))
  top = min(told.top, len(student.labels))
  rows = [['image', *['label', 'probability'] * top]]
  rows.append(['---', *['---', '---:'] * top])
  for name, own in zip(read, answers.tolist(), strict=True):
    pairs = sorted(zip(student.labels, own, strict=True), key=lambda x: -x[1])
    if told.json:
      # In ASCII, so that no terminal obeys what it holds.
      print(json.dumps({'image': name, 'probabilities': dict(pairs)}))
    else:
      cells = [
        text for k, p in pairs[:top] for text in (printable(k), f'{p:.4f}')
      ]
      rows.append([printable(name), *cells])
  if not told.json:
    print(align(rows))
  return 1 if bad else 0


def _files(named: Sequence[str]) -> Iterator[pathlib.Path]:
  """The files named, and those of the folders named."""
  for path in map(pathlib.Path, named):
    try:
      yield from sorted(x for x in path.iterdir() if x.is_file())
    except OSError:  # no folder, or none that may be read: reading it says why
      yield path
