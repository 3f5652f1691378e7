"""Holds labelled images that are still encoded, wherever they come from."""

import dataclasses
import io
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dualgan_jax.data import pictures
from dualgan_jax.errors import UserError, first_line


@dataclasses.dataclass(frozen=True)
class ImageFiles:
  """The encoded images of one part of a data set, with their labels.

  Attributes:
    part_name: the part's name in its source, for messages.
    row_indices: rows of the part that the images stand in, int [n].
    read_rows: maps row indices to the image files of these rows in the Hub's
      form: each a mapping with `bytes`, None if there are none, and `path`;
      None for a row without an image.
    targets: 0, 1 or NaN, float32 [n, num_labels].
    label_names: the labels, in the order of the columns of `targets`.
  """

  part_name: str
  row_indices: np.ndarray
  read_rows: Callable[[np.ndarray], Iterable[Mapping[str, Any] | None]]
  targets: np.ndarray
  label_names: tuple[str, ...]

  @classmethod
  def of_paths(
    cls,
    part_name: str,
    paths: Sequence[str | os.PathLike],
    targets: np.ndarray,
    label_names: tuple[str, ...],
  ) -> 'ImageFiles':
    """Makes a part of image files on disk, one per row.

    Args:
      part_name: the part's name in its source, for messages.
      paths: n paths of image files.
      targets: 0, 1 or NaN, float32 [n, num_labels].
      label_names: the labels, in the order of the columns of `targets`.
    """

    def read_rows(row_indices):
      return ({'bytes': None, 'path': str(paths[row])} for row in row_indices)

    row_indices = np.arange(len(paths))
    return cls(part_name, row_indices, read_rows, targets, label_names)

  def select(self, indices: np.ndarray) -> 'ImageFiles':
    """Selects some of the images, in the order of `indices`, int [m]."""
    return dataclasses.replace(
      self,
      row_indices=self.row_indices[indices],
      targets=self.targets[indices],
    )

  def paths(self) -> set[str]:
    """Lists the files on disk that images are read from."""
    image_files = self.read_rows(self.row_indices)
    return {
      image_file['path']
      for image_file in image_files
      if image_file and image_file['bytes'] is None
    }

  def decode(
    self,
    data_name: str,
    image_shape: tuple[int, int, int],
    *,
    resize: bool = False,
  ) -> np.ndarray:
    """Decodes the images.

    Args:
      data_name: the set's name in the config, for messages.
      image_shape: (height, width, channels). Images get these channels, and
        keep their size if all have the same; otherwise they get this size.
      resize: whether to resize images of one size, too.

    Returns:
      uint8 [n, h, w, c].

    Raises:
      UserError: an image is missing or cannot be read.
    """
    *target_size, channels = image_shape
    size = tuple(target_size) if resize else None
    images = None
    # Images of one size are held at that size, whatever it is. With the first
    # that differs, the earlier ones are resized, and so are all that follow:
    # large images of many sizes would not fit into memory.
    for index, image_file in enumerate(self.read_rows(self.row_indices)):
      image = self._decode_file(data_name, index, image_file, channels, size)
      if images is None:
        images = np.empty((len(self.row_indices), *image.shape), np.uint8)
      if image.shape != images.shape[1:]:
        size = tuple(target_size)
        earlier_images = images[:index]
        images = np.empty((len(self.row_indices), *image_shape), np.uint8)
        for earlier_index, earlier_image in enumerate(earlier_images):
          images[earlier_index] = pictures.resize(earlier_image, size)
        image = pictures.resize(image, size)
      images[index] = image
    return images

  def _decode_file(self, data_name, index, image_file, channels, size):
    """Decodes one image file, or raises a UserError that names its row."""
    row_name = (
      f'data.{data_name}: row {self.row_indices[index]} of part '
      f'{self.part_name}'
    )
    if image_file is None or (
      image_file['bytes'] is None and image_file['path'] is None
    ):
      raise UserError(f'{row_name} has no image; mend it or take it out.')
    # Bytes come first: beside them, the path may be one of another machine.
    path, file_bytes = image_file['path'], image_file['bytes']
    try:
      source = path if file_bytes is None else io.BytesIO(file_bytes)
      return pictures.read(source, channels, size)
    except pictures.UNREADABLE as error:
      path_name = f', {path},' if path else ''
      # The text of a system's error would name the path a second time.
      reason = getattr(error, 'strerror', None) or first_line(error)
      raise UserError(
        f'{row_name}{path_name} cannot be read as an image ({reason}); mend it '
        'or take it out.'
      ) from error


@dataclasses.dataclass(frozen=True)
class LabelledParts:
  """The parts of a data set.

  Attributes:
    train: images to train on.
    test: images to evaluate on; None if the set has no part for it.
    unread_parts: names of other parts that have labels.
  """

  train: ImageFiles
  test: ImageFiles | None
  unread_parts: tuple[str, ...] = ()


def other_test_part(data_name: str, part_names: Iterable[str] = ()) -> str:
  """Returns the cure for a test part that is missing or has no labels.

  Args:
    data_name: the set's name in the config.
    part_names: parts that could be used instead, if any are known.

  Returns:
    The middle of a sentence that names the flags to give.
  """
  choice = ' or '.join(part_names) or 'NAME'
  return (
    f'name a part with labels, --config.data.{data_name}.test_part={choice}, '
    'or draw one from the training images, '
    f'--config.data.{data_name}.test_part=drawn '
    f'--config.data.{data_name}.test_fraction=0.2'
  )
