"""The teacher-level filter, Eq. 9."""

import chex
import flax.linen as nn
import jax.numpy as jnp


class TeacherFilter(nn.Module):
  """f_m^j, Eq. 9: a gate per channel, then a 1×1 projection if widths differ.

  Global average pool → dense → ReLU → dense → sigmoid weighs the channels of
  F_g^j (or F_u^b) for teacher m before its blocks.

  Attributes:
    channels: width that the teacher's next block expects.
  """

  channels: int

  @nn.compact
  def __call__(self, features: chex.Array) -> chex.Array:
    """Maps [N, h, w, c] to [N, h, w, channels]."""
    width = features.shape[-1]
    # One gate per image and channel, the same at all positions.
    hidden = nn.relu(nn.Dense(width)(jnp.mean(features, axis=(1, 2))))
    features = features * nn.sigmoid(nn.Dense(width)(hidden))[:, None, None, :]
    if width == self.channels:
      return features
    return nn.Conv(self.channels, (1, 1), name='projection')(features)
