"""A bilinear resize, which CPUs compute as sums of a few neighbours."""

import chex
import jax
import jax.numpy as jnp
import numpy as np


def resize(features: chex.Array, size: tuple[int, int]) -> chex.Array:
  """Resizes as `jax.image.resize` does with 'bilinear'.

  It can be differentiated in reverse mode only.

  JAX multiplies each axis by a matrix, most of whose weights are 0. CPUs add
  the neighbours whose weights are not, which is faster.

  Args:
    features: [N, h, w, c].
    size: (height, width) of the result.

  Returns:
    [N, *size, c].
  """
  shape = (features.shape[0], *size, features.shape[-1])
  weights = [
    _bilinear_weights(old_size, new_size)
    for old_size, new_size in zip(features.shape[1:3], size, strict=True)
  ]

  def multiply(features):
    return jax.image.resize(features, shape, 'bilinear')

  @jax.custom_vjp
  def custom_resize(features):
    return jax.lax.platform_dependent(
      features,
      cpu=lambda features: _add_neighbours(features, weights),
      default=multiply,
    )

  def forward(features):
    return custom_resize(features), None

  def backward(_, output_gradient):
    # The resize is linear, so its transpose is the gradient.
    return (
      jax.lax.platform_dependent(
        output_gradient,
        cpu=lambda gradient: _add_neighbours(gradient, [w.T for w in weights]),
        default=lambda gradient: jax.linear_transpose(multiply, features)(
          gradient
        )[0],
      ),
    )

  custom_resize.defvjp(forward, backward)
  return custom_resize(features)


def _bilinear_weights(old_size: int, new_size: int) -> np.ndarray:
  """Computes how much of each old place a new one takes, [new, old].

  A triangle around the new place's centre, as wide as the places that are
  farther apart.
  """
  ratio = old_size / new_size
  centres = (np.arange(new_size) + 0.5) * ratio - 0.5
  distances = np.abs(centres[:, None] - np.arange(old_size))
  weights = np.maximum(1 - distances / max(ratio, 1), 0)
  # At the edges, neighbours are missing.
  return weights / weights.sum(axis=1, keepdims=True)


def _add_neighbours(
  features: chex.Array, weights: list[np.ndarray]
) -> chex.Array:
  """Multiplies axes 1 and 2 by [new, old] each, leaving out zeros."""
  result = jnp.asarray(features, jnp.promote_types(features.dtype, jnp.float32))
  for axis, axis_weights in enumerate(weights, start=1):
    new_size, old_size = axis_weights.shape
    if new_size != old_size:
      result = _add_axis_neighbours(result, axis, axis_weights)
  return result.astype(features.dtype)


def _add_axis_neighbours(
  features: chex.Array, axis: int, weights: np.ndarray
) -> chex.Array:
  """Multiplies one axis by [new, old], leaving out zeros."""
  other_axes = [other for other in range(features.ndim) if other != axis]
  # Weights that are not 0 stand in a row; near the end, zeros precede them.
  is_neighbour = weights != 0
  num_neighbours = is_neighbour.sum(axis=1).max()
  first = np.minimum(
    is_neighbour.argmax(axis=1), weights.shape[1] - num_neighbours
  )

  def weigh(places):
    # Along one axis alone, XLA would copy what it takes.
    indices = [np.arange(length) for length in features.shape[:3]]
    indices[axis] = places
    neighbours = features.at[jnp.ix_(*indices)].get(mode='promise_in_bounds')
    factors = np.take_along_axis(weights, places[:, None], axis=1)
    return neighbours * jnp.asarray(
      np.expand_dims(factors.ravel(), other_axes), features.dtype
    )

  return sum(map(weigh, first + np.arange(num_neighbours)[:, None]))
