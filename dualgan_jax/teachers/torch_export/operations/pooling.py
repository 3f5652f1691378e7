"""Pools of features [N, C, ...], as PyTorch defines them."""

import math
from collections.abc import Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dualgan_jax.teachers.torch_export.operations.indexing import MAX_PARTS
from dualgan_jax.teachers.torch_export.operations.linear import (
  Lengths,
  per_axis,
)
from dualgan_jax.teachers.torch_export.operations.unsupported import (
  Unsupported,
)

_MAX_WEIGHTS = 2**24  # of an adaptive pool, far more than a net needs


def _pads(
  feature_size: tuple[int, ...],
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
    feature_size, window, strides, padding, strict=True
  ):
    num_steps = (length + 2 * pad - size) / stride
    last_start = stride * (
      math.ceil(num_steps) if ceil_mode else math.floor(num_steps)
    )
    if last_start >= length + pad:
      last_start -= stride
    pads.append((pad, max(last_start + size - length - pad, pad)))
  return pads


def max_pool(
  features: chex.Array,
  kernel_size: Lengths,
  stride: Lengths = (),
  padding: Lengths = 0,
  dilation: Lengths = 1,
  ceil_mode: bool = False,
) -> chex.Array:
  """Computes the maximum of each window; what is padded never is.

  Args:
    features: [N, C, ...].
    kernel_size: of the window.
    stride: of the windows; their size if ().
    padding: at both ends.
    dilation: distance of a window's pixels.
    ceil_mode: whether a last window may be cut off.
  """
  kernel, strides, padding, dilation = (
    per_axis(lengths, features.ndim - 2)
    for lengths in (kernel_size, stride or kernel_size, padding, dilation)
  )
  window = tuple(
    step * (size - 1) + 1 for step, size in zip(dilation, kernel, strict=True)
  )
  pads = _pads(features.shape[2:], window, strides, padding, ceil_mode)
  return lax.reduce_window(
    features,
    -jnp.inf,
    lax.max,
    (1, 1, *kernel),
    (1, 1, *strides),
    ((0, 0), (0, 0), *pads),
    window_dilation=(1, 1, *dilation),
  )


def max_pool_and_places(
  features: chex.Array, *options: Any
) -> tuple[chex.Array, None]:
  """Computes `max_pool`, and None instead of the maxima's places."""
  return max_pool(features, *options), None


def avg_pool(
  features: chex.Array,
  kernel_size: Lengths,
  stride: Lengths = (),
  padding: Lengths = 0,
  ceil_mode: bool = False,
  count_include_pad: bool = True,
  divisor_override: int | None = None,
) -> chex.Array:
  """Computes the mean of each window.

  Args:
    features: [N, C, ...].
    kernel_size: of the window.
    stride: of the windows; their size if ().
    padding: of zeros, at both ends.
    ceil_mode: whether a last window may be cut off.
    count_include_pad: whether padded zeros count; what `ceil_mode` adds never
      does.
    divisor_override: to divide the sums by, instead of counts.
  """
  kernel, strides, padding = (
    per_axis(lengths, features.ndim - 2)
    for lengths in (kernel_size, stride or kernel_size, padding)
  )
  pads = _pads(features.shape[2:], kernel, strides, padding, ceil_mode)

  def window_sums(values, pads):
    return lax.reduce_window(
      values,
      0.0,
      lax.add,
      (1, 1, *kernel),
      (1, 1, *strides),
      ((0, 0), (0, 0), *pads),
    )

  sums = window_sums(features, pads)
  if divisor_override:
    return sums / divisor_override
  counted = jnp.ones((1, 1, *features.shape[2:]), features.dtype)
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


def adaptive_avg_pool(
  features: chex.Array, output_size: Sequence[int]
) -> chex.Array:
  """Computes the means of equally long parts, which may overlap.

  Args:
    features: [N, C, ...].
    output_size: number of parts of each of the last axes.
  """
  for axis, num_parts in _adapted_axes(features, output_size):
    length = features.shape[axis]
    if num_parts * length > _MAX_WEIGHTS:
      raise Unsupported(f'{num_parts:,} parts of {length:,} pixels')
    weights = np.zeros((num_parts, length), features.dtype)
    for row, part in zip(weights, _ranges(length, num_parts), strict=True):
      row[part] = 1 / (part.stop - part.start)
    features = jnp.moveaxis(
      jnp.tensordot(features, weights, ((axis,), (1,))), -1, axis
    )
  return features


def adaptive_max_pool(
  features: chex.Array, output_size: Sequence[int]
) -> tuple[chex.Array, None]:
  """Computes the maxima of equally long parts, which may overlap.

  Args:
    features: [N, C, ...].
    output_size: see `adaptive_avg_pool`.

  Returns:
    The maxima, and None instead of their places.
  """
  for axis, num_parts in _adapted_axes(features, output_size):
    maxima = [
      lax.slice_in_dim(features, part.start, part.stop, axis=axis).max(axis)
      for part in _ranges(features.shape[axis], num_parts)
    ]
    features = jnp.stack(maxima, axis)
  return features, None


def _adapted_axes(
  features: chex.Array, output_size: Sequence[int]
) -> list[tuple[int, int]]:
  """Lists the last axes, and the number of parts of each."""
  first_axis = features.ndim - len(output_size)
  return [*enumerate(output_size, first_axis)]


def column_patches(
  images: chex.Array,
  kernel_size: Lengths,
  dilation: Lengths,
  padding: Lengths,
  stride: Lengths,
) -> chex.Array:
  """Returns the windows of images, [N, C h w, L]: `nn.Unfold`.

  Args:
    images: [N, C, H, W].
    kernel_size: (h, w) of the window.
    dilation: distance of a window's pixels.
    padding: of zeros, at both ends.
    stride: of the windows.
  """
  patches = lax.conv_general_dilated_patches(
    images,
    per_axis(kernel_size, 2),
    per_axis(stride, 2),
    [(length, length) for length in per_axis(padding, 2)],
    rhs_dilation=per_axis(dilation, 2),
    precision=lax.Precision.HIGHEST,
  )
  return patches.reshape(*patches.shape[:2], -1)


def sums_of_patches(
  columns: chex.Array, output_size: Lengths, *options: Lengths
) -> chex.Array:
  """Adds up windows where they came from, the transpose of `column_patches`.

  Args:
    columns: [N, C h w, L].
    output_size: (H, W).
    *options: those of `column_patches`.
  """
  window_size = math.prod(per_axis(options[0], 2))
  images = jax.ShapeDtypeStruct(
    (
      *(len(columns), columns.shape[1] // window_size),
      *per_axis(output_size, 2),
    ),
    columns.dtype,
  )
  transposed = jax.linear_transpose(
    lambda x: column_patches(x, *options), images
  )
  (sums,) = transposed(columns)
  return sums


OPERATIONS = {
  'max_pool1d.default': max_pool,
  'max_pool2d.default': max_pool,
  'max_pool2d_with_indices.default': max_pool_and_places,
  'avg_pool1d.default': avg_pool,
  'avg_pool2d.default': avg_pool,
  # Local response norm takes one over the channels.
  'avg_pool3d.default': avg_pool,
  'adaptive_avg_pool1d.default': adaptive_avg_pool,
  'adaptive_avg_pool2d.default': adaptive_avg_pool,
  '_adaptive_avg_pool2d.default': adaptive_avg_pool,
  'adaptive_max_pool1d.default': adaptive_max_pool,
  'adaptive_max_pool2d.default': adaptive_max_pool,
  'im2col.default': column_patches,
  'col2im.default': sums_of_patches,
}
