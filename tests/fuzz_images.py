"""Mutated image files: each is an array or one of `pictures.UNREADABLE`."""

import io
import resource
import time

import numpy as np
from PIL import Image

from dualgan_jax import pictures

_KINDS = ('PNG', 'JPEG', 'GIF', 'BMP', 'TIFF', 'WEBP')
# What reading any one file may take.
_SECONDS = 2
_KILOBYTES = 2**20


def _whole_files() -> list[bytes]:
  """Small files of each kind, in several modes and ways to compress."""
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
    'TIFF': [{'compression': x} for x in ('raw', 'tiff_lzw', 'tiff_deflate')],
    'JPEG': [{}, {'progressive': True}, {'exif': b'Exif\0\0II*\0\b\0\0\0'}],
    'WEBP': [{}, {'lossless': True}],
  }
  return [
    _saved(picture.convert(mode), kind, **option)
    for kind in _KINDS
    for mode in modes[kind]
    for option in options.get(kind, [{}])
  ] + [_saved(deep, 'PNG'), _saved(deep, 'TIFF')]


def _saved(picture: Image.Image, kind: str, **options) -> bytes:
  file = io.BytesIO()
  picture.save(file, kind, **options)
  return file.getvalue()


def _mutated(file: bytes, rng: np.random.Generator) -> bytes:
  """Changes some bytes, cuts, repeats or inserts a part, or writes a number."""
  data = bytearray(file)
  for _ in range(rng.integers(1, 5)):
    # Most of what decides lies at the start.
    end = len(data) if rng.random() < 0.5 else min(len(data), 96)
    # Without its first bytes it is no file of this kind.
    at = int(rng.integers(0 if rng.random() < 0.1 else 8, max(end, 9)))
    match rng.integers(0, 6):
      case 0:
        data[at : at + 1] = rng.bytes(1)
      case 1:
        del data[at:]
      case 2:
        del data[at : at + int(rng.integers(1, 9))]
      case 3:
        data[at:at] = data[at : at + int(rng.integers(1, 65))]
      case 4:
        data[at:at] = rng.bytes(int(rng.integers(1, 9)))
      case 5:
        number = int(rng.choice([0, 1, 255, 2**15, 2**16 - 1, 2**31 - 1]))
        order = 'big' if rng.random() < 0.5 else 'little'
        data[at : at + 4] = number.to_bytes(4, order)
  return bytes(data)


def images(budget: int, seed: int) -> tuple[int, list[str]]:
  """Reads mutated image files of six formats.

  Args:
    budget: how many.
    seed: draws them.

  Returns:
    How many were tried, and a line for each that was neither an array of the
    right form nor unreadable, took too long, or too much memory.
  """
  rng = np.random.default_rng(seed)
  files, failures = _whole_files(), []
  for number in range(budget):
    file = _mutated(files[rng.integers(len(files))], rng)
    channels = int(rng.choice([1, 3]))
    size = (8, 8) if rng.random() < 0.5 else None
    before, began = _peak(), time.process_time()
    try:
      x = pictures.read(io.BytesIO(file), channels, size)
      wrong = (
        x.dtype != np.uint8
        or x.ndim != 3
        or x.shape[-1] != channels
        or (size is not None and x.shape[:2] != size)
        or x.size > channels * pictures.MAX_PIXELS
      )
      fault = f'{x.dtype} {x.shape}' if wrong else None
    except pictures.UNREADABLE:
      fault = None
    except Exception as e:
      fault = repr(e)
    seconds, kilobytes = time.process_time() - began, _peak() - before
    if seconds > _SECONDS:
      fault = f'{seconds:.1f} seconds'
    if kilobytes > _KILOBYTES:
      fault = f'{kilobytes:,} KB'
    if fault is not None:
      failures.append(f'image {number} of seed {seed}: {fault}: {file[:64]!r}')
  return budget, failures


def _peak() -> int:
  """The most memory that this process has had, in KB."""
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
