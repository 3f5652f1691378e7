"""Implements `dualgan predict`: a trained student's answers to images."""

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence

import numpy as np

from dualgan_jax.cli import answer_formats
from dualgan_jax.cli.arguments import ArgumentParser, positive_integer
from dualgan_jax.cli.image_arguments import ReadingLog, iterate_images
from dualgan_jax.display import printable
from dualgan_jax.errors import UserError
from dualgan_jax.stdout import printing
from dualgan_jax.student.program import BATCH
from dualgan_jax.student.student import Student, load

_DEFAULT_TOP = 3
_DESCRIPTION = """Prints the most probable labels of images, as a trained
student sees them."""
_EXIT_CODES = """Exit codes: 0 done, 1 some images could not be read, 2 nothing
could be done, 75 ended by SIGTERM, 130 by Ctrl-C. Files in a folder that are no
images are named and skipped."""


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
    'folder',
    metavar='FOLDER',
    help="a run, whose student answers; or a run's folder student or branched",
  )
  parser.add_argument(
    'images',
    metavar='IMAGE|DIR',
    nargs='+',
    help='image files, or folders of them; - is an image on standard input',
  )
  parser.add_argument(
    '--recursive',
    action='store_true',
    help='also search the folders in a folder',
  )
  output_format = parser.add_mutually_exclusive_group()
  output_format.add_argument(
    '--json',
    action='store_true',
    help='print all labels, as one line of JSON per image',
  )
  output_format.add_argument(
    '--csv',
    action='store_true',
    help='print all labels, as CSV with one line per image',
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
  log = ReadingLog()
  images = iterate_images(
    arguments.images,
    student.image_shape,
    recursive=arguments.recursive,
    log=log,
  )
  answers = _answer_images(student, images)
  if arguments.json:
    answer_formats.print_json(answers, student.labels)
  elif arguments.csv:
    answer_formats.print_csv(answers, student.labels)
  else:
    answer_formats.print_table(
      answers,
      student.labels,
      num_labels=arguments.top,
      single_label=student.config['net'].get('single_label', False),
    )
  for white, (first_name, num_images) in log.whites.items():
    print(
      printable(
        f'{first_name}: 16 bits per pixel, read with 0 as black and {white} as '
        f'white (images read so: {num_images})'
      ),
      file=sys.stderr,
    )
  return 1 if log.num_failures else 0


def _answer_images(
  student: Student, images: Iterator[tuple[str, np.ndarray]]
) -> Iterator[answer_formats.Answer]:
  """Answers images in batches, so that any number of them fits into memory.

  Raises:
    UserError: there is no image.
  """
  batch = [*itertools.islice(images, BATCH)]
  if not batch:
    raise UserError('no image could be read; name files or folders of images.')
  while batch:
    image_names, arrays = zip(*batch, strict=True)
    yield from zip(image_names, student.predict(np.stack(arrays)), strict=True)
    batch = [*itertools.islice(images, BATCH)]
