"""Pools of images [N, C, H, W], as PyTorch defines them."""

import math
from collections.abc import Sequence

import chex
import jax.numpy as jnp
import numpy as np
from jax import lax

from dualgan_jax.teachers.torch_export.operations.linear import (
  Lengths,
  per_axis,
)
from dualgan_jax.teachers.torch_export.operations.shape import MAX_PARTS
from dualgan_jax.teachers.torch_export.operations.unsupported import (
  Unsupported,
)

_NUM_AXES = 2
_MAX_WEIGHTS = 2**24  # of an adaptive pool, far more than a net needs


def _pads(
  image_size: tuple[int, ...],
  window: tuple[int, ...],
  strides: tuple[int, ...],
  padding: tuple[int, ...],
  ceil_mode: bool,
) -> list[tuple[int, int]]:
  """Lists what to add before and after each axis.

  With `ceil_mode`, a last window may reach beyond the padding, if it begins
  inside of it.
  """
  pads = []
  for length, size, stride, pad in zip(
    image_size, window, strides, padding, strict=True
  ):
    num_steps = (length + 2 * pad - size) / stride
    last_start = stride * (
      math.ceil(num_steps) if ceil_mode else math.floor(num_steps)
    )
    if last_start >= length + pad:
      last_start -= stride
    pads.append((pad, max(last_start + size - length - pad, pad)))
  return pads


def max_pool2d(
  images: chex.Array,
  kernel_size: Lengths,
  stride: Lengths = (),
  padding: Lengths = 0,
  dilation: Lengths = 1,
  ceil_mode: bool = False,
) -> chex.Array:
  """Computes the maximum of each window; what is padded never is.

  Args:
    images: [N, C, H, W].
    kernel_size: of the window.
    stride: of the windows; their size if ().
    padding: at both ends.
    dilation: distance of a window's pixels.
    ceil_mode: whether a last window may be cut off.
  """
  kernel, strides, padding, dilation = (
    per_axis(lengths, _NUM_AXES)
    for lengths in (kernel_size, stride or kernel_size, padding, dilation)
  )
  window = tuple(
    step * (size - 1) + 1 for step, size in zip(dilation, kernel, strict=True)
  )
  pads = _pads(images.shape[2:], window, strides, padding, ceil_mode)
  return lax.reduce_window(
    images,
    -jnp.inf,
    lax.max,
    (1, 1, *kernel),
    (1, 1, *strides),
    ((0, 0), (0, 0), *pads),
    window_dilation=(1, 1, *dilation),
  )


def avg_pool2d(
  images: chex.Array,
  kernel_size: Lengths,
  stride: Lengths = (),
  padding: Lengths = 0,
  ceil_mode: bool = False,
  count_include_pad: bool = True,
  divisor_override: int | None = None,
) -> chex.Array:
  """Computes the mean of each window.

  Args:
    images: [N, C, H, W].
    kernel_size: of the window.
    stride: of the windows; their size if ().
    padding: of zeros, at both ends.
    ceil_mode: whether a last window may be cut off.
    count_include_pad: whether padded zeros count; what `ceil_mode` adds never
      does.
    divisor_override: to divide the sums by, instead of counts.
  """
  kernel, strides, padding = (
    per_axis(lengths, _NUM_AXES)
    for lengths in (kernel_size, stride or kernel_size, padding)
  )
  pads = _pads(images.shape[2:], kernel, strides, padding, ceil_mode)

  def window_sums(values, pads):
    return lax.reduce_window(
      values,
      0.0,
      lax.add,
      (1, 1, *kernel),
      (1, 1, *strides),
      ((0, 0), (0, 0), *pads),
    )

  sums = window_sums(images, pads)
  if divisor_override:
    return sums / divisor_override
  counted = jnp.ones((1, 1, *images.shape[2:]), images.dtype)
  if count_include_pad:
    low_and_high = [(length, length) for length in padding]
    counted = jnp.pad(
      counted, ((0, 0), (0, 0), *low_and_high), constant_values=1
    )
    pads = [(0, high - low) for low, high in pads]
  return sums / window_sums(counted, pads)


def _ranges(length: int, num_parts: int) -> list[slice]:
  """Lists the parts of an axis, ⌊i L / n⌋ to ⌈(i + 1) L / n⌉."""
  if num_parts > MAX_PARTS:
    raise Unsupported(f'more than {MAX_PARTS:,} parts')
  return [
    slice(part * length // num_parts, -(-(part + 1) * length // num_parts))
    for part in range(num_parts)
  ]


def adaptive_avg_pool2d(images: chex.Array, output_size: Lengths) -> chex.Array:
  """Computes the means of h × w parts, which may overlap.

  Args:
    images: [N, C, H, W].
    output_size: (h, w).
  """
  for axis, num_parts in zip(
    (-2, -1), per_axis(output_size, _NUM_AXES), strict=True
  ):
    length = images.shape[axis]
    if num_parts * length > _MAX_WEIGHTS:
      raise Unsupported(f'{num_parts:,} parts of {length:,} pixels')
    weights = np.zeros((num_parts, length), images.dtype)
    for row, part in zip(weights, _ranges(length, num_parts), strict=True):
      row[part] = 1 / (part.stop - part.start)
    images = jnp.moveaxis(
      jnp.tensordot(images, weights, ((axis,), (1,))), -1, axis
    )
  return images


def adaptive_max_pool2d(
  images: chex.Array, output_size: Lengths
) -> tuple[chex.Array, None]:
  """Computes the maxima of h × w parts, which may overlap.

  Args:
    images: [N, C, H, W].
    output_size: (h, w).

  Returns:
    The maxima, and None instead of their places.
  """
  for axis, num_parts in zip(
    (-2, -1), per_axis(output_size, _NUM_AXES), strict=True
  ):
    maxima = [
      lax.slice_in_dim(images, part.start, part.stop, axis=axis).max(axis)
      for part in _ranges(images.shape[axis], num_parts)
    ]
    images = jnp.stack(maxima, axis)
  return images, None


def upsample_nearest2d(
  images: chex.Array,
  output_size: Sequence[int] | None = None,
  scale_factors: Sequence[float] | None = None,
) -> chex.Array:
  """Repeats pixels: row i of n is row ⌊i H / n⌋ of H, rounded as in PyTorch.

  Args:
    images: [N, C, H, W].
    output_size: (h, w).
    scale_factors: (h / H, w / W) instead.
  """
  for axis, length in enumerate(images.shape[2:]):
    num_rows = (
      math.floor(length * scale_factors[axis])
      if output_size is None
      else output_size[axis]
    )
    if not 0 < num_rows <= MAX_PARTS:
      raise Unsupported(f'more than {MAX_PARTS:,} rows, or none')
    # A given factor counts exactly, unless the size stays or doubles. In
    # single precision, since ⌊⌋ turns a rounding into another row.
    if output_size is None and num_rows not in (length, 2 * length):
      step = np.float32(1 / scale_factors[axis])
    else:
      step = np.float32(length) / np.float32(num_rows)
    rows = np.floor(np.arange(num_rows, dtype=np.float32) * step)
    rows = np.minimum(rows, length - 1)
    images = jnp.take(images, rows.astype(np.int32), axis + 2)
  return images


OPERATIONS = {
  'upsample_nearest2d.vec': upsample_nearest2d,
  'max_pool2d.default': max_pool2d,
  'avg_pool2d.default': avg_pool2d,
  'adaptive_avg_pool2d.default': adaptive_avg_pool2d,
  'adaptive_max_pool2d.default': adaptive_max_pool2d,
}
