"""Images that a student takes: arrays, files and images of Pillow."""

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


def as_sequence(
  images: np.ndarray | Picture | Sequence[Picture],
) -> np.ndarray | Sequence[Picture]:
  """Makes a sequence of images of any kind, and reads no file.

  Args:
    images: an array [n, h, w, c], a file or an image of Pillow, or a list of
      images.

  Returns:
    An array [n, h, w, c], uint8 or floats in [0, 1], or a list of images.

  Raises:
    ValueError: an array has another shape, type or range.
  """
  if isinstance(images, str | os.PathLike | Image.Image):
    return [images]
  if isinstance(images, list | tuple):
    return images
  return _check_images(np.asarray(images))


def stack_images(
  images: Sequence[Picture],
  image_shape: tuple[int, int, int],
  resize: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
  """Makes one array of a few images.

  Args:
    images: at least one.
    image_shape: (height, width, channels) that files and images of Pillow are
      brought to.
    resize: brings arrays [n, h, w, c] to floats of this shape, where images
      differ in shape or type.

  Returns:
    [n, h, w, c], uint8 or floats in [0, 1].

  Raises:
    ValueError: an array has another shape, type or range.
    UserError: a file cannot be read.
  """
  arrays = [_read_image(image, image_shape) for image in images]
  # Only arrays of one shape and type can be stacked; checked one by one
  # before, so that the message names the shape that the user gave.
  if len({(array.shape, array.dtype) for array in arrays}) > 1:
    arrays = [resize(_check_images(array[None]))[0] for array in arrays]
  return _check_images(np.stack(arrays))


def _read_image(
  image: Picture, image_shape: tuple[int, int, int]
) -> np.ndarray:
  """Reads a file or an image of Pillow, or takes an array as it is."""
  *size, channels = image_shape
  if isinstance(image, Image.Image):
    return pictures.pixels(image, channels, size)
  if not isinstance(image, str | os.PathLike):
    return np.asarray(image)
  try:
    return pictures.read(image, channels, size)
  except pictures.UNREADABLE as error:
    raise UserError(
      f'{printable(image)}: cannot be read as an image '
      f'({printable(first_line(error), 200)}); mend it or leave it out.'
    ) from error


def _check_images(images: np.ndarray) -> np.ndarray:
  """Returns an array that holds images, or raises a ValueError."""
  if images.ndim != 4 or images.shape[-1] not in (1, 3):
    raise ValueError(
      f'images of shape {images.shape}, but it must be '
      '[n, height, width, 1 or 3]'
    )
  if images.dtype == np.uint8:
    return images
  if not np.issubdtype(images.dtype, np.floating):
    raise ValueError(f'images are {images.dtype}, but must be uint8 or floats')
  if images.size and not (
    images.min() >= -_SLACK and images.max() <= 1 + _SLACK
  ):
    raise ValueError(
      f'images are floats from {images.min():.3g} to {images.max():.3g}, but '
      'must be in [0, 1], or uint8'
    )
  return images
