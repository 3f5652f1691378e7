"""The architectures whose PyTorch weights can be taken over, by their names."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax

from dualgan_jax.networks import lenet, resnet, torch_layers, vgg, wide_resnet
from dualgan_jax.networks.classifier import Classifier


@dataclasses.dataclass(frozen=True)
class Architecture:
  """A net, and how the weight files of its repositories name its parts.

  Attributes:
    create: `(labels, dtype=...) -> Classifier`, and `stem_pool=...` if there
      may be a max pool after its first convolution.
    renamed: other names of its parts, from the start of a tensor's name or
      after a dot, and ours.
    smallest: the least height and width of an image that it can take.
    largest: the greatest, if its head is for features of one size.
    stem_pool: whether a max pool follows its first convolution, unless a config
      says otherwise; None if there never is one.
  """

  create: Callable[..., Classifier]
  renamed: Mapping[str, str] = dataclasses.field(default_factory=dict)
  smallest: int = 16
  largest: int | None = None
  stem_pool: bool | None = None


def _resnet(layers):
  create = functools.partial(resnet.create, layers, small=False)
  return Architecture(create, smallest=32, stem_pool=True)


def _cifar_resnet(layers):
  create = functools.partial(resnet.create, layers, small=True)
  return Architecture(create, _CIFAR_NAMES, stem_pool=False)


_CIFAR_NAMES = {'fc': 'linear', 'downsample': 'shortcut'}
_LENET_NAMES = {
  'features.0': 'conv1',
  'features.3': 'conv2',
  'features.6': 'conv3',
  'fc.0': 'fc1',
  'fc.2': 'fc2',
}
ARCHITECTURES = {
  **{f'resnet{layers}': _resnet(layers) for layers in (18, 34, 50)},
  **{f'cifar_resnet{layers}': _cifar_resnet(layers) for layers in (18, 34)},
  **{
    f'wrn_{layers}_{widen}': Architecture(
      functools.partial(wide_resnet.create, layers, widen)
    )
    for layers in (16, 40)
    for widen in (1, 2)
  },
  'cifar_vgg11_bn': Architecture(vgg.create),
  'lenet5': Architecture(lenet.create, _LENET_NAMES, smallest=32, largest=35),
}


@functools.cache
def abstract(
  name: str, labels: int, image: tuple[int, int, int]
) -> tuple[Any, ...]:
  """Computes the shapes of an architecture's variables.

  Args:
    name: a key of `ARCHITECTURES`.
    labels: number of logits.
    image: (height, width, channels) that it takes.
  """
  net = ARCHITECTURES[name].create(labels)
  return jax.eval_shape(lambda key: net.init(key, image), jax.random.key(0))


@functools.cache
def _shapes_for_one(name):
  """The shapes of a state dict for one label and one channel."""
  size = ARCHITECTURES[name].smallest
  return torch_layers.names(abstract(name, 1, (size, size, 1)))


def shapes(name: str, labels: int, channels: int) -> dict[str, tuple[int, ...]]:
  """Gives the names and shapes of a state dict's tensors.

  Args:
    name: a key of `ARCHITECTURES`.
    labels: number of logits.
    channels: of an image.
  """

  def shape_of(shape):
    first = labels if shape[0] == 1 else shape[0]
    if len(shape) == 4 and shape[1] == 1:
      return (first, channels, *shape[2:])
    return (first, *shape[1:])

  return {k: shape_of(shape) for k, shape in _shapes_for_one(name).items()}


def labels_and_channels(
  name: str, given: Mapping[str, tuple[int, ...]]
) -> tuple[int, int] | None:
  """Says how many labels and channels a state dict is for.

  Args:
    name: a key of `ARCHITECTURES`.
    given: shapes of tensors, by the architecture's names.

  Returns:
    None, if first convolution and head are missing or don't agree.
  """
  try:
    (labels,) = {
      given[k][0] for k, shape in _shapes_for_one(name).items() if shape[0] == 1
    }
    (channels,) = {
      given[k][1]
      for k, shape in _shapes_for_one(name).items()
      if len(shape) == 4 and shape[1] == 1
    }
  except (KeyError, IndexError, ValueError):
    return None
  return labels, channels
