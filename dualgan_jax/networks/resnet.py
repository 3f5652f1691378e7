"""ResNets (He et al., 2016) with PyTorch's names, cut into four blocks.

Those of torchvision, for large images, and those that the repositories of
data-free distillation train on CIFAR, whose first convolution is 3×3 and does
not stride.
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
  """1×1 convolution and batch norm beside a unit that changes the shape."""

  width: int
  stride: int
  dtype: jnp.dtype | None = None

  @nn.compact
  def __call__(self, x: chex.Array, *, train: bool) -> chex.Array:
    """Maps [N, h, w, c] to [N, ⌈h/stride⌉, ⌈w/stride⌉, width]."""
    x = torch_layers.conv(
      '0', self.width, 1, stride=self.stride, dtype=self.dtype
    )(x)
    return torch_layers.norm('1', train=train, dtype=self.dtype)(x)


class Unit(nn.Module):
  """A basic unit, or a bottleneck that ends four times as wide."""

  width: int
  stride: int
  bottleneck: bool
  shortcut: str
  dtype: jnp.dtype | None = None

  @nn.compact
  def __call__(self, x: chex.Array, *, train: bool) -> chex.Array:
    """Maps [N, h, w, c] to [N, ⌈h/stride⌉, ⌈w/stride⌉, width or 4·width]."""

    def conv(i, width, kernel, stride=1):
      return torch_layers.conv(
        f'conv{i}',
        width,
        kernel,
        stride=stride,
        padding=kernel // 2,
        dtype=self.dtype,
      )

    def norm(i):
      return torch_layers.norm(f'bn{i}', train=train, dtype=self.dtype)

    if self.bottleneck:
      y = nn.relu(norm(1)(conv(1, self.width, 1)(x)))
      y = nn.relu(norm(2)(conv(2, self.width, 3, self.stride)(y)))
      y = norm(3)(conv(3, 4 * self.width, 1)(y))
    else:
      y = nn.relu(norm(1)(conv(1, self.width, 3, self.stride)(x)))
      y = norm(2)(conv(2, self.width, 3)(y))
    if x.shape != y.shape:
      x = Shortcut(y.shape[-1], self.stride, self.dtype, name=self.shortcut)(
        x, train=train
      )
    return nn.relu(x + y)


class Layer(nn.Module):
  """Units, the first of which strides."""

  width: int
  depth: int
  stride: int
  bottleneck: bool
  shortcut: str
  dtype: jnp.dtype | None = None

  @nn.compact
  def __call__(self, x: chex.Array, *, train: bool) -> chex.Array:
    """Maps [N, h, w, c] to what its last unit gives."""
    for i in range(self.depth):
      x = Unit(
        self.width,
        self.stride if i == 0 else 1,
        self.bottleneck,
        self.shortcut,
        self.dtype,
        name=str(i),
      )(x, train=train)
    return x


class ResNetBlock(nn.Module):
  """`layer1` .. `layer4`, the first with what stands before it.

  Attributes:
    number: 1 .. 4.
    depth: units.
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
  def __call__(self, x: chex.Array, *, train: bool) -> chex.Array:
    """Maps images or features [N, h, w, c] to features."""
    if self.number == 1:
      kernel, stride = (3, 1) if self.small else (7, 2)
      x = torch_layers.conv(
        'conv1',
        64,
        kernel,
        stride=stride,
        padding=kernel // 2,
        dtype=self.dtype,
      )(x)
      x = nn.relu(torch_layers.norm('bn1', train=train, dtype=self.dtype)(x))
      if self.stem_pool:
        x = torch_layers.max_pool(x, 3, 2, padding=1)
    return Layer(
      32 * 2**self.number,
      self.depth,
      1 if self.number == 1 else 2,
      self.bottleneck,
      'shortcut' if self.small else 'downsample',
      self.dtype,
      name=f'layer{self.number}',
    )(x, train=train)


def create(
  layers: int,
  labels: int,
  *,
  small: bool,
  stem_pool: bool | None = None,
  dtype: jnp.dtype | None = None,
) -> Classifier:
  """A ResNet of four blocks.

  Args:
    layers: a key of `DEPTHS`.
    labels: logits of its head.
    small: whether for images of CIFAR's size.
    stem_pool: whether a max pool follows the first convolution; if None, so it
      is unless the net is small.
    dtype: see `ResNetBlock`.
  """
  depths, bottleneck = DEPTHS[layers]
  stem_pool = not small if stem_pool is None else stem_pool
  blocks = tuple(
    ResNetBlock(b, depth, bottleneck, small, stem_pool, dtype)
    for b, depth in enumerate(depths, start=1)
  )
  head = torch_layers.Linear(labels, 'linear' if small else 'fc')
  return Classifier(blocks, head)
