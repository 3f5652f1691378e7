"""Labelled images that are still to be decoded, wherever they come from."""

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
  """The images of one part of a data set, with their labels.

  Attributes:
    part: its name where it comes from, for messages.
    rows: which of the part's rows these are, int [n].
    encoded: gives the image files of some rows in the Hub's form, each a
      mapping of `bytes`, or None if there are none, and `path`; None where a
      row has no image.
    targets: 0, 1 or NaN, float32 [n, labels].
    names: of the labels, in the order of the columns.
  """

  part: str
  rows: np.ndarray
  encoded: Callable[[np.ndarray], Iterable[Mapping[str, Any] | None]]
  targets: np.ndarray
  names: tuple[str, ...]

  @classmethod
  def of_paths(
    cls,
    part: str,
    paths: Sequence[str | os.PathLike],
    targets: np.ndarray,
    names: tuple[str, ...],
  ) -> 'ImageFiles':
    """Makes a part of image files on disk, one per row."""

    def encoded(rows):
      return ({'bytes': None, 'path': str(paths[row])} for row in rows)

    return cls(part, np.arange(len(paths)), encoded, targets, names)

  def select(self, indices: np.ndarray) -> 'ImageFiles':
    """Keeps some of the images, in this order."""
    return dataclasses.replace(
      self, rows=self.rows[indices], targets=self.targets[indices]
    )

  def paths(self) -> set[str]:
    """Lists the files on disk that images are read from."""
    images = self.encoded(self.rows)
    return {x['path'] for x in images if x and x['bytes'] is None}

  def decoded(
    self, name: str, image_shape: tuple[int, int, int], *, resize: bool = False
  ) -> np.ndarray:
    """Decodes the images.

    Args:
      name: of the set in the config, for messages.
      image_shape: (height, width, channels); images get these channels, and
        keep their size if all have the same. Others are brought to this one.
      resize: whether to bring them to it anyway.

    Returns:
      uint8 [n, h, w, c].

    Raises:
      UserError: an image is missing or cannot be read.
    """
    *wanted, channels = image_shape
    size = tuple(wanted) if resize else None
    images = None
    # Only images of one size are held as large as they are.
    for i, file in enumerate(self.encoded(self.rows)):
      x = self._read(name, i, file, channels, size)
      if images is None:
        images = np.empty((len(self.rows), *x.shape), np.uint8)
      if x.shape != images.shape[1:]:
        size = tuple(wanted)
        earlier = images[:i]
        images = np.empty((len(self.rows), *image_shape), np.uint8)
        for j, other in enumerate(earlier):
          images[j] = pictures.resized(other, size)
        x = pictures.resized(x, size)
      images[i] = x
    return images

  def _read(self, name, i, file, channels, size):
    where = f'data.{name}: row {self.rows[i]} of part {self.part}'
    if file is None or (file['bytes'] is None and file['path'] is None):
      raise UserError(f'{where} has no image; mend it or take it out.')
    path, encoded = file['path'], file['bytes']
    try:
      source = path if encoded is None else io.BytesIO(encoded)
      return pictures.read(source, channels, size)
    except pictures.UNREADABLE as e:
      named = f', {path},' if path else ''
      # That of a missing file would name it again.
      reason = getattr(e, 'strerror', None) or first_line(e)
      raise UserError(
        f'{where}{named} cannot be read as an image ({reason}); mend it or '
        'take it out.'
      ) from e


@dataclasses.dataclass(frozen=True)
class LabelledParts:
  """The parts of a data set.

  Attributes:
    train: to train on.
    test: to evaluate on; None if the set has no part for it.
    unread: names of other labelled parts.
  """

  train: ImageFiles
  test: ImageFiles | None
  unread: tuple[str, ...] = ()


def other_test_part(name: str, parts: Iterable[str] = ()) -> str:
  """Says how a set is evaluated on another part than the one it names."""
  choice = ' or '.join(parts) or 'NAME'
  return (
    f'name a part with labels, --config.data.{name}.test_part={choice}, or '
    f'draw one from the training images, --config.data.{name}.test_part=drawn '
    f'--config.data.{name}.test_fraction=0.2'
  )
