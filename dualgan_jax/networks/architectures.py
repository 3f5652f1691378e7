"""The architectures whose PyTorch weights can be used, by name."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax

from dualgan_jax.networks import lenet, resnet, torch_layers, vgg, wide_resnet
from dualgan_jax.networks.classifier import Classifier


@dataclasses.dataclass(frozen=True)
class Architecture:
  """A net, and the names of its parts in weight files.

  Attributes:
    create: `(num_labels, dtype=...) -> Classifier`, and `stem_pool=...` if
      there may be a max pool after its first convolution.
    renamed: by another name of one of its parts, our name of it; parts begin at
      the start of a tensor's name, or after a dot.
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


def _resnet(num_layers: int) -> Architecture:
  """Makes the row of a ResNet of torchvision."""
  create = functools.partial(resnet.create, num_layers, small=False)
  return Architecture(create, smallest=32, stem_pool=True)


def _cifar_resnet(num_layers: int) -> Architecture:
  """Makes the row of a ResNet for images of CIFAR's size."""
  create = functools.partial(resnet.create, num_layers, small=True)
  return Architecture(create, _CIFAR_NAMES, stem_pool=False)


# Some repositories name the parts of these ResNets as torchvision does.
_CIFAR_NAMES = {'fc': 'linear', 'downsample': 'shortcut'}
# LeNet-5 with its layers in two `nn.Sequential`s.
_LENET_NAMES = {
  'features.0': 'conv1',
  'features.3': 'conv2',
  'features.6': 'conv3',
  'fc.0': 'fc1',
  'fc.2': 'fc2',
}
# By the name that a config gives.
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
def abstract_variables(
  name: str, num_labels: int, image_shape: tuple[int, int, int]
) -> tuple[Any, ...]:
  """Computes the shapes of an architecture's variables.

  Args:
    name: a key of `ARCHITECTURES`.
    num_labels: number of logits.
    image_shape: (height, width, channels) that it takes.

  Returns:
    B + 1 dicts of `jax.ShapeDtypeStruct`, as `Classifier.init` shapes them.
  """
  # Abstract, since some nets take seconds to make.
  net = ARCHITECTURES[name].create(num_labels)
  return jax.eval_shape(
    lambda key: net.init(key, image_shape), jax.random.key(0)
  )


@functools.cache
def _unit_shapes(name: str) -> dict[str, tuple[int, ...]]:
  """Computes the tensors' shapes for one label and one channel.

  No hidden layer has a width of 1, so an axis of length 1 marks the labels
  (first axis) or the image's channels (second axis of a kernel).
  """
  image_size = ARCHITECTURES[name].smallest
  return torch_layers.state_dict_shapes(
    abstract_variables(name, 1, (image_size, image_size, 1))
  )


def tensor_shapes(
  name: str, num_labels: int, num_channels: int
) -> dict[str, tuple[int, ...]]:
  """Computes the names and shapes of a state dict's tensors.

  Args:
    name: a key of `ARCHITECTURES`.
    num_labels: number of logits.
    num_channels: of an image.
  """

  def scale_shape(shape):
    # Kernels are [out, in, h, w], and only the first has the image's channels.
    first_axis = num_labels if shape[0] == 1 else shape[0]
    if len(shape) == 4 and shape[1] == 1:
      return (first_axis, num_channels, *shape[2:])
    return (first_axis, *shape[1:])

  return {
    tensor_name: scale_shape(shape)
    for tensor_name, shape in _unit_shapes(name).items()
  }


def infer_labels_and_channels(
  name: str, shapes_by_name: Mapping[str, tuple[int, ...]]
) -> tuple[int, int] | None:
  """Infers how many labels and channels a state dict is for.

  Args:
    name: a key of `ARCHITECTURES`.
    shapes_by_name: shapes of tensors, by the architecture's names.

  Returns:
    The numbers of labels and of channels; None if tensors of the first
    convolution or the head are missing, or disagree.
  """
  # Unpacking fails unless all these tensors agree.
  try:
    (num_labels,) = {
      shapes_by_name[tensor_name][0]
      for tensor_name, shape in _unit_shapes(name).items()
      if shape[0] == 1
    }
    (num_channels,) = {
      shapes_by_name[tensor_name][1]
      for tensor_name, shape in _unit_shapes(name).items()
      if len(shape) == 4 and shape[1] == 1
    }
  except (KeyError, IndexError, ValueError):
    return None
  return num_labels, num_channels
