"""Arithmetic number by number, as PyTorch defines it."""

import chex
import jax.numpy as jnp
from jax import lax

Number = chex.Array | float


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


def add_quotient(
  addend: Number, left: Number, right: Number, value: float = 1
) -> Number:
  """Computes addend + value * left / right."""
  return addend + value * (left / right)


def interpolate(start: Number, end: Number, weight: Number) -> Number:
  """Computes start + weight * (end - start)."""
  return start + weight * (end - start)


def replace_nan(
  values: chex.Array,
  nan: float | None = None,
  posinf: float | None = None,
  neginf: float | None = None,
) -> chex.Array:
  """Computes nan, 0 if None, in place of NaN, and finite numbers of ±∞."""
  return jnp.nan_to_num(values, nan=nan or 0.0, posinf=posinf, neginf=neginf)


def fractional_part(values: chex.Array) -> chex.Array:
  """Computes values - trunc(values)."""
  return values - jnp.trunc(values)


def fill(values: chex.Array, filling: Number) -> chex.Array:
  """Computes filling in place of each value."""
  return jnp.full_like(values, filling)


_BINARY = {
  'add': add,
  'sub': subtract,
  'rsub': subtract_from,
  'mul': multiply,
  'div': divide,
  'remainder': jnp.remainder,
  'fmod': jnp.fmod,
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
  'div.Scalar_mode': divide,
  'floor_divide.default': jnp.floor_divide,
  'floor_divide.Scalar': jnp.floor_divide,
  'remainder.Scalar_Tensor': jnp.remainder,
  'pow.Tensor_Scalar': jnp.power,
  'pow.Tensor_Tensor': jnp.power,
  'pow.Scalar': jnp.power,
  'neg.default': jnp.negative,
  'abs.default': jnp.abs,
  'sign.default': jnp.sign,
  'floor.default': jnp.floor,
  'ceil.default': jnp.ceil,
  'round.default': jnp.round,
  'trunc.default': jnp.trunc,
  'frac.default': fractional_part,
  'exp.default': jnp.exp,
  'exp2.default': jnp.exp2,
  'expm1.default': jnp.expm1,
  'log.default': jnp.log,
  'log2.default': jnp.log2,
  'log10.default': jnp.log10,
  'log1p.default': jnp.log1p,
  'sqrt.default': jnp.sqrt,
  'rsqrt.default': lax.rsqrt,
  'square.default': jnp.square,
  'reciprocal.default': jnp.reciprocal,
  'erf.default': lax.erf,
  'sin.default': jnp.sin,
  'cos.default': jnp.cos,
  'tan.default': jnp.tan,
  'atan.default': jnp.arctan,
  'atan2.default': jnp.arctan2,
  'sinh.default': jnp.sinh,
  'cosh.default': jnp.cosh,
  'clamp.default': clamp,
  'clamp.Tensor': clamp,
  'clamp_min.default': jnp.maximum,
  'clamp_max.default': jnp.minimum,
  'maximum.default': jnp.maximum,
  'minimum.default': jnp.minimum,
  'max.other': jnp.maximum,
  'min.other': jnp.minimum,
  'where.self': jnp.where,
  'where.Scalar': jnp.where,
  'where.ScalarSelf': jnp.where,
  'where.ScalarOther': jnp.where,
  'nan_to_num.default': replace_nan,
  'isnan.default': jnp.isnan,
  'masked_fill.Scalar': masked_fill,
  'masked_fill.Tensor': masked_fill,
  'logical_not.default': jnp.logical_not,
  'logical_and.default': jnp.logical_and,
  'logical_or.default': jnp.logical_or,
  'logical_xor.default': jnp.logical_xor,
  'bitwise_not.default': jnp.bitwise_not,
  'bitwise_and.Tensor': jnp.bitwise_and,
  'bitwise_or.Tensor': jnp.bitwise_or,
  'bitwise_xor.Tensor': jnp.bitwise_xor,
  '__and__.Tensor': jnp.bitwise_and,
  '__or__.Tensor': jnp.bitwise_or,
  '__xor__.Tensor': jnp.bitwise_xor,
  'hypot.default': jnp.hypot,
  'addcmul.default': add_product,
  'addcdiv.default': add_quotient,
  'lerp.Tensor': interpolate,
  'lerp.Scalar': interpolate,
  'fill.Scalar': fill,
  'fill.Tensor': fill,
  'zero.default': jnp.zeros_like,
}
