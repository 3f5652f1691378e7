"""LeNet-5 (LeCun et al., 1998) as DAFL's code has it, in three blocks."""

import chex
import flax.linen as nn
import jax.numpy as jnp

from dualgan_jax.networks import torch_layers
from dualgan_jax.networks.classifier import Classifier

WIDTHS = (6, 16, 120)


class LeNetBlock(nn.Module):
  """A 5×5 convolution without padding and, but for the last, a pooling.

  Attributes:
    number: 1 .. 3.
    dtype: that it computes in, that of its input if None.
  """

  number: int
  dtype: jnp.dtype | None = None

  @nn.compact
  def __call__(self, x: chex.Array, *, train: bool) -> chex.Array:
    """Maps [N, h, w, c] to features: 32×32 → 14×14 → 5×5 → 1×1."""
    del train  # there is no batch norm
    x = torch_layers.conv(
      f'conv{self.number}',
      WIDTHS[self.number - 1],
      5,
      bias=True,
      dtype=self.dtype,
    )(x)
    x = nn.relu(x)
    return x if self.number == 3 else torch_layers.max_pool(x, 2, 2)


class LeNetHead(nn.Module):
  """Two dense layers.

  Attributes:
    labels: number of logits.
  """

  labels: int

  @nn.compact
  def __call__(self, x: chex.Array) -> chex.Array:
    """Maps [N, 1, 1, 120] to logits [N, labels], in float32."""
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    x = nn.relu(nn.Dense(84, name='fc1')(torch_layers.flatten(x)))
    return nn.Dense(self.labels, name='fc2')(x)


def create(labels: int, *, dtype: jnp.dtype | None = None) -> Classifier:
  """LeNet-5 of three blocks.

  Args:
    labels: logits of its head.
    dtype: see `LeNetBlock`.
  """
  blocks = tuple(LeNetBlock(b, dtype) for b in (1, 2, 3))
  return Classifier(blocks, LeNetHead(labels))
