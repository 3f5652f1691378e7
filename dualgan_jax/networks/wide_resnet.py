"""Wide ResNets (Zagoruyko and Komodakis, 2016) for CIFAR, in three blocks.

Modules are named as in the repositories of data-free distillation.
"""

import chex
import flax.linen as nn
import jax.numpy as jnp

from dualgan_jax.networks import torch_layers
from dualgan_jax.networks.classifier import Classifier


class Unit(nn.Module):
  """A residual unit with batch norm and ReLU before each 3×3 convolution.

  Attributes:
    width: channels of its output.
    stride: of its first convolution.
    dtype: that it computes in, that of its input if None.
  """

  width: int
  stride: int
  dtype: jnp.dtype | None = None

  @nn.compact
  def __call__(self, features: chex.Array, *, train: bool) -> chex.Array:
    """Maps [N, h, w, c] to [N, ⌈h/stride⌉, ⌈w/stride⌉, width]."""

    # Named as in the state dicts.
    def conv(index, stride=1):
      return torch_layers.conv(
        f'conv{index}',
        self.width,
        3,
        stride=stride,
        padding=1,
        dtype=self.dtype,
      )

    def norm(index):
      return torch_layers.norm(f'bn{index}', train=train, dtype=self.dtype)

    activations = nn.relu(norm(1)(features))
    # The shortcut starts behind the first batch norm and ReLU, too.
    if features.shape[-1] != self.width:
      features = torch_layers.conv(
        'convShortcut', self.width, 1, stride=self.stride, dtype=self.dtype
      )(activations)
    activations = nn.relu(norm(2)(conv(1, self.stride)(activations)))
    return features + conv(2)(activations)


class Layer(nn.Module):
  """Residual units in sequence, of which the first strides.

  Attributes:
    width: see `Unit`.
    depth: number of units.
    stride: of the first unit.
    dtype: see `Unit`.
  """

  width: int
  depth: int
  stride: int
  dtype: jnp.dtype | None = None

  @nn.compact
  def __call__(self, features: chex.Array, *, train: bool) -> chex.Array:
    """Maps [N, h, w, c] to [N, ⌈h/stride⌉, ⌈w/stride⌉, width]."""
    for index in range(self.depth):
      stride = self.stride if index == 0 else 1
      features = Unit(self.width, stride, self.dtype, name=str(index))(
        features, train=train
      )
    return features


class _BlockWithLayer(nn.Module):
  """A `Layer` one level down, since PyTorch's is at `block1.layer`."""

  width: int
  depth: int
  stride: int
  dtype: jnp.dtype | None = None

  @nn.compact
  def __call__(self, features: chex.Array, *, train: bool) -> chex.Array:
    return Layer(self.width, self.depth, self.stride, self.dtype, name='layer')(
      features, train=train
    )


class WideResNetBlock(nn.Module):
  """A block, `block1` .. `block3`, with the net's first and last layers.

  `block1` begins with the first convolution; `block3` ends with the last batch
  norm and ReLU.

  Attributes:
    number: 1 .. 3.
    depth: number of units.
    width_factor: factor of the widths 16, 32 and 64.
    dtype: that it computes in, that of its input if None.
  """

  number: int
  depth: int
  width_factor: int
  dtype: jnp.dtype | None = None

  @nn.compact
  def __call__(self, features: chex.Array, *, train: bool) -> chex.Array:
    """Maps images or features [N, h, w, c] to features."""
    if self.number == 1:
      features = torch_layers.conv('conv1', 16, 3, padding=1, dtype=self.dtype)(
        features
      )
    # Widths are 16, 32 and 64 times the factor.
    features = _BlockWithLayer(
      8 * 2**self.number * self.width_factor,
      self.depth,
      1 if self.number == 1 else 2,
      self.dtype,
      name=f'block{self.number}',
    )(features, train=train)
    # Units begin with batch norm and ReLU: the last one lacks them behind it.
    if self.number == 3:
      features = nn.relu(
        torch_layers.norm('bn1', train=train, dtype=self.dtype)(features)
      )
    return features


def create(
  num_layers: int,
  width_factor: int,
  num_labels: int,
  *,
  dtype: jnp.dtype | None = None,
) -> Classifier:
  """Makes a wide ResNet in three blocks.

  Args:
    num_layers: 6·n + 4, with n units per block.
    width_factor: factor of the widths 16, 32 and 64.
    num_labels: logits of its head.
    dtype: see `WideResNetBlock`.
  """
  # Each unit has two convolutions; four layers lie outside of units.
  blocks = tuple(
    WideResNetBlock(number, (num_layers - 4) // 6, width_factor, dtype)
    for number in (1, 2, 3)
  )
  return Classifier(blocks, torch_layers.Linear(num_labels, 'fc'))
