"""Tensors with other numbers in some places, as PyTorch defines them."""

from collections.abc import Sequence

import chex
import jax.numpy as jnp

from dualgan_jax.teachers.torch_export.operations import indexing
from dualgan_jax.teachers.torch_export.operations.unsupported import (
  Unsupported,
)


def copy(
  tensor: chex.Array, source: chex.Array, non_blocking: bool = False
) -> chex.Array:
  """Returns a source in the shape and type of a tensor."""
  del non_blocking
  return jnp.broadcast_to(source, tensor.shape).astype(tensor.dtype)


def slice_scatter(
  tensor: chex.Array,
  source: chex.Array,
  axis: int = 0,
  start: int | None = None,
  end: int | None = None,
  step: int = 1,
) -> chex.Array:
  """Returns a tensor with a source in place of its `slice_axis`."""
  indices = indexing.slice_indices(tensor, axis, start, end, step)
  # JAX would repeat a source of another shape.
  chex.assert_equal_shape((tensor[indices], source))
  return tensor.at[indices].set(source.astype(tensor.dtype))


def select_scatter(
  tensor: chex.Array, source: chex.Array, axis: int, index: int
) -> chex.Array:
  """Returns a tensor with a source in place of its `select`."""
  part = indexing.select(tensor, axis, index)
  chex.assert_equal_shape((part, source))
  index %= tensor.shape[axis]
  return slice_scatter(
    tensor, jnp.expand_dims(source, axis % tensor.ndim), axis, index, index + 1
  )


def index_put(
  tensor: chex.Array,
  indices: Sequence[chex.Array | None],
  source: chex.Array,
  accumulate: bool = False,
) -> chex.Array:
  """Returns a tensor with a source in place of tensor[indices], or added.

  Args:
    tensor: any.
    indices: None stands for a whole axis; truth values for their places.
    source: of a shape that broadcasts to that of tensor[indices].
    accumulate: whether to add.
  """
  source = source.astype(tensor.dtype)
  if any(entry is not None and entry.dtype == bool for entry in indices):
    mask = _mask_of(tensor, indices)
    if source.size != 1:
      raise Unsupported('as many numbers as a mask is true at')
    return jnp.where(mask, source + tensor if accumulate else source, tensor)
  places = tensor.at[indexing.full_indices(indices)]
  return places.add(source) if accumulate else places.set(source)


def _mask_of(
  tensor: chex.Array, indices: Sequence[chex.Array | None]
) -> chex.Array:
  """Returns a mask, the only index, in a shape that broadcasts to a tensor."""
  masks = [entry for entry in indices if entry is not None]
  if len(masks) > 1:
    raise Unsupported('several indices, one of them a mask')
  num_first_axes = len(indices) - 1
  num_last_axes = tensor.ndim - num_first_axes - masks[0].ndim
  return jnp.expand_dims(
    masks[0],
    (*range(num_first_axes), *range(-num_last_axes, 0)),
  )


def index_fill(
  tensor: chex.Array, axis: int, indices: chex.Array, filling: float
) -> chex.Array:
  """Returns a tensor with a number in some parts of an axis."""
  axes = [None] * (axis % tensor.ndim)
  return tensor.at[indexing.full_indices([*axes, indices])].set(filling)


OPERATIONS = {
  'copy.default': copy,
  'slice_scatter.default': slice_scatter,
  'select_scatter.default': select_scatter,
  'index_put.default': index_put,
  'index_fill.int_Scalar': index_fill,
}
