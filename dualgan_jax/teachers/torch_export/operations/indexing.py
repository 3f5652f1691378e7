"""Parts of tensors, as PyTorch defines them."""

from collections.abc import Sequence

import chex
import jax.numpy as jnp
import numpy as np
from jax import lax

from dualgan_jax.teachers.torch_export.operations.unsupported import (
  Unsupported,
)

# A hostile file must not make more.
MAX_PARTS = 2**12


def _check_count(num_parts: int) -> None:
  """Checks that there are not more parts than a net can need."""
  if num_parts > MAX_PARTS:
    raise Unsupported(f'more than {MAX_PARTS:,} parts')


def split(
  tensor: chex.Array, lengths: int | Sequence[int], axis: int = 0
) -> list[chex.Array]:
  """Splits an axis into parts of a length, the last shorter, or of several."""
  if isinstance(lengths, int):
    _check_count(tensor.shape[axis] // lengths)
    starts = list(range(lengths, tensor.shape[axis], lengths))
  else:
    starts = [int(start) for start in np.cumsum(lengths)[:-1]]
  return jnp.split(tensor, starts, axis)


def chunk(
  tensor: chex.Array, num_chunks: int, axis: int = 0
) -> list[chex.Array]:
  """Splits an axis into parts of the length ⌈L / num_chunks⌉."""
  return split(tensor, -(-tensor.shape[axis] // num_chunks), axis)


def split_evenly(
  tensor: chex.Array, num_parts: int, axis: int = 0
) -> list[chex.Array]:
  """Splits an axis into parts, the first of which may be longer by 1."""
  _check_count(num_parts)
  return jnp.array_split(tensor, num_parts, axis)


def unbind(tensor: chex.Array, axis: int = 0) -> list[chex.Array]:
  """Lists the parts of an axis, without it."""
  _check_count(tensor.shape[axis])
  return list(jnp.moveaxis(tensor, axis, 0))


def select(tensor: chex.Array, axis: int, index: int) -> chex.Array:
  """Returns one part of an axis, without it."""
  return lax.index_in_dim(tensor, index, axis, keepdims=False)


def slice_indices(
  tensor: chex.Array,
  axis: int,
  start: int | None,
  end: int | None,
  step: int,
) -> tuple[slice, ...]:
  """Returns the indices of every step-th part of an axis."""
  indices = [slice(None)] * tensor.ndim
  indices[axis] = slice(start, end, step)
  return tuple(indices)


def slice_axis(
  tensor: chex.Array,
  axis: int = 0,
  start: int | None = None,
  end: int | None = None,
  step: int = 1,
) -> chex.Array:
  """Returns every step-th part of an axis, from start to before end."""
  return tensor[slice_indices(tensor, axis, start, end, step)]


def narrow(
  tensor: chex.Array, axis: int, start: int, length: int
) -> chex.Array:
  """Returns some parts of an axis, from start on."""
  start += tensor.shape[axis] if start < 0 else 0
  return slice_axis(tensor, axis, start, start + length)


def full_indices(
  indices: Sequence[chex.Array | None],
) -> tuple[chex.Array | slice, ...]:
  """Returns indices as JAX takes them, where None stands for a whole axis."""
  return tuple(slice(None) if entry is None else entry for entry in indices)


def index(
  tensor: chex.Array, indices: Sequence[chex.Array | None]
) -> chex.Array:
  """Returns tensor[indices], None standing for a whole axis."""
  return tensor[full_indices(indices)]


def index_select(
  tensor: chex.Array, axis: int, indices: chex.Array
) -> chex.Array:
  """Returns some parts of an axis, in the order of their indices."""
  return jnp.take(tensor, indices, axis)


def embedding(
  weights: chex.Array, indices: chex.Array, *options: object
) -> chex.Array:
  """Returns rows of weights, in the order of their indices."""
  del options  # of training
  return jnp.take(weights, indices, 0)


def gather(
  tensor: chex.Array, axis: int, indices: chex.Array, sparse_grad: bool = False
) -> chex.Array:
  """Returns for each place the number that its index names along an axis."""
  del sparse_grad
  axis %= tensor.ndim
  # Other axes may be longer than those of the indices.
  parts = tuple(
    slice(None) if other == axis else slice(length)
    for other, length in enumerate(indices.shape)
  )
  return jnp.take_along_axis(tensor[parts], indices, axis)


def windows(tensor: chex.Array, axis: int, size: int, step: int) -> chex.Array:
  """Returns the windows of an axis, what is inside of them as the last one."""
  length = tensor.shape[axis]
  num_windows = (length - size) // step + 1
  if num_windows * size > MAX_PARTS:
    raise Unsupported(f'windows of more than {MAX_PARTS:,} parts')
  places = step * np.arange(num_windows)[:, None] + np.arange(size)
  axis %= tensor.ndim
  return jnp.moveaxis(jnp.take(tensor, places, axis), axis + 1, -1)


def repeat_parts(
  tensor: chex.Array,
  count: int,
  axis: int | None = None,
  output_size: int | None = None,
) -> chex.Array:
  """Repeats each part of an axis, or of the flattened tensor, on its own."""
  del output_size
  return jnp.repeat(tensor, count, axis)


OPERATIONS = {
  'split.Tensor': split,
  'split.sizes': split,
  'split_with_sizes.default': split,
  'chunk.default': chunk,
  'tensor_split.sections': split_evenly,
  'unbind.int': unbind,
  'select.int': select,
  'slice.Tensor': slice_axis,
  'narrow.default': narrow,
  'index.Tensor': index,
  'index_select.default': index_select,
  'embedding.default': embedding,
  'gather.default': gather,
  'unfold.default': windows,
  'repeat_interleave.self_int': repeat_parts,
}
