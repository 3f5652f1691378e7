"""Cuts a whole model into a teacher's blocks (`cut_block`), as it is written.

A block runs the model's code on placeholder images. At the submodule after
which it begins, its input features take the place of the output; at the
submodule after which it ends, an exception carries the output away. Submodules
before its beginning give zeros and don't run, so that a block needs no more
than its variables.

The library of a model only has to let calls of its submodules be intercepted.
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import chex
import jax
import numpy as np
from flax import traverse_util

from dualgan_jax.display import format_shape
from dualgan_jax.errors import UserError
from dualgan_jax.teachers.cut_block import (
  CALL,
  Call,
  CutBlock,
  Interceptor,
  Model,
  Path,
)
from dualgan_jax.teachers.user_errors import user_errors

# How far a block by itself may differ from the model, as a share of the largest
# feature: compilers fuse both differently.
_ROUNDING = 1e-3

# Arguments by which a model answers as after training, if its call has them.
_EVALUATION_ARGUMENTS = {
  'train': False,
  'training': False,
  'is_training': False,
  'deterministic': True,
  'use_running_average': True,
}


def cut(
  apply: Callable[[Any, chex.Array, Interceptor], chex.Array],
  variables: Any,
  images: chex.Array,
  cut_after: Sequence[str],
) -> tuple[tuple[CutBlock, ...], tuple[Any, ...]]:
  """Cuts a model after some of its submodules.

  Args:
    apply: see `Model`.
    variables: of the model, a nested dict.
    images: a few that it takes, to try it on, [N, h, w, c].
    cut_after: paths of submodules, like 'encoder/Conv_1', in any order.

  Returns:
    One block more than there are cuts, the last of which is the head, and the
    variables of each.

  Raises:
    UserError: a name is no submodule that is called once, the model fails, or
      what follows a cut needs more than the output of the submodule there.
  """
  shapes = jax.eval_shape(lambda variables: variables, variables)
  model = Model(apply, images.shape[1:], shapes)
  failure = (
    'cut_after: the model cannot answer images of '
    f'{format_shape(model.image_shape)}'
  )
  with user_errors(failure):
    ends = _find_cuts(model.calls(len(images)), cut_after)
    outputs = _run_model(model, variables, images, ends)
  # Each block is tried by itself on what the model gave at its beginning.
  blocks = tuple(
    CutBlock(model, start, end)
    for start, end in zip((None, *ends), (*ends, None), strict=True)
  )
  inputs = (images, *outputs[:-1])
  parts = []
  for block, features, expected in zip(blocks, inputs, outputs, strict=True):
    name = '/'.join(block.start or ())
    with user_errors(f'cut_after: what follows {name!r} cannot be run alone'):
      part = _select_variables(block, variables, features)
      output = jax.jit(block)(part, features)
    # A skip connection around the cut would bring zeros of placeholders.
    if not _are_close(output, expected):
      raise UserError(
        f'cut_after: what follows {name!r} needs more than its output, as if a '
        'connection led around it; name another submodule.'
      )
    parts.append(part)
  return blocks, tuple(parts)


def trained_arguments(
  module: Any, arguments: Mapping[str, Any]
) -> dict[str, Any]:
  """Adds the arguments by which a model answers as after its training.

  Args:
    module: called as `module(images, **arguments)`.
    arguments: the user's, which come first.

  Returns:
    Arguments that the module's call has.
  """
  parameters = inspect.signature(type(module).__call__).parameters
  evaluation_arguments = {
    name: value
    for name, value in _EVALUATION_ARGUMENTS.items()
    if name in parameters
  }
  return {**evaluation_arguments, **arguments}


def _find_cuts(calls: Sequence[Call], cut_after: Sequence[str]) -> list[Path]:
  """Lists the paths to cut after, in the order in which they are called."""
  paths = [call.path for call in calls if call.method == CALL and call.path]
  names = ['/'.join(path) for path in paths]
  # A submodule that is called twice has two outputs, so no place to cut.
  once = [name for name in names if names.count(name) == 1]
  if isinstance(cut_after, str) or len({*cut_after}) < 2:
    raise UserError(
      f'cut_after: {cut_after!r}, but a teacher has at least two blocks; name '
      f'two or more submodules of {", ".join(once)}.'
    )
  for name in cut_after:
    if name not in once:
      fault = 'is called several times' if name in names else 'is no submodule'
      raise UserError(
        f'cut_after: {name!r} {fault} in a call of the model; name others of '
        f'{", ".join(once)}.'
      )
  for call in calls:
    if '/'.join(call.path) in cut_after and not hasattr(call.output, 'shape'):
      raise UserError(
        f'cut_after: {"/".join(call.path)!r} gives a '
        f'{type(call.output).__name__}; name submodules that give one array.'
      )
  return [path for path, name in zip(paths, names) if name in cut_after]


def _run_model(
  model: Model, variables: Any, images: chex.Array, ends: Sequence[Path]
) -> list[chex.Array]:
  """Computes the outputs of a model after each of its cuts, and its logits."""

  def run(variables, images):
    outputs = {}

    def record(path, method, next_method):
      output = next_method()
      if method == CALL:
        outputs[path] = output
      return output

    logits = model.apply(variables, images, record)
    return [*(outputs[path] for path in ends), logits]

  try:
    return jax.jit(run)(variables, images)
  # An output of an inner transform has left it.
  except jax.errors.UnexpectedTracerError as error:
    raise UserError(
      'cut_after: one of these lies in what nn.remat, nn.scan or nn.jit wrap, '
      'where no model can be cut; build it without them, or name others.'
    ) from error


def _select_variables(
  block: CutBlock, variables: Any, features: chex.Array
) -> Any:
  """Selects the variables that a block reads, of all those of its model."""
  flat, running_paths = traverse_util.flatten_dict(variables), set()

  def apply(variables, images, interceptor):
    def record_path(path, method, next_method):
      def run():
        running_paths.add(path)
        return next_method()

      return interceptor(path, method, run)

    return block.model.apply(variables, images, record_path)

  recording_block = dataclasses.replace(
    block, model=dataclasses.replace(block.model, apply=apply)
  )
  # The program names each variable that it reads.
  jaxpr = jax.make_jaxpr(
    lambda flat, features: recording_block(
      traverse_util.unflatten_dict(flat), features
    )
  )(flat, features).jaxpr
  read_ids = {
    id(variable)
    for part in (jaxpr, *jaxpr.eqns)
    for variable in _read_variables(part)
  }
  leaves, structure = jax.tree.flatten(flat)
  flags = [id(variable) in read_ids for variable in jaxpr.invars[: len(leaves)]]
  is_read = jax.tree.unflatten(structure, flags)
  # A submodule asks for all of its variables, read or not.
  selected = {
    path: leaf
    for path, leaf in flat.items()
    if path[1:-1] in running_paths or any(jax.tree.leaves(is_read[path]))
  }
  return {'params': {}, **traverse_util.unflatten_dict(selected)}


def _read_variables(part: Any) -> Sequence[Any]:
  """Lists the inputs of an equation, or the outputs of a whole program.

  A program may return one of its inputs unchanged, which no equation reads.
  """
  return part.outvars if hasattr(part, 'eqns') else part.invars


def _are_close(output: Any, expected: chex.Array) -> bool:
  """Returns whether two arrays are the same up to rounding."""
  if output.shape != expected.shape:
    return False
  output, expected = (
    np.asarray(array, np.float64) for array in (output, expected)
  )
  # Relative to the largest value: small ones may be differences of large ones.
  tolerance = _ROUNDING * np.abs(expected).max()
  return np.allclose(output, expected, rtol=0, atol=tolerance)
