"""Normalisation, as PyTorch defines it; batch norm by way of Linen's."""

from collections.abc import Sequence
from typing import Any

import chex
import flax.linen as nn
import jax.numpy as jnp
from jax import lax

from dualgan_jax.teachers.torch_export.operations.unsupported import (
  Unsupported,
)


def batch_norm(
  features: chex.Array,
  scale: chex.Array | None,
  bias: chex.Array | None,
  running_mean: chex.Array | None,
  running_var: chex.Array | None,
  training: bool,
  momentum: float,
  eps: float,
  cudnn_enabled: bool = True,
) -> chex.Array:
  """Computes (features - mean) / √(var + eps) * scale + bias, per channel.

  It goes through Linen's module, whose calls the statistics prior intercepts.

  Args:
    features: [N, C, ...].
    scale: [C].
    bias: [C].
    running_mean: [C].
    running_var: [C].
    training: whether to take the moments of the batch instead.
    momentum: of the running averages, which stay as they are.
    eps: is added to the variance.
    cudnn_enabled: has no effect.
  """
  del momentum, cudnn_enabled
  if running_mean is None or running_var is None:
    raise Unsupported(
      'batch norm without running averages, whose logits depend on the other '
      'images; train with track_running_stats=True'
    )
  if training:
    raise Unsupported(
      'batch norm that takes the moments of its batch; call model.eval() '
      'before the export'
    )
  # A module without parent: inside of another one, it would become a part.
  norm = nn.BatchNorm(
    use_running_average=True,
    epsilon=eps,
    axis=1,
    use_scale=scale is not None,
    use_bias=bias is not None,
    parent=None,
  )
  params = {'scale': scale, 'bias': bias}
  return norm.apply(
    {
      'params': {
        name: param for name, param in params.items() if param is not None
      },
      'batch_stats': {'mean': running_mean, 'var': running_var},
    },
    features,
  )


def standardized_weights(
  weights: chex.Array,
  scale: chex.Array | None,
  bias: chex.Array | None,
  running_mean: chex.Array | None,
  running_var: chex.Array | None,
  training: bool,
  momentum: float,
  eps: float,
  cudnn_enabled: bool = True,
) -> chex.Array:
  """Computes batch norm of weights, which is the same for any batch of images.

  Args:
    weights: [N, C, ...].
    scale: see `batch_norm`.
    bias: see `batch_norm`.
    running_mean: None.
    running_var: None.
    training: True.
    momentum: see `batch_norm`.
    eps: see `batch_norm`.
    cudnn_enabled: see `batch_norm`.
  """
  del momentum, cudnn_enabled
  if not training or running_mean is not None or running_var is not None:
    raise Unsupported('batch norm of weights, by running averages')
  axes = tuple(axis for axis in range(weights.ndim) if axis != 1)
  return _affine(_normalize(weights, axes, eps), scale, bias)


def layer_norm(
  features: chex.Array,
  normalized_shape: Sequence[int],
  scale: chex.Array | None = None,
  bias: chex.Array | None = None,
  eps: float = 1e-5,
  cudnn_enable: bool = True,
) -> chex.Array:
  """Computes (features - mean) / √(var + eps) * scale + bias over last axes.

  Args:
    features: [..., *normalized_shape].
    normalized_shape: of the axes that moments are taken of.
    scale: [*normalized_shape].
    bias: [*normalized_shape].
    eps: is added to the variance.
    cudnn_enable: has no effect.
  """
  del cudnn_enable
  normalized = _normalize(features, _last_axes(normalized_shape), eps)
  normalized = normalized if scale is None else normalized * scale
  return normalized if bias is None else normalized + bias


def rms_norm(
  features: chex.Array,
  normalized_shape: Sequence[int],
  scale: chex.Array | None = None,
  eps: float | None = None,
) -> chex.Array:
  """Computes features / √(mean of their squares + eps) * scale.

  Args:
    features: [..., *normalized_shape].
    normalized_shape: of the axes that the mean is taken of.
    scale: [*normalized_shape].
    eps: is added to the mean; the type's rounding if None.
  """
  eps = jnp.finfo(features.dtype).eps if eps is None else eps
  axes = _last_axes(normalized_shape)
  mean_square = jnp.mean(jnp.square(features), axes, keepdims=True)
  normalized = features * lax.rsqrt(mean_square + eps)
  return normalized if scale is None else normalized * scale


