"""Decodes image files to arrays, the same way wherever one is read."""

import logging
import os
import struct
import warnings
import zlib
from typing import Any

import numpy as np
from PIL import Image, ImageOps

# Larger images are refused before they are decoded, which takes up to 25 bytes
# per pixel: a file of a few bytes can claim any size.
MAX_PIXELS = 2**25

# Our errors are one sentence; Pillow's logs would bury it.
logging.getLogger('PIL').setLevel(logging.CRITICAL)

# All that Pillow raises for a file that is no image, or a damaged one.
UNREADABLE = (
  OSError,
  EOFError,
  ValueError,
  SyntaxError,
  TypeError,
  AttributeError,
  LookupError,
  ArithmeticError,
  RuntimeError,
  struct.error,
  zlib.error,
  Image.DecompressionBombError,
)


def read(
  file: Any, channels: int, size: tuple[int, int] | None = None
) -> np.ndarray:
  """Decodes an image, upright as its EXIF orientation says, on white.

  An animation is read as its first picture.

  Args:
    file: a path, or an open file.
    channels: 1 for grey, by the luminance of the colours, or 3.
    size: (height, width) to resize the image to; None for its size.

  Returns:
    uint8 [h, w, channels]; the upper eight of 16 bits.

  Raises:
    One of `UNREADABLE`: it is no regular file, cannot be read, is larger than
      `MAX_PIXELS`, or its pixels have more bits.
  """
  # Pillow warns of images that are either read well or refused here.
  with warnings.catch_warnings(action='ignore'), _opened(file) as picture:
    return pixels(picture, channels, size)


def pixels(
  picture: Image.Image, channels: int, size: tuple[int, int] | None = None
) -> np.ndarray:
  """Gives the pixels of an open image, as `read` does.

  Args:
    picture: an image of Pillow.
    channels: see `read`.
    size: see `read`.

  Raises:
    One of `UNREADABLE`: as `read` does.
  """
  picture = ImageOps.exif_transpose(picture)
  if picture.has_transparency_data:
    foreground = picture.convert('RGBA')
    picture = Image.new('RGBA', foreground.size, 'white')
    picture.alpha_composite(foreground)
  if picture.mode.startswith('I;16'):
    # Pillow would turn all values above 255 into 255.
    picture = Image.fromarray(np.uint8(np.asarray(picture) >> 8))
  elif picture.mode in ('I', 'F'):
    raise ValueError('its pixels have 32 bits; bring them to 8 or 16')
  picture = picture.convert('L' if channels == 1 else 'RGB')
  image_shape = (picture.height, picture.width, channels)
  image = np.asarray(picture).reshape(image_shape)
  return image if size is None else resize(image, size)


def _opened(file: Any) -> Image.Image:
  """Opens an image without decoding it.

  Raises:
    One of `UNREADABLE`: it is no image, or one that must not be decoded.
  """
  too_large = f'more than {MAX_PIXELS:,} pixels; make it smaller'
  # Reading a pipe would wait for ever, and a device would never end.
  if isinstance(file, str | os.PathLike) and not (
    os.path.isfile(file) or os.path.isdir(file) or not os.path.exists(file)
  ):
    raise ValueError('no regular file, but a pipe, socket or device')
  try:
    picture = Image.open(file)
  except Image.UnidentifiedImageError as error:
    raise ValueError('no image in a format that Pillow knows') from error
  except Image.DecompressionBombError as error:
    raise ValueError(too_large) from error
  if picture.width * picture.height > MAX_PIXELS:
    picture.close()
    raise ValueError(too_large)
  # Pillow would run Ghostscript, which executes the file as a program.
  if picture.format == 'EPS':
    picture.close()
    raise ValueError('EPS is a program, not an image; make it a PNG')
  return picture


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  """Resizes an image bilinearly.

  Args:
    image: uint8 [h, w, channels], of 1 or 3 channels.
    size: the new (height, width).

  Returns:
    uint8 [height, width, channels].
  """
  height, width = size
  channels = image.shape[-1]
  # Pillow takes grey images without an axis of channels.
  picture = Image.fromarray(image[..., 0] if channels == 1 else image)
  picture = picture.resize((width, height), Image.Resampling.BILINEAR)
  return np.asarray(picture).reshape(height, width, channels)
