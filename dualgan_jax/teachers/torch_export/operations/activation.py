"""Activations, as PyTorch defines them."""

import chex
import jax
import jax.numpy as jnp


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
  'prelu.default': prelu,
  'softplus.default': softplus,
  'glu.default': jax.nn.glu,
  'softmax.int': softmax,
  'log_softmax.int': log_softmax,
}
