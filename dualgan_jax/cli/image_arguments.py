"""Reads the images of a command line: files, folders, standard input."""

import dataclasses
import io
import os
import pathlib
import sys
from collections.abc import Iterator, Sequence

import numpy as np

from dualgan_jax.data import pictures
from dualgan_jax.display import printable

STANDARD_INPUT = '-'


@dataclasses.dataclass
class ReadingLog:
  """What happened while images were read.

  Attributes:
    num_failures: files left out that are damaged, or were named one by one, and
      folders that cannot be read.
    whites: for grey images of 16 bits, by the value that was taken as white:
      the name of the first of them, and their number.
  """

  num_failures: int = 0
  whites: dict[int, tuple[str, int]] = dataclasses.field(default_factory=dict)


def iterate_images(
  arguments: Sequence[str],
  image_shape: tuple[int, int, int],
  *,
  recursive: bool,
  log: ReadingLog,
) -> Iterator[tuple[str, np.ndarray]]:
  """Reads images one by one, and names on stderr what cannot be read.

  Args:
    arguments: paths of files or folders; '-' is an image on standard input.
    image_shape: (height, width, channels) that images are brought to.
    recursive: whether to search folders in folders.
    log: is written to.

  Yields:
    Name and pixels, uint8 of `image_shape`, of each image.
  """
  height, width, channels = image_shape
  for path, is_in_folder in _iterate_files(arguments, recursive, log):

    def report_white(white, path=path):
      first_path, count = log.whites.get(white, (path, 0))
      log.whites[white] = (first_path, count + 1)

    try:
      file = path
      if path == STANDARD_INPUT:
        file = io.BytesIO(sys.stdin.buffer.read())
      image = pictures.read(file, channels, (height, width), report_white)
    except pictures.UNREADABLE as error:
      print(printable(f'{path}: skipped, no image ({error})'), file=sys.stderr)
      # Folders hold other files, too, which is nobody's mistake.
      is_other_file = isinstance(error, pictures.UnknownFormatError)
      log.num_failures += not (is_in_folder and is_other_file)
      continue
    yield path, image


def _iterate_files(
  arguments: Sequence[str], recursive: bool, log: ReadingLog
) -> Iterator[tuple[str, bool]]:
  """Iterates over named files, and over the files of named folders.

  Yields:
    A path, and whether it comes from a folder.
  """

  def report_folder(error):
    message = f'{error.filename}: skipped, cannot be read ({error.strerror})'
    print(printable(message), file=sys.stderr)
    log.num_failures += 1

  for argument in arguments:
    if not os.path.isdir(argument):
      yield argument, False
      continue
    for folder, folder_names, file_names in os.walk(
      argument, onerror=report_folder
    ):
      # os.walk goes on with the names that are left, in their order.
      folder_names[:] = sorted(folder_names) if recursive else []
      for file_name in sorted(file_names):
        path = str(pathlib.Path(folder, file_name))
        # Not a pipe or a device.
        if os.path.isfile(path):
          yield path, True
