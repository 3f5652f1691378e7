"""Arithmetic number by number, and sums over axes, as PyTorch defines them."""

from collections.abc import Sequence

import chex
import jax
import jax.numpy as jnp
from jax import lax

Number = chex.Array | float
# An axis, several, or all of them if None or ().
Axes = int | Sequence[int] | None


def add(left: Number, right: Number, alpha: float = 1) -> Number:
  """Computes left + alpha * right."""
  return left + (right if alpha == 1 else alpha * right)


def subtract(left: Number, right: Number, alpha: float = 1) -> Number:
  """Computes left - alpha * right."""
  return left - (right if alpha == 1 else alpha * right)


def subtract_from(left: Number, right: Number, alpha: float = 1) -> Number:
  """Computes right - alpha * left."""
  return subtract(right, left, alpha)


def multiply(left: Number, right: Number) -> Number:
  """Computes left * right."""
  return left * right


def divide(
  left: Number, right: Number, rounding_mode: str | None = None
) -> Number:
  """Computes left / right, and rounds it down or towards 0."""
  quotient = left / right
  match rounding_mode:
    case 'floor':
      return jnp.floor(quotient)
    case 'trunc':
      return jnp.trunc(quotient)
  return quotient


def clamp(
  values: chex.Array,
  minimum: Number | None = None,
  maximum: Number | None = None,
) -> chex.Array:
  """Computes min(max(values, minimum), maximum)."""
  return jnp.clip(values, minimum, maximum)


def masked_fill(
  values: chex.Array, mask: chex.Array, filling: Number
) -> chex.Array:
  """Computes filling where the mask is true, values elsewhere."""
  return jnp.where(mask, filling, values)


def add_product(
  addend: Number, left: Number, right: Number, value: float = 1
) -> Number:
  """Computes addend + value * left * right."""
  return addend + value * (left * right)


def fill(values: chex.Array, filling: Number) -> chex.Array:
  """Computes filling in place of each value."""
  return jnp.full_like(values, filling)


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
    return jnp.sqrt(sums)
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


_BINARY = {
  'add': add,
  'sub': subtract,
  'rsub': subtract_from,
  'mul': multiply,
  'div': divide,
  'eq': jnp.equal,
  'ne': jnp.not_equal,
  'lt': jnp.less,
  'le': jnp.less_equal,
  'gt': jnp.greater,
  'ge': jnp.greater_equal,
}
OPERATIONS = {
  **{
    f'{name}.{overload}': function
    for name, function in _BINARY.items()
    for overload in ('Tensor', 'Scalar')
  },
  'div.Tensor_mode': divide,
  'pow.Tensor_Scalar': jnp.power,
  'pow.Tensor_Tensor': jnp.power,
  'pow.Scalar': jnp.power,
  'neg.default': jnp.negative,
  'abs.default': jnp.abs,
  'exp.default': jnp.exp,
  'log.default': jnp.log,
  'sqrt.default': jnp.sqrt,
  'rsqrt.default': lax.rsqrt,
  'square.default': jnp.square,
  'reciprocal.default': jnp.reciprocal,
  'erf.default': lax.erf,
  'sin.default': jnp.sin,
  'cos.default': jnp.cos,
  'clamp.default': clamp,
  'clamp.Tensor': clamp,
  'clamp_min.default': jnp.maximum,
  'clamp_max.default': jnp.minimum,
  'maximum.default': jnp.maximum,
  'minimum.default': jnp.minimum,
  'max.other': jnp.maximum,
  'min.other': jnp.minimum,
  'where.self': jnp.where,
  'masked_fill.Scalar': masked_fill,
  'masked_fill.Tensor': masked_fill,
  'logical_not.default': jnp.logical_not,
  'bitwise_not.default': jnp.bitwise_not,
  'addcmul.default': add_product,
  'fill.Scalar': fill,
  'fill.Tensor': fill,
  'zero.default': jnp.zeros_like,
  'cumsum.default': cumulated,
  'mean.default': mean,
  'mean.dim': mean,
  'sum.default': total,
  'sum.dim_IntList': total,
  'var.correction': variance,
  'std.correction': standard_deviation,
  'var_mean.correction': variance_and_mean,
  'linalg_vector_norm.default': norm,
  'norm.ScalarOpt_dim': norm,
  'amax.default': maximum_along,
  'amin.default': minimum_along,
  'max.default': maximum_along,
  'min.default': minimum_along,
  'max.dim': maximum_and_place,
  'logsumexp.default': log_of_total,
}
