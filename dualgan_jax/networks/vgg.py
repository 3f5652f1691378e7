"""VGG-11 with batch norm (Simonyan and Zisserman, 2015) for CIFAR, five blocks.

As the repositories of data-free distillation have it: one dense layer, and no
pooling between the last two blocks, unless the image is 64 pixels high.
"""

import chex
import flax.linen as nn
import jax.numpy as jnp

from dualgan_jax.networks import torch_layers
from dualgan_jax.networks.classifier import Classifier

# Channels of each block's convolutions.
WIDTHS = ((64,), (128,), (256, 256), (512, 512), (512, 512))


class Layer(nn.Module):
  """Convolutions, each followed by batch norm and ReLU.

  Attributes:
    widths: channels of each convolution.
    dtype: that it computes in, that of its input if None.
  """

  widths: tuple[int, ...]
  dtype: jnp.dtype | None = None

  @nn.compact
  def __call__(self, features: chex.Array, *, train: bool) -> chex.Array:
    """Maps [N, h, w, c] to [N, h, w, widths[-1]]."""
    for index, width in enumerate(self.widths):
      # PyTorch's Sequential numbers the ReLUs, too: three layers a round.
      features = torch_layers.conv(
        str(3 * index), width, 3, padding=1, use_bias=True, dtype=self.dtype
      )(features)
      features = torch_layers.norm(
        str(3 * index + 1), train=train, dtype=self.dtype
      )(features)
      features = nn.relu(features)
    return features


class VGGBlock(nn.Module):
  """`block0` .. `block4`, each with the pooling before it.

  Attributes:
    number: 0 .. 4.
    dtype: that it computes in, that of its input if None.
  """

  number: int
  dtype: jnp.dtype | None = None

  @nn.compact
  def __call__(self, features: chex.Array, *, train: bool) -> chex.Array:
    """Maps images or features [N, h, w, c] to features."""
    # The last block pools only if the image is 64 pixels high, that is eight
    # times as high as the features here.
    if 0 < self.number < 4 or (
      self.number == 4 and features.shape[1] == 64 // 8
    ):
      features = torch_layers.max_pool(features, 2, 2)
    return Layer(WIDTHS[self.number], self.dtype, name=f'block{self.number}')(
      features, train=train
    )


def create(num_labels: int, *, dtype: jnp.dtype | None = None) -> Classifier:
  """Makes VGG-11 in five blocks.

  Args:
    num_labels: logits of its head.
    dtype: see `VGGBlock`.
  """
  blocks = tuple(VGGBlock(number, dtype) for number in range(len(WIDTHS)))
  return Classifier(blocks, torch_layers.Linear(num_labels, 'classifier'))