def group_norm(
  features: chex.Array,
  num_groups: int,
  scale: chex.Array | None = None,
  bias: chex.Array | None = None,
  eps: float = 1e-5,
  cudnn_enabled: bool = True,
) -> chex.Array:
  """Computes (features - mean) / √(var + eps) * scale + bias per image's group.

  Args:
    features: [N, C, ...].
    num_groups: of channels.
    scale: [C].
    bias: [C].
    eps: is added to the variance.
    cudnn_enabled: has no effect.
  """
  del cudnn_enabled
  num_rows, num_channels = features.shape[:2]
  groups = features.reshape(
    num_rows, num_groups, num_channels // num_groups, -1
  )
  normalized = _normalize(groups, (2, 3), eps).reshape(features.shape)
  return _affine(normalized, scale, bias)


def instance_norm(
  features: chex.Array,
  scale: chex.Array | None,
  bias: chex.Array | None,
  running_mean: chex.Array | None,
  running_var: chex.Array | None,
  use_input_stats: bool,
  momentum: float,
  eps: float,
  cudnn_enabled: bool = True,
) -> chex.Array:
  """Computes batch norm whose moments are those of each image alone.

  Args:
    features: [N, C, ...].
    scale: [C].
    bias: [C].
    running_mean: [C], for `use_input_stats` False.
    running_var: [C], for `use_input_stats` False.
    use_input_stats: whether moments are the image's, or running averages.
    momentum: of the running averages, which stay as they are.
    eps: is added to the variance.
    cudnn_enabled: has no effect.
  """
  del momentum, cudnn_enabled
  if use_input_stats:
    axes = tuple(range(2, features.ndim))
    return _affine(_normalize(features, axes, eps), scale, bias)
  if running_mean is None or running_var is None:
    raise Unsupported('instance norm without any moments')
  inverse_std = lax.rsqrt(running_var + eps)
  centered = _affine(features, None, -running_mean)
  return _affine(_affine(centered, inverse_std, None), scale, bias)


def decomposed_batch_norm(
  features: chex.Array,
  scale: chex.Array | None,
  bias: chex.Array | None,
  running_mean: chex.Array,
  running_var: chex.Array,
  momentum: float,
  eps: float,
) -> tuple[chex.Array, None, None]:
  """Computes `batch_norm`, and None instead of moments, which none has."""
  normalized = batch_norm(
    features, scale, bias, running_mean, running_var, False, momentum, eps
  )
  return normalized, None, None


def decomposed_layer_norm(
  features: chex.Array, *options: Any
) -> tuple[chex.Array, None, None]:
  """Computes `layer_norm`, and None instead of its moments."""
  return layer_norm(features, *options), None, None


def decomposed_group_norm(
  features: chex.Array,
  scale: chex.Array | None,
  bias: chex.Array | None,
  num_rows: int,
  num_channels: int,
  num_pixels: int,
  num_groups: int,
  eps: float,
) -> tuple[chex.Array, None, None]:
  """Computes `group_norm`, and None instead of its moments."""
  del num_rows, num_channels, num_pixels
  return group_norm(features, num_groups, scale, bias, eps), None, None


def _last_axes(shape: Sequence[int]) -> tuple[int, ...]:
  return tuple(range(-len(shape), 0))


def _normalize(
  features: chex.Array, axes: tuple[int, ...], eps: float
) -> chex.Array:
  """Computes (features - mean) / √(var + eps) over some axes."""
  centered = features - features.mean(axes, keepdims=True)
  variance = jnp.mean(jnp.square(centered), axes, keepdims=True)
  return centered * lax.rsqrt(variance + eps)


def _affine(
  features: chex.Array, scale: chex.Array | None, bias: chex.Array | None
) -> chex.Array:
  """Scales and shifts the channels of features [N, C, ...]."""
  channel_shape = (-1, *(1,) * (features.ndim - 2))
  if scale is not None:
    features = features * scale.reshape(channel_shape)
  if bias is not None:
    features = features + bias.reshape(channel_shape)
  return features


OPERATIONS = {
  'batch_norm.default': batch_norm,
  'layer_norm.default': layer_norm,
  'rms_norm.default': rms_norm,
  'group_norm.default': group_norm,
  'instance_norm.default': instance_norm,
  # Of a program after `run_decompositions`.
  '_native_batch_norm_legit_no_training.default': decomposed_batch_norm,
  'native_layer_norm.default': decomposed_layer_norm,
  'native_group_norm.default': decomposed_group_norm,
}
