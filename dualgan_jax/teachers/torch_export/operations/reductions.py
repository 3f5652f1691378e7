"""Sums, moments and extrema over axes, as PyTorch defines them."""

from collections.abc import Callable, Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp

# An axis, several, or all of them if None or ().
Axes = int | Sequence[int] | None


def cumulated(
  values: chex.Array, axis: int, dtype: jnp.dtype | None = None
) -> chex.Array:
  """Computes the sums of all values up to each along an axis."""
  return _summands(values, dtype).cumsum(axis)


def _summands(values: chex.Array, dtype: jnp.dtype | None) -> chex.Array:
  """Widens integers and truth values, whose sums PyTorch makes of int64."""
  if dtype is None and not jnp.issubdtype(values.dtype, jnp.inexact):
    dtype = jax.dtypes.canonicalize_dtype(jnp.int64)
  return _cast(values, dtype)


def _cast(values: chex.Array, dtype: jnp.dtype | None) -> chex.Array:
  return values if dtype is None else values.astype(dtype)


def _axes(values: chex.Array, axes: Axes) -> tuple[int, ...]:
  """Lists axes; PyTorch writes all of them as None or ()."""
  if axes is None or axes == [] or axes == ():
    return tuple(range(values.ndim))
  return (axes,) if isinstance(axes, int) else tuple(axes)


def mean(
  values: chex.Array,
  axes: Axes = None,
  keepdim: bool = False,
  dtype: jnp.dtype | None = None,
) -> chex.Array:
  """Computes the mean over axes."""
  return _cast(values, dtype).mean(_axes(values, axes), keepdims=keepdim)


def total(
  values: chex.Array,
  axes: Axes = None,
  keepdim: bool = False,
  dtype: jnp.dtype | None = None,
) -> chex.Array:
  """Computes the sum over axes."""
  return _summands(values, dtype).sum(_axes(values, axes), keepdims=keepdim)


def product(
  values: chex.Array,
  axis: int | None = None,
  keepdim: bool = False,
  dtype: jnp.dtype | None = None,
) -> chex.Array:
  """Computes the product along an axis, or of all values."""
  return _summands(values, dtype).prod(_axes(values, axis), keepdims=keepdim)


def variance(
  values: chex.Array,
  axes: Axes = None,
  correction: float | None = None,
  keepdim: bool = False,
) -> chex.Array:
  """Computes Σ (values - mean)² / (n - correction) over axes."""
  return values.var(
    _axes(values, axes),
    ddof=1 if correction is None else correction,
    keepdims=keepdim,
  )


def standard_deviation(
  values: chex.Array,
  axes: Axes = None,
  correction: float | None = None,
  keepdim: bool = False,
) -> chex.Array:
  """Computes √ of `variance`."""
  return jnp.sqrt(variance(values, axes, correction, keepdim))


def variance_and_mean(
  values: chex.Array,
  axes: Axes = None,
  correction: float | None = None,
  keepdim: bool = False,
) -> tuple[chex.Array, chex.Array]:
  """Computes `variance` and `mean`."""
  return (
    variance(values, axes, correction, keepdim),
    mean(values, axes, keepdim),
  )


def deviation_and_mean(
  values: chex.Array,
  axes: Axes = None,
  correction: float | None = None,
  keepdim: bool = False,
) -> tuple[chex.Array, chex.Array]:
  """Computes `standard_deviation` and `mean`."""
  return (
    standard_deviation(values, axes, correction, keepdim),
    mean(values, axes, keepdim),
  )


def _over_axes(moments: Callable[..., Any]) -> Callable[..., Any]:
  """Makes the overload with `unbiased`, a correction by 1, after the axes."""

  def moments_of_axes(
    values: chex.Array, axes: Axes, unbiased: bool = True, keepdim: bool = False
  ) -> Any:
    return moments(values, axes, int(unbiased), keepdim)

  return moments_of_axes


def _over_all(moments: Callable[..., Any]) -> Callable[..., Any]:
  """Makes the overload with `unbiased` alone, of all values."""
  return lambda values, unbiased=True: moments(values, None, int(unbiased))


