"""Wide ResNets (Zagoruyko and Komodakis, 2016) for CIFAR, in three blocks.

With the names that the repositories of data-free distillation give them.
"""

import chex
import flax.linen as nn
import jax.numpy as jnp

from dualgan_jax.networks import torch_layers
from dualgan_jax.networks.classifier import Classifier


class Unit(nn.Module):
  """Batch norm and ReLU come before each of its two convolutions."""

  width: int
  stride: int
  dtype: jnp.dtype | None = None

  @nn.compact
  def __call__(self, x: chex.Array, *, train: bool) -> chex.Array:
    """Maps [N, h, w, c] to [N, ⌈h/stride⌉, ⌈w/stride⌉, width]."""

    def conv(i, stride=1):
      return torch_layers.conv(
        f'conv{i}', self.width, 3, stride=stride, padding=1, dtype=self.dtype
      )

    def norm(i):
      return torch_layers.norm(f'bn{i}', train=train, dtype=self.dtype)

    y = nn.relu(norm(1)(x))
    if x.shape[-1] != self.width:
      x = torch_layers.conv(
        'convShortcut', self.width, 1, stride=self.stride, dtype=self.dtype
      )(y)
    y = nn.relu(norm(2)(conv(1, self.stride)(y)))
    return x + conv(2)(y)


class Layer(nn.Module):
  """Units, the first of which strides."""

  width: int
  depth: int
  stride: int
  dtype: jnp.dtype | None = None

  @nn.compact
  def __call__(self, x: chex.Array, *, train: bool) -> chex.Array:
    """Maps [N, h, w, c] to [N, ⌈h/stride⌉, ⌈w/stride⌉, width]."""
    for i in range(self.depth):
      stride = self.stride if i == 0 else 1
      x = Unit(self.width, stride, self.dtype, name=str(i))(x, train=train)
    return x


class _Named(nn.Module):
  """`block1.layer`: PyTorch's has a level more."""

  width: int
  depth: int
  stride: int
  dtype: jnp.dtype | None = None

  @nn.compact
  def __call__(self, x: chex.Array, *, train: bool) -> chex.Array:
    return Layer(self.width, self.depth, self.stride, self.dtype, name='layer')(
      x, train=train
    )


class WideResNetBlock(nn.Module):
  """`block1` .. `block3`, with what stands before the first, after the last.

  Attributes:
    number: 1 .. 3.
    depth: units.
    widen: factor of the widths 16, 32 and 64.
    dtype: that it computes in, that of its input if None.
  """

  number: int
  depth: int
  widen: int
  dtype: jnp.dtype | None = None

  @nn.compact
  def __call__(self, x: chex.Array, *, train: bool) -> chex.Array:
    """Maps images or features [N, h, w, c] to features."""
    if self.number == 1:
      x = torch_layers.conv('conv1', 16, 3, padding=1, dtype=self.dtype)(x)
    x = _Named(
      8 * 2**self.number * self.widen,
      self.depth,
      1 if self.number == 1 else 2,
      self.dtype,
      name=f'block{self.number}',
    )(x, train=train)
    if self.number == 3:
      x = nn.relu(torch_layers.norm('bn1', train=train, dtype=self.dtype)(x))
    return x


def create(
  layers: int, widen: int, labels: int, *, dtype: jnp.dtype | None = None
) -> Classifier:
  """A wide ResNet of three blocks.

  Args:
    layers: 6·n + 4, with n units per block.
    widen: factor of the widths.
    labels: logits of its head.
    dtype: see `WideResNetBlock`.
  """
  blocks = tuple(
    WideResNetBlock(b, (layers - 4) // 6, widen, dtype) for b in (1, 2, 3)
  )
  return Classifier(blocks, torch_layers.Linear(labels, 'fc'))
