"""Images of all kinds that a student is shown: arrays, files, Pillow's."""

import os
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from dualgan_jax.data import pictures
from dualgan_jax.display import printable
from dualgan_jax.errors import UserError, first_line

# An array [h, w, c], an image of Pillow, or a file's path.
Picture = np.ndarray | Image.Image | str | os.PathLike
# How far beyond [0, 1] resizing may have taken pixels.
_SLACK = 0.1


def gathered(
  images: np.ndarray | Picture | Sequence[Picture],
  image_shape: tuple[int, int, int],
  sized: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
  """Makes one array of images.

  Args:
    images: an array [n, h, w, c], a file or an image of Pillow, or a list of
      images.
    image_shape: (height, width, channels) that files and images of Pillow are
      brought to.
    sized: brings arrays [n, h, w, c] to floats of this shape, where images of a
      list differ in shape or type.

  Returns:
    [n, h, w, c], uint8 or floats in [0, 1].

  Raises:
    ValueError: an array has another shape, type or range.
    UserError: a file cannot be read.
  """
  if isinstance(images, str | os.PathLike | Image.Image):
    images = [images]
  if isinstance(images, list | tuple):
    found = [_array(x, image_shape) for x in images]
    if not found:
      return np.zeros((0, *image_shape), np.uint8)
    if len({(x.shape, x.dtype) for x in found}) > 1:
      found = [sized(_checked(x[None]))[0] for x in found]
    images = np.stack(found)
  return _checked(np.asarray(images))


def _array(image, image_shape):
  *size, channels = image_shape
  if isinstance(image, Image.Image):
    return pictures.pixels(image, channels, size)
  if not isinstance(image, str | os.PathLike):
    return np.asarray(image)
  try:
    return pictures.read(image, channels, size)
  except pictures.UNREADABLE as e:
    raise UserError(
      f'{printable(image)}: cannot be read as an image '
      f'({printable(first_line(e), 200)}); mend it or leave it out.'
    ) from e


def _checked(x: np.ndarray) -> np.ndarray:
  """Sees that an array is one of images."""
  if x.ndim != 4 or x.shape[-1] not in (1, 3):
    raise ValueError(
      f'images of shape {x.shape}, but it must be [n, height, width, 1 or 3]'
    )
  if x.dtype == np.uint8:
    return x
  if not np.issubdtype(x.dtype, np.floating):
    raise ValueError(f'images are {x.dtype}, but must be uint8 or floats')
  if x.size and not (x.min() >= -_SLACK and x.max() <= 1 + _SLACK):
    raise ValueError(
      f'images are floats from {x.min():.3g} to {x.max():.3g}, but must be '
      'in [0, 1], or uint8'
    )
  return x
