"""Images [N, C, H, W] in another size, as PyTorch defines it."""

import math
from collections.abc import Callable, Sequence

import chex
import jax.numpy as jnp
import numpy as np
from jax import lax

from dualgan_jax.teachers.torch_export.operations.indexing import MAX_PARTS
from dualgan_jax.teachers.torch_export.operations.unsupported import (
  Unsupported,
)

_MAX_WEIGHTS = 2**24  # of one axis, far more than a net needs
_CUBIC = -0.75  # PyTorch's parameter of cubic convolution


def _num_rows(
  length: int,
  axis: int,
  output_size: Sequence[int] | None,
  scale_factors: Sequence[float] | None,
) -> int:
  """Returns how many rows a resized axis has."""
  if output_size is not None:
    num_rows = output_size[axis]
  elif scale_factors is not None:
    num_rows = math.floor(length * scale_factors[axis])
  else:
    raise Unsupported('neither a size nor a factor')
  if not 0 < num_rows <= MAX_PARTS:
    raise Unsupported(f'more than {MAX_PARTS:,} rows, or none')
  return num_rows


def upsample_nearest2d(
  images: chex.Array,
  output_size: Sequence[int] | None = None,
  scale_factors: Sequence[float] | None = None,
  offset: float = 0.0,
) -> chex.Array:
  """Repeats pixels: row i of n is row ⌊(i + offset) H / n⌋ of H.

  Args:
    images: [N, C, H, W].
    output_size: (h, w).
    scale_factors: (h / H, w / W) instead.
    offset: 0, or 0.5 for the middle of each pixel.
  """
  for axis, length in enumerate(images.shape[2:]):
    num_rows = _num_rows(length, axis, output_size, scale_factors)
    # A given factor counts exactly, unless the size stays or doubles. In
    # single precision, since ⌊⌋ turns a rounding into another row.
    is_exact = offset == 0 and num_rows in (length, 2 * length)
    if output_size is None and scale_factors is not None and not is_exact:
      step = np.float32(1 / scale_factors[axis])
    else:
      step = np.float32(length) / np.float32(num_rows)
    places = np.arange(num_rows, dtype=np.float32) + np.float32(offset)
    rows = np.minimum(np.floor(places * step), length - 1)
    images = jnp.take(images, rows.astype(np.int32), axis + 2)
  return images


def upsample_nearest_exact2d(
  images: chex.Array,
  output_size: Sequence[int] | None = None,
  scale_factors: Sequence[float] | None = None,
) -> chex.Array:
  """Repeats pixels: row i of n is row ⌊(i + ½) H / n⌋ of H."""
  return upsample_nearest2d(images, output_size, scale_factors, 0.5)


def _linear_taps(places: np.ndarray) -> dict[int, np.ndarray]:
  """Lists the weights of the rows 0 and 1 behind each place's whole number."""
  fractions = places - np.floor(places)
  return {0: 1 - fractions, 1: fractions}


def _cubic_taps(places: np.ndarray) -> dict[int, np.ndarray]:
  """Lists the weights of the rows -1 to 2, by Keys' cubic convolution."""
  fractions = places - np.floor(places)

  def near(x):
    return ((_CUBIC + 2) * x - (_CUBIC + 3)) * x * x + 1

  def far(x):
    return ((_CUBIC * x - 5 * _CUBIC) * x + 8 * _CUBIC) * x - 4 * _CUBIC

  return {
    -1: far(fractions + 1),
    0: near(fractions),
    1: near(1 - fractions),
    2: far(2 - fractions),
  }


def _interpolated(
  images: chex.Array,
  output_size: Sequence[int] | None,
  align_corners: bool,
  scale_factors: Sequence[float] | None,
  taps: Callable[[np.ndarray], dict[int, np.ndarray]],
) -> chex.Array:
  """Weighs the rows around the place of each new row, axis by axis.

  The place of row i of n is i (H - 1) / (n - 1) with `align_corners`, else
  (i + ½) H / n - ½. Beyond the ends, the last row stands.
  """
  for axis, length in enumerate(images.shape[2:]):
    num_rows = _num_rows(length, axis, output_size, scale_factors)
    # PyTorch copies then, whatever a given factor says, but no cubics.
    if taps is _linear_taps and num_rows == length:
      continue
    if num_rows * length > _MAX_WEIGHTS:
      raise Unsupported(f'{num_rows:,} rows of {length:,} pixels')
    rows = np.arange(num_rows, dtype=np.float32)
    if align_corners:
      step = np.float32((length - 1) / max(num_rows - 1, 1))
      places = rows * step
    else:
      is_given = scale_factors is not None
      step = np.float32(
        1 / scale_factors[axis] if is_given else length / num_rows
      )
      places = (rows + np.float32(0.5)) * step - np.float32(0.5)
      if taps is _linear_taps:
        places = np.maximum(places, 0)
    weights = np.zeros((num_rows, length), np.float32)
    first_rows = np.floor(places).astype(np.int64)
    for offset, shares in taps(places).items():
      sources = np.clip(first_rows + offset, 0, length - 1)
      np.add.at(weights, (np.arange(num_rows), sources), shares)
    images = jnp.moveaxis(
      jnp.tensordot(
        images,
        weights.astype(images.dtype),
        ((axis + 2,), (1,)),
        precision=lax.Precision.HIGHEST,
      ),
      *(-1, axis + 2),
    )
  return images


def upsample_bilinear2d(
  images: chex.Array,
  output_size: Sequence[int] | None,
  align_corners: bool,
  scale_factors: Sequence[float] | None = None,
) -> chex.Array:
  """Interpolates linearly between the two rows, and columns, around a place.

  Args:
    images: [N, C, H, W].
    output_size: (h, w).
    align_corners: whether the corners' middles stay where they are; else the
      corners themselves do.
    scale_factors: (h / H, w / W) instead of `output_size`.
  """
  return _interpolated(
    images, output_size, align_corners, scale_factors, _linear_taps
  )


def upsample_bicubic2d(
  images: chex.Array,
  output_size: Sequence[int] | None,
  align_corners: bool,
  scale_factors: Sequence[float] | None = None,
) -> chex.Array:
  """Interpolates by cubics of the four rows, and columns, around a place.

  Args:
    images: [N, C, H, W].
    output_size: see `upsample_bilinear2d`.
    align_corners: see `upsample_bilinear2d`.
    scale_factors: see `upsample_bilinear2d`.
  """
  return _interpolated(
    images, output_size, align_corners, scale_factors, _cubic_taps
  )


OPERATIONS = {
  'upsample_nearest2d.vec': upsample_nearest2d,
  '_upsample_nearest_exact2d.vec': upsample_nearest_exact2d,
  'upsample_bilinear2d.vec': upsample_bilinear2d,
  'upsample_bicubic2d.vec': upsample_bicubic2d,
}
