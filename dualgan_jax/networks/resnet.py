"""ResNets (He et al., 2016) with PyTorch's names, cut into four blocks.

There are two kinds: torchvision's, for large images, and the one for CIFAR of
the repositories of data-free distillation, whose first convolution is 3×3 and
does not stride.
"""

import chex
import flax.linen as nn
import jax.numpy as jnp

from dualgan_jax.networks import torch_layers
from dualgan_jax.networks.classifier import Classifier

# Units of each block, and whether they are bottlenecks.
DEPTHS = {
  18: ((2, 2, 2, 2), False),
  34: ((3, 4, 6, 3), False),
  50: ((3, 4, 6, 3), True),
}


class Shortcut(nn.Module):
  """A 1×1 convolution and batch norm, beside a unit that changes the shape.

  Attributes:
    width: channels of the unit's output.
    stride: of the unit.
    dtype: that it computes in, that of its input if None.
  """

  width: int
  stride: int
  dtype: jnp.dtype | None = None

  @nn.compact
  def __call__(self, features: chex.Array, *, train: bool) -> chex.Array:
    """Maps [N, h, w, c] to [N, ⌈h/stride⌉, ⌈w/stride⌉, width]."""
    features = torch_layers.conv(
      '0', self.width, 1, stride=self.stride, dtype=self.dtype
    )(features)
    return torch_layers.norm('1', train=train, dtype=self.dtype)(features)


class Unit(nn.Module):
  """A residual unit: basic, or a bottleneck that ends four times as wide.

  Attributes:
    width: channels of its 3×3 convolutions.
    stride: of its first 3×3 convolution.
    bottleneck: whether 1×1 convolutions surround one 3×3 convolution; otherwise
      there are two 3×3 convolutions.
    shortcut: name of the `Shortcut`.
    dtype: that it computes in, that of its input if None.
  """

  width: int
  stride: int
  bottleneck: bool
  shortcut: str
  dtype: jnp.dtype | None = None

  @nn.compact
  def __call__(self, features: chex.Array, *, train: bool) -> chex.Array:
    """Maps [N, h, w, c] to [N, ⌈h/stride⌉, ⌈w/stride⌉, width or 4·width]."""

    # Padding by half the kernel keeps the size where nothing strides.
    def conv(index, out_width, kernel_size, stride=1):
      return torch_layers.conv(
        f'conv{index}',
        out_width,
        kernel_size,
        stride=stride,
        padding=kernel_size // 2,
        dtype=self.dtype,
      )

    def norm(index):
      return torch_layers.norm(f'bn{index}', train=train, dtype=self.dtype)

    # As in torchvision, the 3×3 convolution of a bottleneck strides.
    if self.bottleneck:
      residual = nn.relu(norm(1)(conv(1, self.width, 1)(features)))
      residual = nn.relu(norm(2)(conv(2, self.width, 3, self.stride)(residual)))
      residual = norm(3)(conv(3, 4 * self.width, 1)(residual))
    else:
      residual = nn.relu(norm(1)(conv(1, self.width, 3, self.stride)(features)))
      residual = norm(2)(conv(2, self.width, 3)(residual))
    # As in PyTorch, an identity shortcut has no parameters.
    if features.shape != residual.shape:
      features = Shortcut(
        residual.shape[-1], self.stride, self.dtype, name=self.shortcut
      )(features, train=train)
    return nn.relu(features + residual)


class Layer(nn.Module):
  """Residual units in sequence, of which the first strides.

  Attributes:
    width: see `Unit`.
    depth: number of units.
    stride: of the first unit.
    bottleneck: see `Unit`.
    shortcut: see `Unit`.
    dtype: see `Unit`.
  """

  width: int
  depth: int
  stride: int
  bottleneck: bool
  shortcut: str
  dtype: jnp.dtype | None = None

  @nn.compact
  def __call__(self, features: chex.Array, *, train: bool) -> chex.Array:
    """Maps [N, h, w, c] to the output of its last unit."""
    for index in range(self.depth):
      features = Unit(
        self.width,
        self.stride if index == 0 else 1,
        self.bottleneck,
        self.shortcut,
        self.dtype,
        name=str(index),
      )(features, train=train)
    return features


class ResNetBlock(nn.Module):
  """A layer, `layer1` .. `layer4`; the first with the layers before it.

  Attributes:
    number: 1 .. 4.
    depth: number of units.
    bottleneck: whether they are bottlenecks.
    small: whether for images of CIFAR's size.
    stem_pool: whether a max pool follows the first convolution.
    dtype: that it computes in, that of its input if None.
  """

  number: int
  depth: int
  bottleneck: bool
  small: bool
  stem_pool: bool
  dtype: jnp.dtype | None = None

  @nn.compact
  def __call__(self, features: chex.Array, *, train: bool) -> chex.Array:
    """Maps images or features [N, h, w, c] to features."""
    if self.number == 1:
      # Large images are halved at once, and once more by the pooling.
      kernel_size, stride = (3, 1) if self.small else (7, 2)
      features = torch_layers.conv(
        'conv1',
        64,
        kernel_size,
        stride=stride,
        padding=kernel_size // 2,
        dtype=self.dtype,
      )(features)
      features = nn.relu(
        torch_layers.norm('bn1', train=train, dtype=self.dtype)(features)
      )
      if self.stem_pool:
        features = torch_layers.max_pool(features, 3, 2, padding=1)
    # Widths double from layer to layer: 64, 128, 256, 512.
    return Layer(
      32 * 2**self.number,
      self.depth,
      1 if self.number == 1 else 2,
      self.bottleneck,
      'shortcut' if self.small else 'downsample',
      self.dtype,
      name=f'layer{self.number}',
    )(features, train=train)


def create(
  num_layers: int,
  num_labels: int,
  *,
  small: bool,
  stem_pool: bool | None = None,
  dtype: jnp.dtype | None = None,
) -> Classifier:
  """Makes a ResNet in four blocks.

  Args:
    num_layers: a key of `DEPTHS`.
    num_labels: logits of its head.
    small: whether for images of CIFAR's size.
    stem_pool: whether a max pool follows the first convolution; None means that
      it does unless the net is small.
    dtype: see `ResNetBlock`.
  """
  # An early pooling is for large images.
  depths, bottleneck = DEPTHS[num_layers]
  stem_pool = not small if stem_pool is None else stem_pool
  blocks = tuple(
    ResNetBlock(number, depth, bottleneck, small, stem_pool, dtype)
    for number, depth in enumerate(depths, start=1)
  )
  # The head's name in torchvision is 'fc', on CIFAR 'linear'.
  head = torch_layers.Linear(num_labels, 'linear' if small else 'fc')
  return Classifier(blocks, head)
