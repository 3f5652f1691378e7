"""ResNets (He et al., 2016) with PyTorch's names, cut into their layers.

There are three kinds: torchvision's, for large images; the same with a 3×3
first convolution that does not stride; and the paper's for CIFAR, of three
layers of 16, 32 and 64 channels.
"""

from collections.abc import Sequence

import chex
import flax.linen as nn
import jax.numpy as jnp

from dualgan_jax.networks import torch_layers
from dualgan_jax.networks.classifier import Classifier

# Channels of the layers of ImageNet's ResNets, and of CIFAR's.
WIDTHS = (64, 128, 256, 512)
CIFAR_WIDTHS = (16, 32, 64)


def subsample(features: chex.Array, stride: int, width: int) -> chex.Array:
  """Computes a shortcut without parameters: option A of He et al., 2016.

  Args:
    features: [N, h, w, c].
    stride: takes every such row and column.
    width: channels of the output; half of the new ones, all zero, come before
      the features' own, as in the repositories for CIFAR.

  Returns:
    [N, ⌈h/stride⌉, ⌈w/stride⌉, width].
  """
  num_new_channels = width - features.shape[-1]
  padding = (num_new_channels // 2, num_new_channels - num_new_channels // 2)
  return jnp.pad(
    features[:, ::stride, ::stride], ((0, 0), (0, 0), (0, 0), padding)
  )


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
    shortcut: name of the `Shortcut`; None if it has no parameters.
    dtype: that it computes in, that of its input if None.
  """

  width: int
  stride: int
  bottleneck: bool
  shortcut: str | None
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
      width = residual.shape[-1]
      features = (
        Shortcut(width, self.stride, self.dtype, name=self.shortcut)(
          features, train=train
        )
        if self.shortcut
        else subsample(features, self.stride, width)
      )
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
  shortcut: str | None
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
    width: see `Unit`.
    depth: number of units.
    bottleneck: see `Unit`.
    shortcut: see `Unit`.
    small: whether for images of CIFAR's size.
    stem_pool: whether a max pool follows the first convolution.
    dtype: that it computes in, that of its input if None.
  """

  number: int
  width: int
  depth: int
  bottleneck: bool
  shortcut: str | None
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
        self.width,
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
    return Layer(
      self.width,
      self.depth,
      1 if self.number == 1 else 2,
      self.bottleneck,
      self.shortcut,
      self.dtype,
      name=f'layer{self.number}',
    )(features, train=train)


def create(
  depths: Sequence[int],
  num_labels: int,
  *,
  small: bool,
  bottleneck: bool = False,
  widths: Sequence[int] = WIDTHS,
  learned_shortcut: bool = True,
  stem_pool: bool | None = None,
  dtype: jnp.dtype | None = None,
) -> Classifier:
  """Makes a ResNet of one block per layer.

  Args:
    depths: units of each layer.
    num_labels: logits of its head.
    small: whether for images of CIFAR's size.
    bottleneck: see `Unit`.
    widths: of each layer.
    learned_shortcut: whether a shortcut that changes the shape has parameters
      (option B of He et al., 2016), or none (option A).
    stem_pool: whether a max pool follows the first convolution; None means that
      it does unless the net is small.
    dtype: see `ResNetBlock`.
  """
  # The names in torchvision are 'downsample' and 'fc'.
  shortcut, head = ('shortcut', 'linear') if small else ('downsample', 'fc')
  blocks = tuple(
    ResNetBlock(
      number,
      width,
      depth,
      bottleneck,
      shortcut if learned_shortcut else None,
      small,
      not small if stem_pool is None else stem_pool,
      dtype,
    )
    for number, (width, depth) in enumerate(
      zip(widths, depths, strict=True), start=1
    )
  )
  return Classifier(blocks, torch_layers.Linear(num_labels, head))
