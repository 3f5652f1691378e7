"""Layers that compute what PyTorch's of the same parameters do.

A module's children carry the names that PyTorch's have, so that a state dict's
names are the paths of our variables ('layer1.0.conv1.weight' is the kernel of
`layer1/0/conv1`), and one function converts every architecture.
"""

from collections.abc import Mapping
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

_LEAVES = {
  'kernel': 'weight',
  'scale': 'weight',
  'bias': 'bias',
  'mean': 'running_mean',
  'var': 'running_var',
}


def conv(
  name: str,
  width: int,
  kernel: int,
  *,
  stride: int = 1,
  padding: int = 0,
  bias: bool = False,
  dtype: jnp.dtype | None = None,
) -> nn.Conv:
  """`nn.Conv2d`: it pads both sides alike, where 'SAME' may not."""
  return nn.Conv(
    width,
    (kernel, kernel),
    strides=stride,
    padding=padding,
    use_bias=bias,
    dtype=dtype,
    name=name,
  )


def norm(
  name: str, *, train: bool, dtype: jnp.dtype | None = None
) -> nn.BatchNorm:
  """`nn.BatchNorm2d`; PyTorch counts a momentum of 0.1 from the other side."""
  return nn.BatchNorm(
    use_running_average=not train, momentum=0.9, dtype=dtype, name=name
  )


def max_pool(
  x: chex.Array, window: int, stride: int, padding: int = 0
) -> chex.Array:
  """`nn.MaxPool2d`."""
  return nn.max_pool(
    x,
    window_shape=(window, window),
    strides=(stride, stride),
    padding=((padding, padding), (padding, padding)),
  )


def flatten(x: chex.Array) -> chex.Array:
  """[N, h, w, c] to [N, c·h·w], in PyTorch's order."""
  return x.transpose(0, 3, 1, 2).reshape(x.shape[0], -1)


class Linear(nn.Module):
  """Mean over space if there is any, then `nn.Linear`, in float32.

  Attributes:
    labels: number of logits.
    child: the name of the `nn.Linear`.
  """

  labels: int
  child: str

  @nn.compact
  def __call__(self, x: chex.Array) -> chex.Array:
    """Maps [N, h, w, c] to logits [N, labels]."""
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return nn.Dense(self.labels, name=self.child)(jnp.mean(x, axis=(1, 2)))


def names(variables: tuple[Any, ...]) -> dict[str, tuple[int, ...]]:
  """A state dict's names and shapes, for variables that may be abstract.

  Args:
    variables: B + 1 variable dicts, as `Classifier.init` makes them.
  """
  return {
    _name(path): _shape(leaf)
    for part in variables
    for path, leaf in traverse_util.flatten_dict(part).items()
  }


def convert(
  tensors: Mapping[str, np.ndarray], like: tuple[Any, ...]
) -> tuple[Any, ...]:
  """A state dict's tensors as our variables, in float32.

  Args:
    tensors: by name; those of `names(like)` and of the shapes there are read.
    like: variables of the shape wanted, may be abstract.
  """

  def take(path, leaf):
    del leaf
    x = np.asarray(tensors[_name(path)], np.float32)
    if path[-1] != 'kernel':
      return x
    # [out, in, h, w] to [h, w, in, out]; [out, in] to [in, out].
    return x.transpose(2, 3, 1, 0) if x.ndim == 4 else x.T

  return tuple(traverse_util.path_aware_map(take, part) for part in like)


def _name(path: tuple[str, ...]) -> str:
  _, *modules, leaf = path  # its collection comes first
  return '.'.join([*modules, _LEAVES[leaf]])


def _shape(leaf: jax.ShapeDtypeStruct) -> tuple[int, ...]:
  shape = tuple(leaf.shape)
  if len(shape) == 4:
    return (shape[3], shape[2], shape[0], shape[1])
  return shape[::-1]
