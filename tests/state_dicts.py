"""Random state dicts of architectures, the same wherever they are made."""

import pathlib
import zlib

import numpy as np

from dualgan_jax.networks import state_dict_shapes, torch_layers
from dualgan_jax.networks.architectures import ARCHITECTURES
from dualgan_jax.teachers import weight_files

# Of all architectures, these: others have more layers of the same kinds.
NAMES = (
  'resnet18',
  'resnet34',
  'resnet50',
  'cifar_resnet18',
  'cifar_resnet34',
  'cifar_resnet20',
  'wrn_16_1',
  'wrn_16_2',
  'wrn_40_1',
  'wrn_40_2',
  'vgg11',
  'cifar_vgg11_bn',
  'lenet5',
  'lenet',
  'cnn2',
  'cnn3',
)
NUM_LABELS = 7
BATCH_SIZE = 3


def image_shape(name):
  """Returns the (height, width, channels) that a test gives an architecture."""
  if name == 'cnn2':
    return (28, 28, 1)
  image_size = 64 if name.startswith('resnet') else 32
  return (image_size, image_size, 1 if name == 'lenet5' else 3)


def tensors(name):
  """Draws weights about as large as trained ones, and running moments."""
  generator = np.random.default_rng(zlib.crc32(name.encode()))
  variables = state_dict_shapes.abstract_variables(
    ARCHITECTURES[name][0], NUM_LABELS, image_shape(name)
  )
  tensors_by_name = {}
  for tensor_name, shape in sorted(
    torch_layers.state_dict_shapes(variables).items()
  ):
    values = generator.standard_normal(shape).astype(np.float32)
    if tensor_name.endswith('running_var') or (
      tensor_name.endswith('weight') and len(shape) == 1
    ):
      tensors_by_name[tensor_name] = 0.5 + np.abs(values) / 2
    elif len(shape) == 1:
      tensors_by_name[tensor_name] = values / 5
    else:
      tensors_by_name[tensor_name] = values * np.sqrt(0.5 / np.prod(shape[1:]))
    tensors_by_name[tensor_name] = tensors_by_name[tensor_name].astype(
      np.float32
    )
  return tensors_by_name


def contents(tensors):
  """Makes the contents of a file that holds these tensors only."""
  state_dict = weight_files.StateDict('', tensors)
  return weight_files.Contents(pathlib.Path('x.pt'), (state_dict,))


def images(name):
  """Draws images in [0, 1], [BATCH_SIZE, h, w, c]."""
  generator = np.random.default_rng(1)
  return generator.random((BATCH_SIZE, *image_shape(name)), np.float32)
