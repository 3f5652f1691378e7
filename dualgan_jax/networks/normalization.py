"""Batch norm over a whole batch, however many devices share it."""

import chex
import flax.linen as nn
import jax.numpy as jnp

from dualgan_jax.training import parallel


def normalize(
  features: chex.Array,
  *,
  train: bool,
  dtype: jnp.dtype | None = None,
  affine: bool = True,
) -> chex.Array:
  """Normalises features; called inside a module's `nn.compact` method.

  Args:
    features: [N, ..., c], N this device's share of the batch.
    train: whether to use the moments of the batch, averaged over the devices
      that share it if there are any, and to update the running averages; else
      the running averages are used.
    dtype: to compute in, that of `features` if None; parameters and moments
      stay float32.
    affine: whether a learned scale and bias follow.

  Returns:
    Normalised features, [N, ..., c].
  """
  return nn.BatchNorm(
    use_running_average=not train,
    momentum=0.9,
    # None where no device axis is mapped, as in a user's `jax.jit`.
    axis_name=parallel.device_axis(),
    dtype=dtype,
    use_scale=affine,
    use_bias=affine,
  )(features)
