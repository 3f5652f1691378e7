"""Mutated image files: each is an array or one of `pictures.UNREADABLE`."""

import functools
import io
import pathlib
import random

import numpy as np
from PIL import Image

from dualgan_jax.data import pictures
from tests.trials.fuzz_weights import Trial

_FORMATS = ('PNG', 'JPEG', 'GIF', 'BMP', 'TIFF', 'WEBP')


@functools.cache
def _make_files() -> list[bytes]:
  """Makes small files of each kind, in several modes and compressions."""
  rng = np.random.default_rng(0)
  picture = Image.fromarray(rng.integers(0, 256, (16, 24, 4), np.uint8))
  deep = Image.fromarray(rng.integers(0, 2**16, (9, 7), np.uint16))
  modes = {
    'PNG': ('RGBA', 'RGB', 'L', 'P', '1', 'LA'),
    'JPEG': ('RGB', 'L', 'CMYK'),
    'GIF': ('L', 'P'),
    'BMP': ('RGB', 'L', '1', 'RGBA'),
    'TIFF': ('RGB', 'L', 'RGBA', 'CMYK'),
    'WEBP': ('RGB', 'RGBA'),
  }
  options = {
    'TIFF': [
      {'compression': method} for method in ('raw', 'tiff_lzw', 'tiff_deflate')
    ],
    'JPEG': [{}, {'progressive': True}, {'exif': b'Exif\0\0II*\0\b\0\0\0'}],
    'WEBP': [{}, {'lossless': True}],
  }
  return [
    _encode(picture.convert(mode), kind, **option)
    for kind in _FORMATS
    for mode in modes[kind]
    for option in options.get(kind, [{}])
  ] + [_encode(deep, 'PNG'), _encode(deep, 'TIFF')]


def _encode(picture: Image.Image, kind: str, **options) -> bytes:
  file = io.BytesIO()
  picture.save(file, kind, **options)
  return file.getvalue()


def _mutate(file: bytes, rng: np.random.Generator) -> bytes:
  """Changes some bytes, cuts, repeats or inserts a part, or writes a number."""
  data = bytearray(file)
  for _ in range(rng.integers(1, 5)):
    # Most of what decides lies at the start.
    end = len(data) if rng.random() < 0.5 else min(len(data), 96)
    # Without its first bytes it is no file of this kind.
    start = int(rng.integers(0 if rng.random() < 0.1 else 8, max(end, 9)))
    match rng.integers(0, 6):
      case 0:
        data[start : start + 1] = rng.bytes(1)
      case 1:
        del data[start:]
      case 2:
        del data[start : start + int(rng.integers(1, 9))]
      case 3:
        data[start:start] = data[start : start + int(rng.integers(1, 65))]
      case 4:
        data[start:start] = rng.bytes(int(rng.integers(1, 9)))
      case 5:
        number = int(rng.choice([0, 1, 255, 2**15, 2**16 - 1, 2**31 - 1]))
        order = 'big' if rng.random() < 0.5 else 'little'
        data[start : start + 4] = number.to_bytes(4, order)
  return bytes(data)


def image_trial(numbers: random.Random, folder: pathlib.Path) -> Trial:
  """Writes a mutated image file of one of six formats."""
  rng = np.random.default_rng(numbers.getrandbits(64))
  originals = _make_files()
  path = folder / 'image'
  path.write_bytes(_mutate(originals[rng.integers(len(originals))], rng))
  channels = int(rng.choice([1, 3]))
  size = (8, 8) if rng.random() < 0.5 else None
  return Trial(path, lambda: _check(path, channels, size))


def _check(path, channels, size):
  try:
    image = pictures.read(path, channels, size)
  except pictures.UNREADABLE:
    return
  assert image.dtype == np.uint8
  assert image.ndim == 3 and image.shape[-1] == channels
  assert size is None or image.shape[:2] == size
  assert image.size <= channels * pictures.MAX_PIXELS
