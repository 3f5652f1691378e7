"""Tensors in another shape, order or place, as PyTorch defines it."""

from collections.abc import Sequence

import chex
import jax.numpy as jnp
import numpy as np
from jax import lax

from dualgan_jax.teachers.torch_export.operations.unsupported import (
  Unsupported,
)

_PAD_MODES = {
  'constant': 'constant',
  'reflect': 'reflect',
  'replicate': 'edge',
  'circular': 'wrap',
}


def reshape(tensor: chex.Array, shape: Sequence[int]) -> chex.Array:
  """Returns the same numbers in another shape; -1 is what is left."""
  return tensor.reshape(tuple(shape))


def reshape_as(tensor: chex.Array, other: chex.Array) -> chex.Array:
  """Returns the same numbers in the shape of another tensor."""
  return tensor.reshape(other.shape)


def flatten(
  tensor: chex.Array, start_axis: int = 0, end_axis: int = -1
) -> chex.Array:
  """Joins the axes from one to another."""
  start, end = start_axis % tensor.ndim, end_axis % tensor.ndim
  joined = int(np.prod(tensor.shape[start : end + 1]))
  return tensor.reshape(*tensor.shape[:start], joined, *tensor.shape[end + 1 :])


def unflatten(
  tensor: chex.Array, axis: int, lengths: Sequence[int]
) -> chex.Array:
  """Splits an axis into several."""
  axis %= tensor.ndim
  return tensor.reshape(
    *tensor.shape[:axis], *lengths, *tensor.shape[axis + 1 :]
  )


def permute(tensor: chex.Array, axes: Sequence[int]) -> chex.Array:
  """Returns the axes in another order."""
  return tensor.transpose(tuple(axes))


def transpose_matrix(tensor: chex.Array) -> chex.Array:
  """Swaps the axes of a matrix."""
  return tensor.T


def transpose_last(tensor: chex.Array) -> chex.Array:
  """Swaps the last two axes."""
  return tensor.swapaxes(-1, -2)


def rotate(
  tensor: chex.Array, count: int = 1, axes: Sequence[int] = (0, 1)
) -> chex.Array:
  """Turns the plane of two axes by 90°, from the first towards the second."""
  return jnp.rot90(tensor, count, tuple(axes))


def join_columns(tensors: Sequence[chex.Array]) -> chex.Array:
  """Joins tensors along the second axis, vectors along their only one."""
  return jnp.hstack(tensors)


def diagonal(
  tensor: chex.Array, offset: int = 0, axis: int = 0, other_axis: int = 1
) -> chex.Array:
  """Returns the diagonal of two axes, as the last one."""
  return jnp.diagonal(tensor, offset, axis, other_axis)


def squeeze(
  tensor: chex.Array, axes: int | Sequence[int] | None = None
) -> chex.Array:
  """Removes axes of length 1; others stay."""
  if axes is None:
    axes = range(tensor.ndim)
  axes = (axes,) if isinstance(axes, int) else axes
  return tensor.squeeze(tuple(axis for axis in axes if tensor.shape[axis] == 1))


def concatenate(tensors: Sequence[chex.Array], axis: int = 0) -> chex.Array:
  """Joins tensors along an axis."""
  return jnp.concatenate(tensors, axis)


def stack(tensors: Sequence[chex.Array], axis: int = 0) -> chex.Array:
  """Joins tensors along a new axis."""
  return jnp.stack(tensors, axis)


def expand(
  tensor: chex.Array, shape: Sequence[int], implicit: bool = False
) -> chex.Array:
  """Repeats axes of length 1; a length of -1 stays as it is."""
  del implicit
  num_new_axes = len(shape) - tensor.ndim
  return jnp.broadcast_to(
    tensor,
    [
      tensor.shape[axis - num_new_axes] if length == -1 else length
      for axis, length in enumerate(shape)
    ],
  )


def expand_as(tensor: chex.Array, other: chex.Array) -> chex.Array:
  """Repeats axes of length 1, to the shape of another tensor."""
  return jnp.broadcast_to(tensor, other.shape)


def repeat(tensor: chex.Array, counts: Sequence[int]) -> chex.Array:
  """Repeats a tensor along each axis."""
  return jnp.tile(tensor, tuple(counts))


def pad(
  tensor: chex.Array,
  lengths: Sequence[int],
  mode: str = 'constant',
  filling: float | None = None,
) -> chex.Array:
  """Adds to both ends of the last axes; negative lengths take away.

  Args:
    tensor: any.
    lengths: before and after the last axis, the one before it, and so on.
    mode: 'constant', 'reflect', 'replicate' or 'circular'.
    filling: of 'constant', 0 if None.
  """
  pads = [(0, 0)] * tensor.ndim
  pairs = zip(lengths[::2], lengths[1::2], strict=True)
  for axis, (low, high) in enumerate(pairs, start=1):
    pads[-axis] = (low, high)
  if mode == 'constant':
    zero = jnp.asarray(filling or 0, tensor.dtype)
    return lax.pad(tensor, zero, [(low, high, 0) for low, high in pads])
  if min(lengths) < 0:
    raise Unsupported(f'negative padding of mode {mode!r}')
  # As in PyTorch; JAX would go through the axis again and again.
  reach = mode == 'reflect'
  if mode != 'replicate' and any(
    max(pair) > tensor.shape[axis] - reach for axis, pair in enumerate(pads)
  ):
    raise Unsupported(f'padding of mode {mode!r} beyond the axis itself')
  return jnp.pad(tensor, pads, mode=_PAD_MODES[mode])


