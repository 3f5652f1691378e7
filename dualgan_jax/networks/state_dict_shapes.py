"""Computes the names and shapes of the tensors that weight files must have."""

import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from dualgan_jax.networks import torch_layers
from dualgan_jax.networks.architectures import Variant


def abstract_variables(
  variant: Variant, num_labels: int, image_shape: tuple[int, int, int]
) -> tuple[Any, ...]:
  """Computes the shapes of a variant's variables.

  Args:
    variant: of an architecture.
    num_labels: number of logits.
    image_shape: (height, width, channels) that it takes.

  Returns:
    B + 1 dicts of `jax.ShapeDtypeStruct`, as `Classifier.init` shapes them.
  """
  # Abstract, since some nets take seconds to make.
  net, variables = variant.create(num_labels), []
  features = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  for block in net.blocks:
    features, block_variables = _init_block(block, features.shape)
    variables.append(block_variables)
  head_variables = jax.eval_shape(net.head.init, jax.random.key(0), features)
  return (*variables, head_variables)


@functools.cache
def _init_block(
  block: nn.Module, input_shape: tuple[int, ...]
) -> tuple[jax.ShapeDtypeStruct, Any]:
  """Computes the shapes of a block's output and variables.

  Variants have many blocks in common.
  """
  return jax.eval_shape(
    functools.partial(block.init_with_output, train=False),
    jax.random.key(0),
    jax.ShapeDtypeStruct(input_shape, jnp.float32),
  )


@functools.cache
def _unit_shapes(
  variant: Variant, image_size: tuple[int, int] | None
) -> dict[str, tuple[int, ...]]:
  """Computes the tensors' shapes for one label and one channel.

  No hidden layer has a width of 1, so an axis of length 1 marks the labels
  (first axis) or the image's channels (second axis of a kernel).
  """
  if image_size is None or not variant.takes(image_size):
    image_size = (variant.smallest, variant.smallest)
  return torch_layers.state_dict_shapes(
    abstract_variables(variant, 1, (*image_size, 1))
  )


def tensor_names(variant: Variant) -> tuple[str, ...]:
  """Lists the names of a state dict's tensors."""
  return tuple(_unit_shapes(variant, None))


def tensor_shapes(
  variant: Variant, num_labels: int, image_shape: tuple[int, int, int]
) -> dict[str, tuple[int, ...]]:
  """Computes the names and shapes of a state dict's tensors.

  Args:
    variant: of an architecture.
    num_labels: number of logits.
    image_shape: (height, width, channels); a net that takes no such images is
      described for its smallest ones.
  """
  height, width, num_channels = image_shape

  def scale_shape(shape):
    # Kernels are [out, in, h, w], and only the first has the image's channels.
    first_axis = num_labels if shape[0] == 1 else shape[0]
    if len(shape) == 4 and shape[1] == 1:
      return (first_axis, num_channels, *shape[2:])
    return (first_axis, *shape[1:])

  return {
    tensor_name: scale_shape(shape)
    for tensor_name, shape in _unit_shapes(variant, (height, width)).items()
  }


def infer_labels_and_channels(
  variant: Variant, shapes_by_name: Mapping[str, tuple[int, ...]]
) -> tuple[int, int] | None:
  """Infers how many labels and channels a state dict is for.

  Args:
    variant: of an architecture.
    shapes_by_name: shapes of tensors, by the variant's names.

  Returns:
    The numbers of labels and of channels; None if tensors of the first
    convolution or the head are missing, or disagree.
  """
  unit_shapes = _unit_shapes(variant, None)
  # Unpacking fails unless all these tensors agree.
  try:
    (num_labels,) = {
      shapes_by_name[tensor_name][0]
      for tensor_name, shape in unit_shapes.items()
      if shape[0] == 1
    }
    (num_channels,) = {
      shapes_by_name[tensor_name][1]
      for tensor_name, shape in unit_shapes.items()
      if len(shape) == 4 and shape[1] == 1
    }
  except (KeyError, IndexError, ValueError):
    return None
  return num_labels, num_channels
