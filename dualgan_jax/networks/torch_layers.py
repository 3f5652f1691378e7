"""Layers that compute the same as PyTorch's layers with the same parameters.

A module's children have the names that they have in PyTorch. So the names of a
state dict are the paths of our variables ('layer1.0.conv1.weight' is the kernel
of `layer1/0/conv1`), and one function converts every architecture.
"""

from collections.abc import Mapping
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from dualgan_jax.networks.thin_convolution import conv_general_dilated

# By Flax's name of a variable, PyTorch's.
_TORCH_LEAF_NAMES = {
  'kernel': 'weight',
  'scale': 'weight',
  'bias': 'bias',
  'mean': 'running_mean',
  'var': 'running_var',
}


def conv(
  name: str,
  width: int,
  kernel_size: int,
  *,
  stride: int = 1,
  padding: int = 0,
  use_bias: bool = False,
  dtype: jnp.dtype | None = None,
) -> nn.Conv:
  """Makes an `nn.Conv2d`, which pads both sides alike; 'SAME' may not.

  Args:
    name: of the module.
    width: channels of its output.
    kernel_size: height and width of its kernel.
    stride: along both axes.
    padding: pixels on each side.
    use_bias: whether it adds a bias.
    dtype: that it computes in, that of its input if None.
  """
  return nn.Conv(
    width,
    (kernel_size, kernel_size),
    strides=stride,
    padding=padding,
    use_bias=use_bias,
    dtype=dtype,
    conv_general_dilated=conv_general_dilated,
    name=name,
  )


def norm(
  name: str, *, train: bool, dtype: jnp.dtype | None = None
) -> nn.BatchNorm:
  """Makes an `nn.BatchNorm2d`, whose momentum of 0.1 is 0.9 in Flax.

  Args:
    name: of the module.
    train: whether to use the batch's moments.
    dtype: that it computes in, that of its input if None.
  """
  # PyTorch's momentum weighs the batch, Flax's the running average.
  return nn.BatchNorm(
    use_running_average=not train, momentum=0.9, dtype=dtype, name=name
  )


def max_pool(
  features: chex.Array, window_size: int, stride: int, padding: int = 0
) -> chex.Array:
  """Pools as `nn.MaxPool2d` does.

  Args:
    features: [N, h, w, c].
    window_size: height and width of the window.
    stride: along both axes.
    padding: pixels on each side, below any value.
  """
  return nn.max_pool(
    features,
    window_shape=(window_size, window_size),
    strides=(stride, stride),
    padding=((padding, padding), (padding, padding)),
  )


def flatten(features: chex.Array) -> chex.Array:
  """Flattens [N, h, w, c] to [N, c·h·w], in PyTorch's order."""
  # In PyTorch, channels come before rows and columns.
  return features.transpose(0, 3, 1, 2).reshape(features.shape[0], -1)


def adaptive_mean(features: chex.Array, size: int) -> chex.Array:
  """Pools as `nn.AdaptiveAvgPool2d` does: windows that cover the input.

  Args:
    features: [N, h, w, c].
    size: of the output.

  Returns:
    [N, size, size, c]; where the input is smaller, its pixels are repeated.
  """
  for axis in (1, 2):
    length = features.shape[axis]
    # Window i of n covers ⌊i·length/n⌋ .. ⌈(i + 1)·length/n⌉.
    features = jnp.concatenate(
      [
        jnp.mean(
          jax.lax.slice_in_dim(
            features,
            index * length // size,
            -(-(index + 1) * length // size),
            axis=axis,
          ),
          axis=axis,
          keepdims=True,
        )
        for index in range(size)
      ],
      axis=axis,
    )
  return features


def as_float32(features: chex.Array) -> chex.Array:
  """Casts half precision, which would round a head's mean and its logits."""
  return features.astype(jnp.promote_types(features.dtype, jnp.float32))


class DenseLayers(nn.Module):
  """A head of `nn.Linear`s with ReLU between, on all features, in float32.

  Attributes:
    widths: of the `nn.Linear`s; the last is the number of logits.
    child_names: their names.
  """

  widths: tuple[int, ...]
  child_names: tuple[str, ...]

  @nn.compact
  def __call__(self, features: chex.Array) -> chex.Array:
    """Maps [N, h, w, c] to logits [N, widths[-1]]."""
    features = flatten(as_float32(features))
    for index, (width, name) in enumerate(
      zip(self.widths, self.child_names, strict=True)
    ):
      features = nn.relu(features) if index else features
      features = nn.Dense(width, name=name)(features)
    return features


class Linear(nn.Module):
  """A head: the mean over space, then an `nn.Linear`, in float32.

  Attributes:
    num_labels: number of logits.
    child_name: the name of the `nn.Linear`.
  """

  num_labels: int
  child_name: str

  @nn.compact
  def __call__(self, features: chex.Array) -> chex.Array:
    """Maps [N, h, w, c] to logits [N, num_labels]."""
    return nn.Dense(self.num_labels, name=self.child_name)(
      jnp.mean(as_float32(features), axis=(1, 2))
    )


def state_dict_shapes(variables: tuple[Any, ...]) -> dict[str, tuple[int, ...]]:
  """Computes the names and shapes of a state dict's tensors.

  Args:
    variables: B + 1 variable dicts, as `Classifier.init` makes them; may be
      abstract.

  Returns:
    By a tensor's name in PyTorch, its shape there.
  """
  return {
    _torch_name(path): _torch_shape(leaf)
    for variable_dict in variables
    for path, leaf in traverse_util.flatten_dict(variable_dict).items()
  }


def convert_state_dict(
  tensors: Mapping[str, np.ndarray], template: tuple[Any, ...]
) -> tuple[Any, ...]:
  """Converts a state dict's tensors to our variables, in float32.

  Args:
    tensors: by name, those that `state_dict_shapes(template)` lists, with the
      shapes there; more are ignored.
    template: variables of the same structure and shapes; may be abstract.

  Returns:
    Variables of the template's structure.
  """

  def convert_leaf(path, leaf):
    del leaf  # the path says how it is laid out
    array = np.asarray(tensors[_torch_name(path)], np.float32)
    if path[-1] != 'kernel':
      return array
    # [out, in, h, w] to [h, w, in, out]; [out, in] to [in, out].
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T

  return tuple(
    traverse_util.path_aware_map(convert_leaf, variable_dict)
    for variable_dict in template
  )


def _torch_name(path: tuple[str, ...]) -> str:
  """Converts a variable's path, collection first, to a tensor's name."""
  _, *modules, leaf = path  # its collection comes first
  return '.'.join([*modules, _TORCH_LEAF_NAMES[leaf]])


def _torch_shape(leaf: jax.ShapeDtypeStruct) -> tuple[int, ...]:
  """Converts a variable's shape to the tensor's: see `convert_state_dict`."""
  shape = tuple(leaf.shape)
  if len(shape) == 4:
    return (shape[3], shape[2], shape[0], shape[1])
  return shape[::-1]
