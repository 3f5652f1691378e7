"""A Flax NNX model as a teacher: its submodules' calls, intercepted."""

import functools
from collections.abc import Mapping
from typing import Any

import chex
import jax
import jax.numpy as jnp
from flax import nnx, traverse_util

from dualgan_jax.errors import UserError
from dualgan_jax.teachers.cut_model import Interceptor, trained_arguments


def bound(
  module: nnx.Module, arguments: Mapping[str, Any]
) -> tuple[Any, dict[str, Any]]:
  """An NNX model as `cut_model` takes it.

  Args:
    module: that is called with images; it stays as it is.
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
  graph, params, averages, others = nnx.split(
    module, nnx.Param, nnx.BatchStat, ...
  )
  states = {'params': params, 'batch_stats': averages}
  variables = {
    k: traverse_util.unflatten_dict(
      {tuple(map(str, path)): leaf for path, leaf in _flat(x).items()}
    )
    for k, x in states.items()
    if x or k == 'params'
  }
  shapes = {k: jax.eval_shape(lambda x: x, x) for k, x in states.items()}
  arguments = trained_arguments(module, arguments)

  def merged(variables):
    given = [_filled(shapes[k], variables.get(k, {})) for k in shapes]
    return nnx.merge(graph, *given, others)

  return functools.partial(_apply, merged, arguments), variables


def _flat(state: nnx.State) -> dict[tuple, Any]:
  """The values of a state by their paths; in lists, numbers are part of one."""
  return traverse_util.flatten_dict(nnx.to_pure_dict(state))


def _filled(shapes: nnx.State, given: dict) -> nnx.State:
  """A state with the values that are given, and zeros where there are none."""
  flat = traverse_util.flatten_dict(given)
  filled = {}
  for path, x in _flat(shapes).items():
    name = tuple(map(str, path))
    filled[path] = flat[name] if name in flat else jnp.zeros(x.shape, x.dtype)
  state = jax.tree.map(lambda x: x, shapes)
  nnx.replace_by_pure_dict(state, traverse_util.unflatten_dict(filled))
  return state


def _apply(
  merged: Any,
  arguments: Mapping[str, Any],
  variables: Any,
  images: chex.Array,
  interceptor: Interceptor,
) -> chex.Array:
  model = merged(variables)
  model.eval()
  for path, module in list(nnx.iter_modules(model)):
    if path:
      _intercept(module, tuple(map(str, path)), interceptor)
  return model(images, **arguments)


def _intercept(
  module: nnx.Module, path: tuple[str, ...], interceptor: Interceptor
) -> None:
  """Puts an interceptor around the calls of one module, and no other."""
  kind = type(module)
  if '__call__' not in dir(kind):
    return  # a list of modules

  def call(self, *args, **kwargs):
    run = functools.partial(kind.__call__, self, *args, **kwargs)
    return interceptor(path, '__call__', run)

  # Python looks a call up in the class.
  intercepted = type(kind.__name__, (kind,), {'__call__': call})
  object.__setattr__(module, '__class__', intercepted)