def pad_constant(
  tensor: chex.Array, lengths: Sequence[int], filling: float = 0
) -> chex.Array:
  """Adds a number to both ends of the last axes, see `pad`."""
  return pad(tensor, lengths, 'constant', filling)


def roll(
  tensor: chex.Array,
  shifts: int | Sequence[int],
  axes: int | Sequence[int] = (),
) -> chex.Array:
  """Shifts along axes; what leaves at one end enters at the other."""
  if not axes and not isinstance(axes, int):
    raise Unsupported('roll without axes')
  return jnp.roll(tensor, shifts, axes)


def flip(tensor: chex.Array, axes: Sequence[int]) -> chex.Array:
  """Reverses axes."""
  return jnp.flip(tensor, tuple(axes))


def lower_triangle(tensor: chex.Array, diagonal: int = 0) -> chex.Array:
  """Returns matrices with 0 above a diagonal."""
  return jnp.tril(tensor, diagonal)


def upper_triangle(tensor: chex.Array, diagonal: int = 0) -> chex.Array:
  """Returns matrices with 0 below a diagonal."""
  return jnp.triu(tensor, diagonal)


def meshgrid(
  tensors: Sequence[chex.Array], indexing: str = 'ij'
) -> list[chex.Array]:
  """Repeats vectors to the axes of a grid."""
  return list(jnp.meshgrid(*tensors, indexing=indexing))


def pixel_unshuffle(images: chex.Array, factor: int) -> chex.Array:
  """Turns [N, C, H r, W r] into [N, C r², H, W]."""
  num_images, num_channels, height, width = images.shape
  parts = images.reshape(
    *(num_images, num_channels),
    *(height // factor, factor, width // factor, factor),
  )
  return parts.transpose(0, 1, 3, 5, 2, 4).reshape(
    *(num_images, num_channels * factor**2),
    *(height // factor, width // factor),
  )


def pixel_shuffle(images: chex.Array, factor: int) -> chex.Array:
  """Turns [N, C r², H, W] into [N, C, H r, W r]."""
  num_images, num_channels, height, width = images.shape
  parts = images.reshape(num_images, -1, factor, factor, height, width)
  return parts.transpose(0, 1, 4, 2, 5, 3).reshape(
    num_images, num_channels // factor**2, height * factor, width * factor
  )


def channel_shuffle(features: chex.Array, groups: int) -> chex.Array:
  """Interleaves groups of channels."""
  num_images, num_channels, *image_size = features.shape
  parts = features.reshape(
    num_images, groups, num_channels // groups, *image_size
  )
  return parts.swapaxes(1, 2).reshape(features.shape)


OPERATIONS = {
  'view.default': reshape,
  'reshape.default': reshape,
  'view_as.default': reshape_as,
  'reshape_as.default': reshape_as,
  '_unsafe_view.default': reshape,
  'flatten.using_ints': flatten,
  'unflatten.int': unflatten,
  'permute.default': permute,
  'transpose.int': jnp.swapaxes,
  'swapaxes.default': jnp.swapaxes,
  'swapdims.default': jnp.swapaxes,
  't.default': transpose_matrix,
  'mT.default': transpose_last,
  'adjoint.default': transpose_last,
  'rot90.default': rotate,
  'hstack.default': join_columns,
  'diagonal.default': diagonal,
  'numpy_T.default': jnp.transpose,
  'movedim.int': jnp.moveaxis,
  'movedim.intlist': jnp.moveaxis,
  'unsqueeze.default': jnp.expand_dims,
  'squeeze.default': squeeze,
  'squeeze.dim': squeeze,
  'squeeze.dims': squeeze,
  'cat.default': concatenate,
  'concat.default': concatenate,
  'stack.default': stack,
  'expand.default': expand,
  'expand_as.default': expand_as,
  'broadcast_to.default': expand,
  'repeat.default': repeat,
  'tile.default': repeat,
  'tril.default': lower_triangle,
  'triu.default': upper_triangle,
  'meshgrid.indexing': meshgrid,
  'meshgrid.default': meshgrid,
  'pad.default': pad,
  'constant_pad_nd.default': pad_constant,
  'roll.default': roll,
  'flip.default': flip,
  'pixel_shuffle.default': pixel_shuffle,
  'pixel_unshuffle.default': pixel_unshuffle,
  'channel_shuffle.default': channel_shuffle,
}
