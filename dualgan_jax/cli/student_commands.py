"""The command `dualgan`: uses a trained student from the command line.

    dualgan info FOLDER
    dualgan predict FOLDER IMAGE|DIR ... [--json] [--top=N]

Exit codes: 0 done, 1 some images could not be read, 2 nothing could be done,
75 ended by SIGTERM, 130 by Ctrl-C.
"""

import argparse
import contextlib
import json
import os
import pathlib
import sys
from collections.abc import Iterator, Sequence

import numpy as np

from dualgan_jax.data import pictures
from dualgan_jax.display import align, printable
from dualgan_jax.errors import UserError
from dualgan_jax.student.student import Student, load

_TOP = 3


def main(argv: Sequence[str] | None = None) -> int:
  """Does what the arguments say; returns the exit code."""
  parser = argparse.ArgumentParser(
    'dualgan', description=__doc__.split('\n')[0]
  )
  commands = parser.add_subparsers(dest='command', required=True)
  info = commands.add_parser('info', help='what a student is and answers')
  predict = commands.add_parser('predict', help='what a student says of images')
  for command in (info, predict):
    command.add_argument('folder', metavar='FOLDER')
  predict.add_argument('images', metavar='IMAGE|DIR', nargs='+')
  predict.add_argument(
    '--json',
    action='store_true',
    help='all labels, one line of JSON per image',
  )
  predict.add_argument(
    '--top', type=_positive, default=_TOP, metavar='N', help='labels per row'
  )
  told = parser.parse_args(argv)
  code = 0
  try:
    student = load(told.folder)
    with printing():
      if told.command == 'info':
        print(_info(student))
      else:
        code = _predict(student, told)
  except UserError as e:
    print(f'error: {printable(e)}', file=sys.stderr)
    return e.exit_code
  return code


@contextlib.contextmanager
def printing() -> Iterator[None]:
  """Prints any text, to a reader who may leave.

  Raises:
    UserError: nothing can be printed there.
  """
  if sys.stdout is None:
    raise UserError('standard output is closed; open it, or send it to a file.')
  # Labels are anybody's text, and a terminal may not know all letters.
  sys.stdout.reconfigure(errors='replace')
  try:
    yield
    sys.stdout.flush()
  except OSError as e:
    if not isinstance(e, BrokenPipeError):
      _close_stdout()
      raise UserError(
        f'standard output cannot be written ({e.strerror}); send it elsewhere.'
      ) from e
    # Who reads has seen enough; Python would complain of it at its end.
    _close_stdout()


def _close_stdout() -> None:
  os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _positive(text: str) -> int:
  if not text.isdecimal() or int(text) < 1:
    raise argparse.ArgumentTypeError(f'{text}, but it must be 1 or more')
  return int(text)


def _info(student: Student) -> str:
  net, origin = student.config['net'], student.config['origin']
  lines = [
    f'labels: {", ".join(student.labels)}',
    f'images: {"×".join(map(str, student.image))}, '
    f'{student.config["preparation"]}',
    f'answers: {student.config["answers"]}',
    'net: ' + ', '.join(f'{k} {v}' for k, v in net.items()),
    'origin: ' + ', '.join(f'{k} {v}' for k, v in origin.items()),
  ]
  return '\n'.join(map(printable, lines))


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
