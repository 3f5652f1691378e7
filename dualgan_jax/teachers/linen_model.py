"""Flax Linen models as teachers: intercepts the calls of their submodules."""

import functools
from collections.abc import Mapping
from typing import Any

import chex
import flax.core
import flax.linen as nn

from dualgan_jax.errors import UserError
from dualgan_jax.teachers.cut_block import Interceptor
from dualgan_jax.teachers.cut_model import trained_arguments


def bind(
  module: nn.Module, variables: Any, arguments: Mapping[str, Any]
) -> tuple[Any, dict[str, Any]]:
  """Makes the function of a Linen model that `cut_model` takes.

  Args:
    module: applied to images.
    variables: of 'params' and perhaps 'batch_stats'.
    arguments: of its call, beside the images.

  Returns:
    A function of variables, images and an interceptor, and the variables as
    nested dicts.

  Raises:
    UserError: the variables are not of these collections.
  """
  # Other collections may change in a call, which a teacher must not.
  variables = flax.core.unfreeze(variables)
  if not (
    isinstance(variables, dict)
    and {'params'} <= {*variables} <= {'params', 'batch_stats'}
  ):
    collections = ', '.join(map(repr, variables)) or 'nothing'
    raise UserError(
      f'variables: these are {collections}; give a dict of the '
      "model's 'params' and, if it has batch norm, its 'batch_stats', and "
      'nothing else.'
    )
  arguments = trained_arguments(module, arguments)
  return functools.partial(_apply, module, arguments), variables


def _apply(
  module: nn.Module,
  arguments: Mapping[str, Any],
  variables: Any,
  images: chex.Array,
  interceptor: Interceptor,
) -> chex.Array:
  """Applies a module, with an interceptor around its submodules' calls."""

  def intercept(next_method, args, kwargs, context):
    run = functools.partial(next_method, *args, **kwargs)
    if context.module.scope is None:
      return run()  # of a helper that is no part of the model
    return interceptor(context.module.path, context.method_name, run)

  with nn.intercept_methods(intercept):
    return module.apply(variables, images, **arguments)
