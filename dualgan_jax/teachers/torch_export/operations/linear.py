"""Convolutions and products of matrices, as PyTorch defines them."""

from collections.abc import Sequence

import chex
import jax
import jax.numpy as jnp
from jax import lax

from dualgan_jax.teachers.torch_export.operations import reductions
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
  return output if bias is None else output + _per_channel(bias, num_axes)


def transposed_convolution(
  features: chex.Array,
  kernel: chex.Array,
  bias: chex.Array | None = None,
  stride: Lengths = 1,
  padding: Lengths = 0,
  output_padding: Lengths = 0,
  groups: int = 1,
  dilation: Lengths = 1,
) -> chex.Array:
  """Computes the transpose of `convolution` as a map of features, plus a bias.

  Args:
    features: [N, C, ...].
    kernel: [C, O / groups, ...].
    bias: [O].
    stride: of the convolution, so that of the output's pixels.
    padding: that the convolution adds, so that is cut off here.
    output_padding: pixels more at the end of each axis.
    groups: see `convolution`.
    dilation: see `convolution`.
  """
  num_axes = features.ndim - 2
  steps = per_axis(dilation, num_axes)
  lengths = zip(
    kernel.shape[2:],
    steps,
    per_axis(padding, num_axes),
    per_axis(output_padding, num_axes),
    strict=True,
  )
  pads = [
    (step * (size - 1) - pad, step * (size - 1) - pad + extra)
    for size, step, pad, extra in lengths
  ]
  # Each group's input and output channels change places, and taps turn round.
  num_inputs, num_outputs, *kernel_size = kernel.shape
  kernel = kernel.reshape(
    groups, num_inputs // groups, num_outputs, *kernel_size
  )
  kernel = kernel.swapaxes(1, 2).reshape(
    groups * num_outputs, num_inputs // groups, *kernel_size
  )
  axes = 'HW'[:num_axes]
  output = lax.conv_general_dilated(
    features,
    jnp.flip(kernel, range(2, kernel.ndim)).astype(features.dtype),
    (1,) * num_axes,
    pads,
    lhs_dilation=per_axis(stride, num_axes),
    rhs_dilation=steps,
    feature_group_count=groups,
    dimension_numbers=(f'NC{axes}', f'OI{axes}', f'NC{axes}'),
  )
  return output if bias is None else output + _per_channel(bias, num_axes)


def any_convolution(
  features: chex.Array,
  kernel: chex.Array,
  bias: chex.Array | None,
  stride: Lengths,
  padding: Lengths,
  dilation: Lengths,
  transposed: bool,
  output_padding: Lengths,
  groups: int,
) -> chex.Array:
  """Computes `convolution`, or `transposed_convolution`."""
  if transposed:
    return transposed_convolution(
      *(features, kernel, bias, stride, padding),
      *(output_padding, groups, dilation),
    )
  return convolution(features, kernel, bias, stride, padding, dilation, groups)


def _per_channel(bias: chex.Array, num_axes: int) -> chex.Array:
  """Puts axes of length 1 behind a bias [O]."""
  return bias.reshape(-1, *(1,) * num_axes)


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


def matrix_times_vector(matrix: chex.Array, vector: chex.Array) -> chex.Array:
  """Computes matrix [m, n] · vector [n]."""
  return matrix @ vector


def outer(left: chex.Array, right: chex.Array) -> chex.Array:
  """Computes left [m] · right [n]ᵀ."""
  return left[:, None] * right


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


def norm_except(
  weights: chex.Array, order: int = 2, axis: int = 0
) -> chex.Array:
  """Computes the norm of each part of an axis; -1 for that of all weights."""
  if axis == -1:
    return reductions.norm(weights, order)
  parts = jnp.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1)
  shape = [1] * weights.ndim
  shape[axis] = -1
  return reductions.norm(parts, order, 1).reshape(shape)


def weight_norm(
  directions: chex.Array, lengths: chex.Array, axis: int = 0
) -> chex.Array:
  """Computes lengths * directions / ‖directions‖, per part of an axis.

  Args:
    directions: [O, ...], of the weights.
    lengths: [O, 1, ...]: of the weights' parts.
    axis: whose parts have a length each; -1 for one length of them all.
  """
  return weight_norm_and_lengths(directions, lengths, axis)[0]


def weight_norm_and_lengths(
  directions: chex.Array, lengths: chex.Array, axis: int = 0
) -> tuple[chex.Array, chex.Array]:
  """Computes `weight_norm`, and ‖directions‖."""
  norms = norm_except(directions, 2, axis)
  return directions * (lengths / norms), norms


def cosine_similarity(
  left: chex.Array, right: chex.Array, axis: int = 1, eps: float = 1e-8
) -> chex.Array:
  """Computes Σ left * right / (‖left‖ * ‖right‖) along an axis.

  Args:
    left: any.
    right: of a shape that broadcasts with it.
    axis: of the vectors.
    eps: least norm to divide by.
  """
  left, right = jnp.broadcast_arrays(left, right)
  left, right = (
    vectors / jnp.maximum(reductions.norm(vectors, 2, [axis], True), eps)
    for vectors in (left, right)
  )
  return (left * right).sum(axis)


OPERATIONS = {
  'conv1d.default': convolution,
  'conv1d.padding': convolution,
  'conv2d.default': convolution,
  'conv2d.padding': convolution,
  'conv_transpose1d.default': transposed_convolution,
  'conv_transpose2d.input': transposed_convolution,
  'convolution.default': any_convolution,
  'linear.default': linear,
  'addmm.default': addmm,
  'baddbmm.default': addmm,
  'matmul.default': jnp.matmul,
  'mm.default': jnp.matmul,
  'bmm.default': jnp.matmul,
  'mv.default': matrix_times_vector,
  'dot.default': jnp.dot,
  'vdot.default': jnp.dot,
  'outer.default': outer,
  '_weight_norm.default': weight_norm,
  '_weight_norm_interface.default': weight_norm_and_lengths,
  'norm_except_dim.default': norm_except,
  'cosine_similarity.default': cosine_similarity,
  'einsum.default': einsum,
  'scaled_dot_product_attention.default': attention,
}
