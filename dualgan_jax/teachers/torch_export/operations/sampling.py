"""Images [N, C, H, W] at places between pixels, as PyTorch defines it."""

from collections.abc import Sequence

import chex
import jax.numpy as jnp
from jax import lax

from dualgan_jax.teachers.torch_export.operations.unsupported import (
  Unsupported,
)

_BILINEAR, _NEAREST = 0, 1  # by their numbers in PyTorch
_ZEROS, _BORDER = 0, 1


def affine_grid(
  matrices: chex.Array, size: Sequence[int], align_corners: bool
) -> chex.Array:
  """Computes the places matrix · (x, y, 1) of an image's pixels (x, y).

  Args:
    matrices: [N, 2, 3].
    size: (N, C, H, W) of the images.
    align_corners: whether -1 and 1 are the middles of the first and the last
      pixel; else they are their outer edges.

  Returns:
    (x, y) in [N, H, W, 2].
  """
  ys, xs = (_coordinates(length, align_corners) for length in size[2:])
  xs, ys = jnp.meshgrid(xs, ys)
  points = jnp.stack([xs, ys, jnp.ones_like(xs)], -1)
  # In lower precision, whole pixels would be off.
  return jnp.einsum(
    'hwk,nik->nhwi', points, matrices, precision=lax.Precision.HIGHEST
  )


def _coordinates(length: int, align_corners: bool) -> chex.Array:
  """Returns where the pixels of an axis lie, from -1 to 1."""
  middles = jnp.linspace(-1, 1, length) if length > 1 else jnp.zeros(1)
  return middles if align_corners else middles * (length - 1) / length


def grid_sample(
  images: chex.Array,
  grid: chex.Array,
  interpolation_mode: int,
  padding_mode: int,
  align_corners: bool,
) -> chex.Array:
  """Interpolates images at places (x, y), from -1 to 1.

  Args:
    images: [N, C, H, W].
    grid: [N, h, w, 2].
    interpolation_mode: 0 weighs the four pixels around a place, 1 takes the
      nearest one.
    padding_mode: beyond the image there are zeros if 0, and its border if 1.
    align_corners: see `affine_grid`.

  Returns:
    [N, C, h, w].
  """
  if interpolation_mode not in (_BILINEAR, _NEAREST) or padding_mode not in (
    _ZEROS,
    _BORDER,
  ):
    raise Unsupported('cubic interpolation, or reflection at the border')
  places = []
  for axis, length in ((1, images.shape[2]), (0, images.shape[3])):
    place = grid[..., axis]
    if align_corners:
      place = (place + 1) / 2 * (length - 1)
    else:
      place = ((place + 1) * length - 1) / 2
    if padding_mode == _BORDER:
      place = jnp.clip(place, 0, length - 1)
    places.append(place)
  if interpolation_mode == _NEAREST:
    return _pixels(images, *map(jnp.round, places))
  rows, columns = map(jnp.floor, places)
  below, right = places[0] - rows, places[1] - columns
  return sum(
    jnp.expand_dims(row_weights * column_weights, 1)
    * _pixels(images, rows + down, columns + across)
    for down, row_weights in ((0, 1 - below), (1, below))
    for across, column_weights in ((0, 1 - right), (1, right))
  )


def _pixels(
  images: chex.Array, rows: chex.Array, columns: chex.Array
) -> chex.Array:
  """Returns the pixels [N, C, h, w] at rows and columns, 0 outside."""
  height, width = images.shape[2:]
  is_inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
  pixels = images[
    jnp.arange(len(images))[:, None, None],
    :,
    jnp.clip(rows, 0, height - 1).astype(int),
    jnp.clip(columns, 0, width - 1).astype(int),
  ]
  return jnp.moveaxis(pixels, -1, 1) * jnp.expand_dims(is_inside, 1)


OPERATIONS = {
  'affine_grid_generator.default': affine_grid,
  'grid_sampler.default': grid_sample,
}
