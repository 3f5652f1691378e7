"""Plain convolutional nets, such as LeNet-5, with PyTorch's names.

Each convolution is a block, and the dense layers are the head.
"""

from collections.abc import Sequence
from typing import NamedTuple

import chex
import flax.linen as nn
import jax.numpy as jnp

from dualgan_jax.networks import torch_layers
from dualgan_jax.networks.classifier import Classifier


class Conv(NamedTuple):
  """A convolution with a bias, a ReLU, and perhaps a 2×2 max pool.

  Attributes:
    width: channels of its output.
    kernel_size: height and width of its kernel.
    padding: pixels on each side.
    pool: whether a max pool follows.
    batch_norm: whether batch norm stands before the ReLU.
  """

  width: int
  kernel_size: int
  padding: int = 0
  pool: bool = True
  batch_norm: bool = False


class CNNBlock(nn.Module):
  """A `Conv`: `conv1`, `bn1`, and so on.

  Attributes:
    number: 1 .. B.
    layer: its sizes.
    dtype: that it computes in, that of its input if None.
  """

  number: int
  layer: Conv
  dtype: jnp.dtype | None = None

  @nn.compact
  def __call__(self, features: chex.Array, *, train: bool) -> chex.Array:
    """Maps images or features [N, h, w, c] to features."""
    features = torch_layers.conv(
      f'conv{self.number}',
      self.layer.width,
      self.layer.kernel_size,
      padding=self.layer.padding,
      use_bias=True,
      dtype=self.dtype,
    )(features)
    if self.layer.batch_norm:
      features = torch_layers.norm(
        f'bn{self.number}', train=train, dtype=self.dtype
      )(features)
    features = nn.relu(features)
    return (
      torch_layers.max_pool(features, 2, 2) if self.layer.pool else features
    )


def create(
  layers: Sequence[Conv],
  hidden_widths: Sequence[int],
  num_labels: int,
  *,
  dtype: jnp.dtype | None = None,
) -> Classifier:
  """Makes a net of one block per convolution.

  Args:
    layers: its convolutions.
    hidden_widths: of the dense layers before the last; their names are `fc1`,
      `fc2`, and so on.
    num_labels: logits of its head.
    dtype: see `CNNBlock`.
  """
  blocks = tuple(
    CNNBlock(number, layer, dtype)
    for number, layer in enumerate(layers, start=1)
  )
  widths = (*hidden_widths, num_labels)
  names = tuple(f'fc{number}' for number in range(1, len(widths) + 1))
  return Classifier(blocks, torch_layers.DenseLayers(widths, names))
