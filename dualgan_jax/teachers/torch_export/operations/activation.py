"""Activations, as PyTorch defines them."""

import chex
import jax
import jax.numpy as jnp

from dualgan_jax.teachers.torch_export.operations.unsupported import (
  Unsupported,
)


def hardtanh(
  features: chex.Array, min_val: float = -1.0, max_val: float = 1.0
) -> chex.Array:
  """Computes min(max(features, min_val), max_val)."""
  return jnp.clip(features, min_val, max_val)


def gelu(features: chex.Array, approximate: str = 'none') -> chex.Array:
  """Computes features * Φ(features), Φ the normal distribution."""
  return jax.nn.gelu(features, approximate=approximate == 'tanh')


def leaky_relu(
  features: chex.Array, negative_slope: float = 0.01
) -> chex.Array:
  """Computes max(features, 0) + negative_slope * min(features, 0)."""
  return jax.nn.leaky_relu(features, negative_slope)


def elu(
  features: chex.Array,
  alpha: float = 1.0,
  scale: float = 1.0,
  input_scale: float = 1.0,
) -> chex.Array:
  """Computes scale * (x if x > 0 else alpha * (exp(input_scale * x) - 1))."""
  # Of large x the branch that is not taken would have no finite gradient.
  exponents = input_scale * jnp.minimum(features, 0)
  return scale * jnp.where(features > 0, features, alpha * jnp.expm1(exponents))


def celu(features: chex.Array, alpha: float = 1.0) -> chex.Array:
  """Computes max(x, 0) + min(alpha * (exp(x / alpha) - 1), 0)."""
  return elu(features, alpha, 1.0, 1 / alpha)


def threshold(features: chex.Array, limit: float, value: float) -> chex.Array:
  """Computes features where they are above a limit, a value elsewhere."""
  return jnp.where(features > limit, features, value)


def hard_shrink(features: chex.Array, limit: float = 0.5) -> chex.Array:
  """Computes features where |features| is above a limit, 0 elsewhere."""
  return jnp.where(jnp.abs(features) > limit, features, 0)


def soft_shrink(features: chex.Array, limit: float = 0.5) -> chex.Array:
  """Computes sign(features) * max(|features| - limit, 0)."""
  return features - jnp.clip(features, -limit, limit)


def rrelu(
  features: chex.Array,
  lower: float = 1 / 8,
  upper: float = 1 / 3,
  training: bool = False,
) -> chex.Array:
  """Computes `leaky_relu` with the slope (lower + upper) / 2."""
  if training:
    raise Unsupported('slopes drawn; call model.eval() before the export')
  return leaky_relu(features, (lower + upper) / 2)


def logit(features: chex.Array, eps: float | None = None) -> chex.Array:
  """Computes log(x / (1 - x)), x clipped to [eps, 1 - eps]."""
  if eps is not None:
    features = jnp.clip(features, eps, 1 - eps)
  return jnp.log(features / (1 - features))


def prelu(features: chex.Array, slopes: chex.Array) -> chex.Array:
  """Computes max(features, 0) + slopes * min(features, 0).

  Args:
    features: [N, C, ...].
    slopes: [C], or [1].
  """
  slopes = slopes.reshape(-1, *(1,) * max(features.ndim - 2, 0))
  return jnp.where(features > 0, features, slopes * features)


def softplus(
  features: chex.Array, beta: float = 1.0, threshold: float = 20.0
) -> chex.Array:
  """Computes log(1 + exp(beta * features)) / beta; linear above a threshold."""
  scaled = beta * features
  return jnp.where(scaled > threshold, features, jax.nn.softplus(scaled) / beta)


def softmax(
  features: chex.Array, axis: int, dtype: jnp.dtype | None = None
) -> chex.Array:
  """Computes exp(features) / Σ exp(features) along an axis."""
  return jax.nn.softmax(features.astype(dtype or features.dtype), axis)


def log_softmax(
  features: chex.Array, axis: int, dtype: jnp.dtype | None = None
) -> chex.Array:
  """Computes features - log Σ exp(features) along an axis."""
  return jax.nn.log_softmax(features.astype(dtype or features.dtype), axis)


def decomposed_softmax(
  features: chex.Array, axis: int, half_to_float: bool
) -> chex.Array:
  """Computes `softmax`, of half precision in single precision if asked to."""
  return softmax(features, axis, jnp.float32 if half_to_float else None)


def decomposed_log_softmax(
  features: chex.Array, axis: int, half_to_float: bool
) -> chex.Array:
  """Computes `log_softmax`, likewise."""
  return log_softmax(features, axis, jnp.float32 if half_to_float else None)


OPERATIONS = {
  'relu.default': jax.nn.relu,
  'relu6.default': jax.nn.relu6,
  'hardtanh.default': hardtanh,
  'hardswish.default': jax.nn.hard_swish,
  'hardsigmoid.default': jax.nn.hard_sigmoid,
  'silu.default': jax.nn.silu,
  'mish.default': jax.nn.mish,
  'sigmoid.default': jax.nn.sigmoid,
  'log_sigmoid.default': jax.nn.log_sigmoid,
  'tanh.default': jnp.tanh,
  'gelu.default': gelu,
  'leaky_relu.default': leaky_relu,
  'elu.default': elu,
  'selu.default': jax.nn.selu,
  'celu.default': celu,
  'rrelu.default': rrelu,
  'threshold.default': threshold,
  'hardshrink.default': hard_shrink,
  'softshrink.default': soft_shrink,
  'logit.default': logit,
  'prelu.default': prelu,
  'softplus.default': softplus,
  'glu.default': jax.nn.glu,
  # Of a program after `run_decompositions`.
  '_softmax.default': decomposed_softmax,
  '_log_softmax.default': decomposed_log_softmax,
  'softmax.int': softmax,
  'log_softmax.int': log_softmax,
}
