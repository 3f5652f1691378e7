"""New tensors, copies and types, as PyTorch defines them."""

from collections.abc import Sequence

import chex
import jax.numpy as jnp

from dualgan_jax.teachers.torch_export.operations.unsupported import (
  Unsupported,
)


def identity(tensor: chex.Array, *options: object) -> chex.Array:
  """Returns a tensor as it is: copies, layouts and devices change no number."""
  del options
  return tensor


def dropout(tensor: chex.Array, share: float, train: bool) -> chex.Array:
  """Returns a tensor as it is, which dropout does after training."""
  del share
  if train:
    raise Unsupported('dropout; call model.eval() before the export')
  return tensor


def cast(tensor: chex.Array, dtype: jnp.dtype, *options: object) -> chex.Array:
  """Converts a tensor to another type."""
  del options
  return tensor.astype(dtype)


def cast_on_device(
  tensor: chex.Array,
  device: object = None,
  dtype: jnp.dtype | None = None,
  *options: object,
) -> chex.Array:
  """Converts a tensor to another type, if there is one."""
  del device, options
  return tensor if dtype is None else tensor.astype(dtype)


def cast_optionally(
  tensor: chex.Array, dtype: jnp.dtype | None = None, *options: object
) -> chex.Array:
  """Converts a tensor to another type, if there is one."""
  del options
  return tensor if dtype is None else tensor.astype(dtype)


def cast_like(tensor: chex.Array, other: chex.Array) -> chex.Array:
  """Converts a tensor to the type of another."""
  return tensor.astype(other.dtype)


def zeros(shape: Sequence[int], dtype: jnp.dtype | None = None) -> chex.Array:
  """Makes a tensor of zeros."""
  return jnp.zeros(tuple(shape), dtype or jnp.float32)


def ones(shape: Sequence[int], dtype: jnp.dtype | None = None) -> chex.Array:
  """Makes a tensor of ones."""
  return jnp.ones(tuple(shape), dtype or jnp.float32)


def full(
  shape: Sequence[int], filling: float, dtype: jnp.dtype | None = None
) -> chex.Array:
  """Makes a tensor of one number."""
  return jnp.full(tuple(shape), filling, dtype)


def scalar_tensor(number: float, dtype: jnp.dtype | None = None) -> chex.Array:
  """Makes a tensor without axes."""
  return jnp.asarray(number, dtype)


def zeros_like(
  tensor: chex.Array, dtype: jnp.dtype | None = None
) -> chex.Array:
  """Makes a tensor of zeros in another's shape."""
  return jnp.zeros_like(tensor, dtype)


def ones_like(tensor: chex.Array, dtype: jnp.dtype | None = None) -> chex.Array:
  """Makes a tensor of ones in another's shape."""
  return jnp.ones_like(tensor, dtype)


def new_zeros(
  tensor: chex.Array, shape: Sequence[int], dtype: jnp.dtype | None = None
) -> chex.Array:
  """Makes a tensor of zeros in another's type."""
  return jnp.zeros(tuple(shape), dtype or tensor.dtype)


def new_ones(
  tensor: chex.Array, shape: Sequence[int], dtype: jnp.dtype | None = None
) -> chex.Array:
  """Makes a tensor of ones in another's type."""
  return jnp.ones(tuple(shape), dtype or tensor.dtype)


def full_like(
  tensor: chex.Array, filling: float, dtype: jnp.dtype | None = None
) -> chex.Array:
  """Makes a tensor of one number in another's shape."""
  return jnp.full_like(tensor, filling, dtype)


def new_full(
  tensor: chex.Array,
  shape: Sequence[int],
  filling: float,
  dtype: jnp.dtype | None = None,
) -> chex.Array:
  """Makes a tensor of one number in another's type."""
  return jnp.full(tuple(shape), filling, dtype or tensor.dtype)


def linspace(
  start: float, end: float, steps: int, dtype: jnp.dtype | None = None
) -> chex.Array:
  """Makes numbers from start to end, all as far from the next one."""
  return jnp.linspace(start, end, steps, dtype=dtype)


def eye(length: int, dtype: jnp.dtype | None = None) -> chex.Array:
  """Makes a matrix with 1 in its diagonal and 0 elsewhere."""
  return jnp.eye(length, dtype=dtype or jnp.float32)


def eye_of_shape(
  height: int, width: int, dtype: jnp.dtype | None = None
) -> chex.Array:
  """Makes a matrix of any shape with 1 in its diagonal and 0 elsewhere."""
  return jnp.eye(height, width, dtype=dtype or jnp.float32)


def arange(end: int, dtype: jnp.dtype | None = None) -> chex.Array:
  """Makes the numbers 0, 1, … before end."""
  return jnp.arange(end, dtype=dtype)


def arange_from(
  start: int, end: int, step: int = 1, dtype: jnp.dtype | None = None
) -> chex.Array:
  """Makes the numbers start, start + step, … before end."""
  return jnp.arange(start, end, step, dtype=dtype)


OPERATIONS = {
  'dropout.default': dropout,
  'feature_dropout.default': dropout,
  'alpha_dropout.default': dropout,
  'feature_alpha_dropout.default': dropout,
  'contiguous.default': identity,
  'clone.default': identity,
  'detach.default': identity,
  'detach_.default': identity,
  'alias.default': identity,
  'lift_fresh_copy.default': identity,
  'to.dtype': cast,
  'to.device': cast_on_device,
  'to.dtype_layout': cast_optionally,
  '_to_copy.default': cast_optionally,
  'type_as.default': cast_like,
  'to.other': cast_like,
  'zeros.default': zeros,
  'ones.default': ones,
  'full.default': full,
  'scalar_tensor.default': scalar_tensor,
  'zeros_like.default': zeros_like,
  'ones_like.default': ones_like,
  'full_like.default': full_like,
  # What they hold is open until something is written there.
  'empty.memory_format': zeros,
  'empty_like.default': zeros_like,
  'new_empty.default': new_zeros,
  'new_zeros.default': new_zeros,
  'new_ones.default': new_ones,
  'new_full.default': new_full,
  'linspace.default': linspace,
  'eye.default': eye,
  'eye.m': eye_of_shape,
  'arange.default': arange,
  'arange.start': arange_from,
  'arange.start_step': arange_from,
}