def norm(
  values: chex.Array,
  order: float = 2,
  axes: Axes = None,
  keepdim: bool = False,
  dtype: jnp.dtype | None = None,
) -> chex.Array:
  """Computes (Σ |values|^order)^(1 / order) over axes.

  Order 0 counts what is not zero; ±∞ give the maximum and the minimum.
  """
  magnitudes = jnp.abs(_cast(values, dtype))
  axes = _axes(values, axes)
  if order == 2:
    sums = jnp.square(magnitudes).sum(axes, keepdims=keepdim)
    # As in PyTorch, a root of 0 has the gradient 0.
    return jnp.where(sums > 0, jnp.sqrt(jnp.where(sums > 0, sums, 1)), 0)
  if order == jnp.inf:
    return magnitudes.max(axes, keepdims=keepdim)
  if order == -jnp.inf:
    return magnitudes.min(axes, keepdims=keepdim)
  if order == 0:
    return (magnitudes > 0).sum(axes, keepdims=keepdim).astype(values.dtype)
  return (magnitudes**order).sum(axes, keepdims=keepdim) ** (1 / order)


def log_of_total(
  values: chex.Array, axes: Axes, keepdim: bool = False
) -> chex.Array:
  """Computes log Σ exp(values) over axes."""
  return jax.nn.logsumexp(values, _axes(values, axes), keepdims=keepdim)


def maximum_along(
  values: chex.Array, axes: Axes = None, keepdim: bool = False
) -> chex.Array:
  """Computes the maximum over axes."""
  return values.max(_axes(values, axes), keepdims=keepdim)


def minimum_along(
  values: chex.Array, axes: Axes = None, keepdim: bool = False
) -> chex.Array:
  """Computes the minimum over axes."""
  return values.min(_axes(values, axes), keepdims=keepdim)


def maximum_and_place(
  values: chex.Array, axis: int, keepdim: bool = False
) -> tuple[chex.Array, chex.Array]:
  """Computes the maximum along an axis, and where it stands."""
  return (
    values.max(axis, keepdims=keepdim),
    values.argmax(axis, keepdims=keepdim),
  )


def minimum_and_place(
  values: chex.Array, axis: int, keepdim: bool = False
) -> tuple[chex.Array, chex.Array]:
  """Computes the minimum along an axis, and where it stands."""
  return (
    values.min(axis, keepdims=keepdim),
    values.argmin(axis, keepdims=keepdim),
  )


def place_of_maximum(
  values: chex.Array, axis: int | None = None, keepdim: bool = False
) -> chex.Array:
  """Computes where the maximum stands, along an axis or in all values."""
  return values.argmax(axis, keepdims=keepdim)


def cumulated_product(
  values: chex.Array, axis: int, dtype: jnp.dtype | None = None
) -> chex.Array:
  """Computes the products of all values up to each along an axis."""
  return _summands(values, dtype).cumprod(axis)


def all_along(
  values: chex.Array, axes: Axes = None, keepdim: bool = False
) -> chex.Array:
  """Computes whether all values over axes are true."""
  return values.astype(bool).all(_axes(values, axes), keepdims=keepdim)


def any_along(
  values: chex.Array, axes: Axes = None, keepdim: bool = False
) -> chex.Array:
  """Computes whether any value over axes is true."""
  return values.astype(bool).any(_axes(values, axes), keepdims=keepdim)


_MOMENTS = {
  'var': variance,
  'std': standard_deviation,
  'var_mean': variance_and_mean,
  'std_mean': deviation_and_mean,
}
OPERATIONS = {
  'cumsum.default': cumulated,
  'cumprod.default': cumulated_product,
  'argmax.default': place_of_maximum,
  'mean.default': mean,
  'mean.dim': mean,
  'sum.default': total,
  'sum.dim_IntList': total,
  'prod.default': lambda values, dtype=None: product(values, dtype=dtype),
  'prod.dim_int': product,
  **{f'{name}.correction': moments for name, moments in _MOMENTS.items()},
  **{f'{name}.dim': _over_axes(moments) for name, moments in _MOMENTS.items()},
  **{
    f'{name}.default': _over_all(moments) for name, moments in _MOMENTS.items()
  },
  'linalg_vector_norm.default': norm,
  'norm.ScalarOpt_dim': norm,
  'amax.default': maximum_along,
  'amin.default': minimum_along,
  'max.default': maximum_along,
  'min.default': minimum_along,
  'max.dim': maximum_and_place,
  'min.dim': minimum_and_place,
  'all.default': all_along,
  'all.dim': all_along,
  'any.default': any_along,
  'any.dim': any_along,
  'logsumexp.default': log_of_total,
}
