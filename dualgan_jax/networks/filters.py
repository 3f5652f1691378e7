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
  def __call__(self, x: chex.Array) -> chex.Array:
    """Maps [N, h, w, c] to [N, h, w, channels]."""
    width = x.shape[-1]
    gate = nn.relu(nn.Dense(width)(jnp.mean(x, axis=(1, 2))))
    x = x * nn.sigmoid(nn.Dense(width)(gate))[:, None, None, :]
    if width == self.channels:
      return x
    return nn.Conv(self.channels, (1, 1), name='projection')(x)
