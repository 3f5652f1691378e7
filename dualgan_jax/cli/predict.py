"""Implements `dualgan predict`: a trained student's answers to images."""

import argparse
import json
import pathlib
import sys
from collections.abc import Iterator, Sequence

import numpy as np

from dualgan_jax.cli.arguments import ArgumentParser, positive_integer
from dualgan_jax.data import pictures
from dualgan_jax.display import align, printable
from dualgan_jax.errors import UserError
from dualgan_jax.stdout import printing
from dualgan_jax.student.student import Student, load

_DEFAULT_TOP = 3
_DESCRIPTION = """Prints the most probable labels of images, as a trained
student sees them."""
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
  parser = ArgumentParser(argv[0], description=_DESCRIPTION, epilog=_EXIT_CODES)
  parser.add_argument(
    'folder', metavar='FOLDER', help="a run's folder student or branched"
  )
  parser.add_argument(
    'images',
    metavar='IMAGE|DIR',
    nargs='+',
    help='image files, or folders of them',
  )
  parser.add_argument(
    '--json',
    action='store_true',
    help='print all labels, as one line of JSON per image',
  )
  parser.add_argument(
    '--top',
    type=positive_integer,
    default=_DEFAULT_TOP,
    metavar='N',
    help=f'labels per row of the table; {_DEFAULT_TOP} by default',
  )
  arguments = parser.parse_args(argv[1:])
  student = load(arguments.folder)
  with printing():
    return _predict(student, arguments)


def _predict(student: Student, arguments: argparse.Namespace) -> int:
  """Prints a student's answers, and returns the exit code."""
  image_names, images, num_unreadable = _read_images(
    arguments.images, student.image
  )
  if not images:
    raise UserError('no image could be read; name files or folders of images.')
  probabilities = student.predict(np.stack(images))
  if arguments.json:
    _print_json(image_names, student.labels, probabilities)
  else:
    num_labels = min(arguments.top, len(student.labels))
    print(_format_table(image_names, student.labels, probabilities, num_labels))
  return 1 if num_unreadable else 0


def _read_images(
  arguments: Sequence[str], image_shape: tuple[int, int, int]
) -> tuple[list[str], list[np.ndarray], int]:
  """Reads all images that can be read, and names the others on stderr.

  Args:
    arguments: paths of files or folders.
    image_shape: (height, width, channels) of the student's images.

  Returns:
    The images' paths, the images and the number of files left out.
  """
  height, width, channels = image_shape
  image_names, images, num_unreadable = [], [], 0
  for path in _iterate_files(arguments):
    try:
      images.append(pictures.read(path, channels, (height, width)))
      image_names.append(str(path))
    except pictures.UNREADABLE as error:
      sentence = printable(f'{path}: skipped, no image ({error})')
      print(sentence, file=sys.stderr)
      num_unreadable += 1
  return image_names, images, num_unreadable


def _iterate_files(arguments: Sequence[str]) -> Iterator[pathlib.Path]:
  """Iterates over named files, and over the files of named folders."""
  for path in map(pathlib.Path, arguments):
    try:
      yield from sorted(entry for entry in path.iterdir() if entry.is_file())
    except OSError:
      # It is no folder, or none that may be read: reading it says why.
      yield path


def _sort_labels(
  labels: Sequence[str], probabilities: np.ndarray
) -> list[tuple[str, float]]:
  """Pairs labels with their probabilities, the most probable label first."""
  pairs = zip(labels, probabilities.tolist(), strict=True)
  return sorted(pairs, key=lambda pair: -pair[1])


def _print_json(
  image_names: Sequence[str], labels: Sequence[str], probabilities: np.ndarray
) -> None:
  """Prints a line of JSON per image, with all labels."""
  for image_name, row in zip(image_names, probabilities, strict=True):
    answer = {
      'image': image_name,
      'probabilities': dict(_sort_labels(labels, row)),
    }
    # JSON is in ASCII, so that no terminal obeys the text of a label.
    print(json.dumps(answer))


def _format_table(
  image_names: Sequence[str],
  labels: Sequence[str],
  probabilities: np.ndarray,
  num_labels: int,
) -> str:
  """Formats a Markdown table, a row per image with its best labels."""
  table_rows = [
    ['image', *['label', 'probability'] * num_labels],
    ['---', *['---', '---:'] * num_labels],
  ]
  for image_name, row in zip(image_names, probabilities, strict=True):
    cells = [printable(image_name)]
    for label, probability in _sort_labels(labels, row)[:num_labels]:
      cells += [printable(label), f'{probability:.4f}']
    table_rows.append(cells)
  return align(table_rows)
