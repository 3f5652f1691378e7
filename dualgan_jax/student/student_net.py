"""The net of a folder `student`, which its config describes completely."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import chex
import jax
from flax import traverse_util

from dualgan_jax.display import printable
from dualgan_jax.errors import UserError
from dualgan_jax.networks import classifier
from dualgan_jax.networks.classifier import Classifier
from dualgan_jax.student import student_config, student_folder


def read(
  folder: pathlib.Path, config: Mapping[str, Any], tensors: Mapping[str, Any]
) -> tuple[Classifier, tuple[Any, ...]]:
  """Builds a student's net, and arranges its variables.

  Args:
    folder: of the student, for the messages.
    config: as `student_folder.read` returns it.
    tensors: likewise, without a program.

  Returns:
    The net, and its B + 1 variable dicts.

  Raises:
    UserError: the config describes no net, or the tensors are of another.
  """
  fault = student_config.net_fault(config)
  if fault:
    raise UserError(
      f'{printable(folder)}: its {student_folder.CONFIG} describes no net '
      f'({fault}); bring it again.'
    )
  # JSON has no tuples, which modules need to be hashed.
  tuples = {
    name: tuple(value)
    for name, value in config['net'].items()
    if type(value) is list
  }
  net = classifier.create(
    **{**config['net'], **tuples}, num_labels=len(config['labels'])
  )
  # The file must hold the variables of this net, and no others.
  try:
    abstract_variables = jax.eval_shape(
      lambda key: net.init(key, tuple(config['image'])), jax.random.PRNGKey(0)
    )
    expected = _shapes_and_types(flatten(abstract_variables))
  except (TypeError, ValueError, ZeroDivisionError):
    expected = None  # no image is left after some block
  if expected != _shapes_and_types(tensors):
    raise UserError(
      f'{printable(folder)}: its {student_folder.MODEL} is not of the net in '
      f'its {student_folder.CONFIG}; bring both again.'
    )
  nested = traverse_util.unflatten_dict(tensors, sep='/')
  block_names = _block_names(len(abstract_variables))
  return net, tuple(nested[name] for name in block_names)


def build_apply(
  folder: pathlib.Path, config: Mapping[str, Any], tensors: Mapping[str, Any]
) -> tuple[Callable[[Any, chex.Array], chex.Array], Any]:
  """Builds a student's net as a function.

  Args:
    folder: see `read`.
    config: see `read`.
    tensors: see `read`.

  Returns:
    A pure function of variables and images [n, h, w, c] that returns
    probabilities [n, L]; and the variables.

  Raises:
    UserError: see `read`.
  """
  net, variables = read(folder, config, tensors)

  def apply(variables, images):
    logits, _ = net.apply(variables, images, train=False)
    return jax.nn.sigmoid(logits)

  return apply, variables


def flatten(variables: Sequence[Any]) -> dict[str, Any]:
  """Names each variable by its path, 'block_1/params/Conv_0/kernel'."""
  block_names = _block_names(len(variables))
  named = dict(zip(block_names, variables, strict=True))
  return traverse_util.flatten_dict(named, sep='/')


def _shapes_and_types(tensors: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
  """Maps each name to its tensor's shape and type."""
  return {
    name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()
  }


def _block_names(num_parts: int) -> list[str]:
  """Names the blocks and the head in the file of variables."""
  return [*(f'block_{number}' for number in range(1, num_parts)), 'head']
