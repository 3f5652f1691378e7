"""Convolutions and products of matrices, as PyTorch defines them."""

from collections.abc import Sequence

import chex
import jax
import jax.numpy as jnp
from jax import lax

from dualgan_jax.teachers.torch_export.operations.unsupported import (
  Unsupported,
)

# A number for all axes, or one per axis.
Lengths = int | Sequence[int]


def per_axis(lengths: Lengths, num_axes: int) -> tuple[int, ...]:
  """Repeats a number for each axis; takes a sequence as it is."""
  if isinstance(lengths, int):
    lengths = (lengths,)
  return tuple(lengths) * (num_axes if len(lengths) == 1 else 1)


def convolution(
  features: chex.Array,
  kernel: chex.Array,
  bias: chex.Array | None = None,
  stride: Lengths = 1,
  padding: Lengths | str = 0,
  dilation: Lengths = 1,
  groups: int = 1,
) -> chex.Array:
  """Computes Σ_k kernel[o, k] ⋆ features[n, k] + bias[o], over 1 or 2 axes.

  Args:
    features: [N, C, ...].
    kernel: [O, C / groups, ...].
    bias: [O].
    stride: step of the kernel.
    padding: zeros at both ends, or 'valid' for none, 'same' for those that keep
      the size.
    dilation: distance of the kernel's taps.
    groups: of channels, each of which sees its own only.
  """
  num_axes = features.ndim - 2
  pads = (
    padding.upper()
    if isinstance(padding, str)
    else [(length, length) for length in per_axis(padding, num_axes)]
  )
  axes = 'HW'[:num_axes]
  output = lax.conv_general_dilated(
    features,
    kernel.astype(features.dtype),
    per_axis(stride, num_axes),
    pads,
    rhs_dilation=per_axis(dilation, num_axes),
    feature_group_count=groups,
    dimension_numbers=(f'NC{axes}', f'OI{axes}', f'NC{axes}'),
  )
  if bias is None:
    return output
  return output + bias.reshape(-1, *(1,) * num_axes)


def linear(
  features: chex.Array, kernel: chex.Array, bias: chex.Array | None = None
) -> chex.Array:
  """Computes features · kernelᵀ + bias.

  Args:
    features: [..., C].
    kernel: [O, C].
    bias: [O].
  """
  output = features @ kernel.T
  return output if bias is None else output + bias


def addmm(
  addend: chex.Array, left: chex.Array, right: chex.Array, beta=1, alpha=1
) -> chex.Array:
  """Computes beta * addend + alpha * left · right."""
  return beta * addend + alpha * (left @ right)


def einsum(
  equation: str, tensors: Sequence[chex.Array], path: object = None
) -> chex.Array:
  """Sums products of tensors, as Einstein's notation says."""
  del path  # in which order, which changes no result
  return jnp.einsum(equation, *tensors)


def attention(
  queries: chex.Array,
  keys: chex.Array,
  values: chex.Array,
  mask: chex.Array | None = None,
  dropout: float = 0.0,
  is_causal: bool = False,
  scale: float | None = None,
  enable_gqa: bool = False,
) -> chex.Array:
  """Computes softmax(queries · keysᵀ * scale + mask) · values.

  Args:
    queries: [..., L, E].
    keys: [..., S, E].
    values: [..., S, V].
    mask: [..., L, S], added; of truth values, those that may be seen.
    dropout: share of the weights that are dropped.
    is_causal: whether a query sees no later keys.
    scale: 1 / √E if None.
    enable_gqa: whether there are fewer heads of keys than of queries.
  """
  if dropout or enable_gqa:
    raise Unsupported('dropout, or heads that share keys')
  scores = jnp.einsum('...le,...se->...ls', queries, keys)
  scores *= queries.shape[-1] ** -0.5 if scale is None else scale
  if is_causal:
    mask = jnp.tril(jnp.ones(scores.shape[-2:], bool))
  if mask is not None:
    is_seen = mask.dtype == bool
    scores = jnp.where(mask, scores, -jnp.inf) if is_seen else scores + mask
    # A query that sees no key gets zeros, not the NaN of a softmax.
    sees_any = scores.max(-1, keepdims=True) > -jnp.inf
    weights = jax.nn.softmax(jnp.where(sees_any, scores, 0)) * sees_any
  else:
    weights = jax.nn.softmax(scores)
  return weights @ values


OPERATIONS = {
  'conv1d.default': convolution,
  'conv1d.padding': convolution,
  'conv2d.default': convolution,
  'conv2d.padding': convolution,
  'linear.default': linear,
  'addmm.default': addmm,
  'matmul.default': jnp.matmul,
  'mm.default': jnp.matmul,
  'bmm.default': jnp.matmul,
  'einsum.default': einsum,
  'scaled_dot_product_attention.default': attention,
}
