"""Image files as arrays, the same wherever one is read."""

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

# One sentence of ours says it all.
logging.getLogger('PIL').setLevel(logging.CRITICAL)

# Whatever Pillow raises for a file that is no image, or a damaged one.
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

  Of an animation it is the first picture.

  Args:
    file: a path, or an open file.
    channels: 1 for grey, as bright as the colours look, or 3.
    size: (height, width) to bring it to; its own if None.

  Returns:
    uint8 [h, w, channels]; of 16 bits the upper eight.

  Raises:
    One of `UNREADABLE`: it is no regular file, cannot be read, is larger than
      `MAX_PIXELS`, or its pixels have more bits.
  """
  # What Pillow warns of is either read well or refused here.
  with warnings.catch_warnings(action='ignore'), _opened(file) as picture:
    return pixels(picture, channels, size)


def pixels(
  picture: Image.Image, channels: int, size: tuple[int, int] | None = None
) -> np.ndarray:
  """The pixels of an open image, as `read` gives them.

  Args:
    picture: of Pillow.
    channels: see `read`.
    size: see `read`.

  Raises:
    One of `UNREADABLE`: as `read` does.
  """
  picture = ImageOps.exif_transpose(picture)
  if picture.has_transparency_data:
    seen = picture.convert('RGBA')
    picture = Image.new('RGBA', seen.size, 'white')
    picture.alpha_composite(seen)
  if picture.mode.startswith('I;16'):
    # Pillow would make 255 of all that is more.
    picture = Image.fromarray(np.uint8(np.asarray(picture) >> 8))
  elif picture.mode in ('I', 'F'):
    raise ValueError('its pixels have 32 bits; bring them to 8 or 16')
  picture = picture.convert('L' if channels == 1 else 'RGB')
  x = np.asarray(picture).reshape(picture.height, picture.width, channels)
  return x if size is None else resized(x, size)


def _opened(file: Any) -> Image.Image:
  """Opens an image without decoding it."""
  too_large = f'more than {MAX_PIXELS:,} pixels; make it smaller'
  # A pipe would keep one waiting, a device give bytes for ever.
  if isinstance(file, str | os.PathLike) and not (
    os.path.isfile(file) or os.path.isdir(file) or not os.path.exists(file)
  ):
    raise ValueError('no regular file, but a pipe, socket or device')
  try:
    picture = Image.open(file)
  except Image.UnidentifiedImageError as e:
    raise ValueError('no image in a format that Pillow knows') from e
  except Image.DecompressionBombError as e:
    raise ValueError(too_large) from e
  if picture.width * picture.height > MAX_PIXELS:
    picture.close()
    raise ValueError(too_large)
  # Pillow would run Ghostscript, and so what the file says.
  if picture.format == 'EPS':
    picture.close()
    raise ValueError('EPS is a program, not an image; make it a PNG')
  return picture


def resized(x: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  """An image, uint8 [h, w, 1 or 3], brought bilinearly to (height, width)."""
  height, width = size
  picture = Image.fromarray(x[..., 0] if x.shape[-1] == 1 else x)
  picture = picture.resize((width, height), Image.Resampling.BILINEAR)
  return np.asarray(picture).reshape(height, width, x.shape[-1])
