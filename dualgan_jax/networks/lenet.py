"""LeNet-5 (LeCun et al., 1998) as DAFL's code has it, in three blocks."""

import chex
import flax.linen as nn
import jax.numpy as jnp

from dualgan_jax.networks import torch_layers
from dualgan_jax.networks.classifier import Classifier

# Channels of each block.
WIDTHS = (6, 16, 120)


class LeNetBlock(nn.Module):
  """A 5×5 convolution without padding; all blocks but the last pool after it.

  Attributes:
    number: 1 .. 3.
    dtype: that it computes in, that of its input if None.
  """

  number: int
  dtype: jnp.dtype | None = None

  @nn.compact
  def __call__(self, features: chex.Array, *, train: bool) -> chex.Array:
    """Maps [N, h, w, c] to features: 32×32 → 14×14 → 5×5 → 1×1."""
    del train  # there is no batch norm
    features = torch_layers.conv(
      f'conv{self.number}',
      WIDTHS[self.number - 1],
      5,
      use_bias=True,
      dtype=self.dtype,
    )(features)
    features = nn.relu(features)
    return (
      features if self.number == 3 else torch_layers.max_pool(features, 2, 2)
    )


class LeNetHead(nn.Module):
  """Two dense layers.

  Attributes:
    num_labels: number of logits.
  """

  num_labels: int

  @nn.compact
  def __call__(self, features: chex.Array) -> chex.Array:
    """Maps [N, 1, 1, 120] to logits [N, num_labels], in float32."""
    features = features.astype(jnp.promote_types(features.dtype, jnp.float32))
    # `flatten` orders the features as PyTorch's weights expect them.
    features = nn.relu(nn.Dense(84, name='fc1')(torch_layers.flatten(features)))
    return nn.Dense(self.num_labels, name='fc2')(features)


def create(num_labels: int, *, dtype: jnp.dtype | None = None) -> Classifier:
  """Makes LeNet-5 in three blocks.

  Args:
    num_labels: logits of its head.
    dtype: see `LeNetBlock`.
  """
  blocks = tuple(LeNetBlock(number, dtype) for number in (1, 2, 3))
  return Classifier(blocks, LeNetHead(num_labels))
