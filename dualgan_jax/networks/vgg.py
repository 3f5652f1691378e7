"""VGG (Simonyan and Zisserman, 2015) with PyTorch's names, in five blocks.

There are two kinds. torchvision's has its layers in one `features`, and pools
after each block. That of the repositories of distillation for CIFAR has
`block0` .. `block4`, and pools before the last only if the image is 64 pixels
high.
"""

from collections.abc import Sequence

import chex
import flax.linen as nn
import jax.numpy as jnp

from dualgan_jax.networks import torch_layers
from dualgan_jax.networks.classifier import Classifier

# Channels of the convolutions in each block.
WIDTHS = (64, 128, 256, 512, 512)
# By the number of layers, convolutions in each block.
DEPTHS = {
  8: (1, 1, 1, 1, 1),
  11: (1, 1, 2, 2, 2),
  13: (2, 2, 2, 2, 2),
  16: (2, 2, 3, 3, 3),
  19: (2, 2, 4, 4, 4),
}


class Layer(nn.Module):
  """Convolutions, each followed by ReLU, and perhaps by batch norm before.

  Attributes:
    width: channels of each convolution.
    depth: number of convolutions.
    first_index: name of the first convolution in PyTorch's `nn.Sequential`.
    batch_norm: whether batch norm follows each convolution.
    dtype: that it computes in, that of its input if None.
  """

  width: int
  depth: int
  first_index: int
  batch_norm: bool
  dtype: jnp.dtype | None = None

  @nn.compact
  def __call__(self, features: chex.Array, *, train: bool) -> chex.Array:
    """Maps [N, h, w, c] to [N, h, w, width]."""
    # An `nn.Sequential` numbers the ReLUs, too.
    layers_per_round = 3 if self.batch_norm else 2
    for round_index in range(self.depth):
      index = self.first_index + layers_per_round * round_index
      features = torch_layers.conv(
        str(index), self.width, 3, padding=1, use_bias=True, dtype=self.dtype
      )(features)
      if self.batch_norm:
        features = torch_layers.norm(
          str(index + 1), train=train, dtype=self.dtype
        )(features)
      features = nn.relu(features)
    return features


class VGGBlock(nn.Module):
  """A block, with the pooling before it.

  Attributes:
    number: 0 .. 4.
    depth: number of convolutions.
    first_index: see `Layer`; None if the block is a `nn.Sequential` by itself.
    batch_norm: see `Layer`.
    dtype: that it computes in, that of its input if None.
  """

  number: int
  depth: int
  first_index: int | None
  batch_norm: bool
  dtype: jnp.dtype | None = None

  @nn.compact
  def __call__(self, features: chex.Array, *, train: bool) -> chex.Array:
    """Maps images or features [N, h, w, c] to features."""
    is_alone = self.first_index is None
    # The last block of the CIFAR kind pools only if the image is 64 pixels
    # high, that is eight times as high as the features here.
    has_pool = self.number > 0 and not (
      is_alone and self.number == 4 and features.shape[1] != 64 // 8
    )
    if has_pool:
      features = torch_layers.max_pool(features, 2, 2)
    return Layer(
      WIDTHS[self.number],
      self.depth,
      self.first_index or 0,
      self.batch_norm,
      self.dtype,
      name=f'block{self.number}' if is_alone else 'features',
    )(features, train=train)


class VGGHead(nn.Module):
  """The last pooling of torchvision's kind, and one to three dense layers.

  Attributes:
    num_labels: number of logits.
    hidden_widths: of the dense layers before the last.
    pooled_size: height and width of the features that are flattened.
  """

  num_labels: int
  hidden_widths: tuple[int, ...]
  pooled_size: int

  @nn.compact
  def __call__(self, features: chex.Array) -> chex.Array:
    """Maps [N, h, w, 512] to logits [N, num_labels], in float32."""
    features = torch_layers.adaptive_mean(
      torch_layers.max_pool(features, 2, 2), self.pooled_size
    )
    if not self.hidden_widths:
      return nn.Dense(self.num_labels, name='classifier')(
        torch_layers.flatten(torch_layers.as_float32(features))
      )
    # ReLU and dropout lie between the dense layers.
    return torch_layers.DenseLayers(
      (*self.hidden_widths, self.num_labels), ('0', '3', '6'), name='classifier'
    )(features)


def first_indices(depths: Sequence[int], batch_norm: bool) -> tuple[int, ...]:
  """Computes the index of each block's first convolution in `features`.

  Args:
    depths: convolutions in each block.
    batch_norm: whether batch norm follows each of them.
  """
  layers_per_round = 3 if batch_norm else 2
  # A pooling stands between two blocks.
  return tuple(
    layers_per_round * sum(depths[:number]) + number
    for number in range(len(depths))
  )


def create(
  num_layers: int,
  num_labels: int,
  *,
  batch_norm: bool,
  hidden_widths: tuple[int, ...] = (),
  pooled_size: int = 1,
  dtype: jnp.dtype | None = None,
) -> Classifier:
  """Makes a VGG of torchvision's kind.

  Args:
    num_layers: a key of `DEPTHS`.
    num_labels: logits of its head.
    batch_norm: see `Layer`.
    hidden_widths: see `VGGHead`.
    pooled_size: see `VGGHead`.
    dtype: see `VGGBlock`.
  """
  depths = DEPTHS[num_layers]
  blocks = tuple(
    VGGBlock(number, depth, first_index, batch_norm, dtype)
    for number, (depth, first_index) in enumerate(
      zip(depths, first_indices(depths, batch_norm), strict=True)
    )
  )
  return Classifier(blocks, VGGHead(num_labels, hidden_widths, pooled_size))


def create_for_cifar(
  num_layers: int,
  num_labels: int,
  *,
  batch_norm: bool,
  dtype: jnp.dtype | None = None,
) -> Classifier:
  """Makes a VGG of the kind for CIFAR.

  Args:
    num_layers: a key of `DEPTHS`.
    num_labels: logits of its head.
    batch_norm: see `Layer`.
    dtype: see `VGGBlock`.
  """
  blocks = tuple(
    VGGBlock(number, depth, None, batch_norm, dtype)
    for number, depth in enumerate(DEPTHS[num_layers])
  )
  return Classifier(blocks, torch_layers.Linear(num_labels, 'classifier'))
