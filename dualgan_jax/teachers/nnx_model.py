"""Flax NNX models as teachers: intercepts the calls of their submodules."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import chex
import jax
import jax.numpy as jnp
from flax import nnx, traverse_util

from dualgan_jax.errors import UserError
from dualgan_jax.teachers import tensor_names
from dualgan_jax.teachers.cut_block import Interceptor
from dualgan_jax.teachers.cut_model import trained_arguments


def bind(
  module: nnx.Module, arguments: Mapping[str, Any]
) -> tuple[Any, dict[str, Any]]:
  """Makes the function of an NNX model that `cut_model` takes.

  Args:
    module: called with images; it stays as it is.
    arguments: of its call, beside the images.

  Returns:
    A function of variables, images and an interceptor, and the variables as
    nested dicts: 'params' and, if it has batch norm, 'batch_stats'.

  Raises:
    UserError: it is no module of NNX.
  """
  if not isinstance(module, nnx.Module):
    raise UserError(
      f'module: a {type(module).__name__}, but it should be an nnx.Module; '
      'Teacher.from_flax takes modules of Linen.'
    )
  graph, params, averages, other_state = nnx.split(
    module, nnx.Param, nnx.BatchStat, ...
  )
  states = {'params': params, 'batch_stats': averages}
  # Paths of strings, as Linen's: a number in a list becomes a name.
  variables = {
    collection: traverse_util.unflatten_dict(
      {
        tuple(map(str, path)): leaf
        for path, leaf in _flatten_state(state).items()
      }
    )
    for collection, state in states.items()
    if state or collection == 'params'
  }
  # The function must not hold the values: variables come as its argument.
  abstract_states = {
    collection: jax.eval_shape(lambda state: state, state)
    for collection, state in states.items()
  }
  arguments = trained_arguments(module, arguments)

  def merge_model(variables):
    full_states = [
      _fill_state(abstract_state, variables.get(collection, {}))
      for collection, abstract_state in abstract_states.items()
    ]
    return nnx.merge(graph, *full_states, other_state)

  return functools.partial(_apply, merge_model, arguments), variables


def batch_statistics(module: nnx.Module) -> dict[str, tuple[Any, Any]]:
  """Lists the running mean and variance of each batch norm, by its path.

  Args:
    module: a model, whose blocks name what these batch norms normalise.
  """
  return {
    '/'.join(map(str, path)): (submodule.mean[...], submodule.var[...])
    for path, submodule in nnx.iter_modules(module)
    if isinstance(submodule, nnx.BatchNorm)
  }


def _flatten_state(state: nnx.State) -> dict[tuple, Any]:
  """Lists the values of a state by path; numbers in it are places in lists."""
  return traverse_util.flatten_dict(nnx.to_pure_dict(state))


def _fill_state(abstract_state: nnx.State, variables: dict) -> nnx.State:
  """Fills a state with some of its variables, and zeros for the others.

  A block of the model has only the variables that it reads.
  """
  flat_variables = traverse_util.flatten_dict(variables)
  full_state = {}
  for path, leaf in _flatten_state(abstract_state).items():
    name = tuple(map(str, path))
    full_state[path] = (
      flat_variables[name]
      if name in flat_variables
      else jnp.zeros(leaf.shape, leaf.dtype)
    )
  # A copy: NNX replaces values in place.
  state = jax.tree.map(lambda leaf: leaf, abstract_state)
  nnx.replace_by_pure_dict(state, traverse_util.unflatten_dict(full_state))
  return state


def _apply(
  merge_model: Callable[[Any], nnx.Module],
  arguments: Mapping[str, Any],
  variables: Any,
  images: chex.Array,
  interceptor: Interceptor,
) -> chex.Array:
  """Calls a model, with an interceptor around its submodules' calls."""
  model = merge_model(variables)
  model.eval()
  for path, module in list(nnx.iter_modules(model)):
    if path:
      _intercept(module, tuple(map(str, path)), interceptor)
  return model(images, **arguments)


def _intercept(
  module: nnx.Module, path: tuple[str, ...], interceptor: Interceptor
) -> None:
  """Puts an interceptor around the calls of one module, and no other."""
  module_class = type(module)
  if '__call__' not in dir(module_class):
    return  # a list of modules

  def call(self, *args, **kwargs):
    def run():
      if isinstance(self, nnx.BatchNorm):
        inputs = args[0] if args else kwargs['x']
        channels_last = jnp.moveaxis(inputs, self.axis, -1)
        tensor_names.name_tensor(channels_last, '/'.join(path))
      return module_class.__call__(self, *args, **kwargs)

    return interceptor(path, '__call__', run)

  # Python looks a call up in the class.
  intercepted_class = type(
    module_class.__name__, (module_class,), {'__call__': call}
  )
  object.__setattr__(module, '__class__', intercepted_class)
