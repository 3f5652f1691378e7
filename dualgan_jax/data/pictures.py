"""Decodes image files to arrays, the same way wherever one is read."""

import logging
import os
import struct
import warnings
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageOps

# Larger images are refused before they are decoded, which takes up to 25 bytes
# per pixel: a file of a few bytes can claim any size.
MAX_PIXELS = 2**25

# Tags of TIFF.
_BITS_PER_SAMPLE, _MAX_SAMPLE_VALUE = 258, 281
_MAX_16_BITS = 2**16 - 1

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


class UnknownFormatError(ValueError):
  """A file that is no image in a format that Pillow knows."""


def read(
  file: Any,
  channels: int,
  size: tuple[int, int] | None = None,
  report_white: Callable[[int], None] | None = None,
) -> np.ndarray:
  """Decodes an image, upright as its EXIF orientation says, on white.

  An animation is read as its first picture.

  Args:
    file: a path, or an open file.
    channels: 1 for grey, by the luminance of the colours, or 3.
    size: (height, width) to resize the image to; None for its size.
    report_white: called for a grey image of 16 bits, with the value that is
      white: what the file declares, or else 65,535.

  Returns:
    uint8 [h, w, channels].

  Raises:
    One of `UNREADABLE`: it is no regular file, cannot be read, is larger than
      `MAX_PIXELS`, or its pixels have more bits.
  """
  # Pillow warns of images that are either read well or refused here.
  with warnings.catch_warnings(action='ignore'), _opened(file) as picture:
    return pixels(picture, channels, size, report_white)


def pixels(
  picture: Image.Image,
  channels: int,
  size: tuple[int, int] | None = None,
  report_white: Callable[[int], None] | None = None,
) -> np.ndarray:
  """Gives the pixels of an open image, as `read` does.

  Args:
    picture: an image of Pillow.
    channels: see `read`.
    size: see `read`.
    report_white: see `read`.

  Raises:
    One of `UNREADABLE`: as `read` does.
  """
  # Before the image is turned, which makes another one without its tags.
  white = _find_white(picture)
  picture = ImageOps.exif_transpose(picture)
  if picture.has_transparency_data:
    foreground = picture.convert('RGBA')
    picture = Image.new('RGBA', foreground.size, 'white')
    picture.alpha_composite(foreground)
  if white is not None:
    if report_white is not None:
      report_white(white)
    # Pillow would turn all values above 255 into 255.
    values = np.minimum(np.asarray(picture, np.uint32), white)
    picture = Image.fromarray(np.uint8(values * 256 // (white + 1)))
  elif picture.mode in ('I', 'F'):
    raise ValueError('its pixels have 32 bits; bring them to 8 or 16')
  picture = picture.convert('L' if channels == 1 else 'RGB')
  image_shape = (picture.height, picture.width, channels)
  image = np.asarray(picture).reshape(image_shape)
  return image if size is None else resize(image, size)


def _find_white(picture: Image.Image) -> int | None:
  """Finds the value of white in a grey image of 16 bits.

  Returns:
    What the file declares: medical images often have 12 bits in 16. None if it
    is no such image.

  Raises:
    One of `UNREADABLE`: what it declares is no such value.
  """
  # Pillow has brought the values of a PGM to 16 bits already.
  if picture.format == 'PPM' and picture.mode == 'I':
    return _MAX_16_BITS
  if not picture.mode.startswith('I;16'):
    return None
  if picture.format != 'TIFF':
    return _MAX_16_BITS
  (num_bits,) = picture.tag_v2[_BITS_PER_SAMPLE]
  (white,) = np.ravel(
    picture.tag_v2.get(_MAX_SAMPLE_VALUE, 2**num_bits - 1)
  ).tolist()
  if not 0 < white <= _MAX_16_BITS:
    raise ValueError(f'its MaxSampleValue is {white}; make it 1 to 65535')
  return white


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
    raise UnknownFormatError(
      'no image in a format that Pillow knows'
    ) from error
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
