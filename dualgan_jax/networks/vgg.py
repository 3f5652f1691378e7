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
  """Convolution, batch norm and ReLU, in turn."""

  widths: tuple[int, ...]
  dtype: jnp.dtype | None = None

  @nn.compact
  def __call__(self, x: chex.Array, *, train: bool) -> chex.Array:
    """Maps [N, h, w, c] to [N, h, w, widths[-1]]."""
    for i, width in enumerate(self.widths):
      # PyTorch numbers the ReLUs, too.
      x = torch_layers.conv(
        str(3 * i), width, 3, padding=1, bias=True, dtype=self.dtype
      )(x)
      x = torch_layers.norm(str(3 * i + 1), train=train, dtype=self.dtype)(x)
      x = nn.relu(x)
    return x


class VGGBlock(nn.Module):
  """`block0` .. `block4`, each with the pooling before it.

  Attributes:
    number: 0 .. 4.
    dtype: that it computes in, that of its input if None.
  """

  number: int
  dtype: jnp.dtype | None = None

  @nn.compact
  def __call__(self, x: chex.Array, *, train: bool) -> chex.Array:
    """Maps images or features [N, h, w, c] to features."""
    # The image is eight times as high as the features before the last block.
    if 0 < self.number < 4 or (self.number == 4 and x.shape[1] == 64 // 8):
      x = torch_layers.max_pool(x, 2, 2)
    return Layer(WIDTHS[self.number], self.dtype, name=f'block{self.number}')(
      x, train=train
    )


def create(labels: int, *, dtype: jnp.dtype | None = None) -> Classifier:
  """VGG-11 of five blocks.

  Args:
    labels: logits of its head.
    dtype: see `VGGBlock`.
  """
  blocks = tuple(VGGBlock(b, dtype) for b in range(len(WIDTHS)))
  return Classifier(blocks, torch_layers.Linear(labels, 'classifier'))
