"""Cuts a whole model into a teacher's blocks, without rewriting it.

A block runs the model's code on placeholder images. At the submodule after
which it begins, the features that it is given take the place of the output; at
the one after which it ends, an exception carries the output away. What is
called before its beginning gives zeros and is not run, so that a block needs no
more than its variables.

The library of a model only has to let calls of its submodules be intercepted.
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from dualgan_jax.errors import UserError
from dualgan_jax.teachers import forward
from dualgan_jax.teachers.protocol import blamed, by

# Of a submodule: its attributes or names from the model's root on.
Path = tuple[str, ...]
_CALL = '__call__'
# Of the largest feature, by which a block alone may differ from the model.
_ROUNDING = 1e-3

# What a model that is done with training is called with, where it takes it.
_TRAINED = {
  'train': False,
  'training': False,
  'is_training': False,
  'deterministic': True,
  'use_running_average': True,
}


class Call(NamedTuple):
  """A call of a submodule's method.

  Attributes:
    path: of the submodule; () is the model itself.
    method: its name.
    output: shapes of what it gave.
  """

  path: Path
  method: str
  output: Any


# (path, method, next_method) -> output; `next_method()` runs the method.
Interceptor = Callable[[Path, str, Callable[[], Any]], Any]


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
  """A whole model, whose submodules' calls can be intercepted.

  Attributes:
    apply: maps variables, images and an interceptor to logits.
    image_shape: (height, width, channels) of the images that it takes.
    variables: its variables, of shapes only.
    known_calls: by number of rows, `calls` of earlier times.
  """

  apply: Callable[[Any, chex.Array, Interceptor], chex.Array]
  image_shape: tuple[int, int, int]
  variables: Any
  known_calls: dict[int, list[Call]] = dataclasses.field(default_factory=dict)

  def calls(self, rows: int) -> list[Call]:
    """Lists all calls of submodules in the order in which they end.

    Args:
      rows: number of images.
    """
    if rows not in self.known_calls:
      calls = []

      def record(path, method, next_method):
        output = next_method()
        calls.append(Call(path, method, jax.tree.map(_shape, output)))
        return output

      images = jax.ShapeDtypeStruct((rows, *self.image_shape), jnp.float32)
      with forward.placeholders():
        jax.eval_shape(
          lambda v, x: self.apply(v, x, record), self.variables, images
        )
      self.known_calls[rows] = calls
    return self.known_calls[rows]


class _BlockEnd(Exception):
  """Carries away the output of the submodule after which a block ends."""

  def __init__(self, output: Any):
    super().__init__()
    self.output = output


@dataclasses.dataclass(frozen=True, eq=False)
class CutBlock:
  """A model from behind one submodule to behind another.

  Attributes:
    model: the whole.
    start: the submodule whose output it takes; None if it takes images.
    end: the submodule whose output it gives; None if it gives logits.
  """

  model: Model
  start: Path | None
  end: Path | None

  def __call__(self, variables: Any, x: chex.Array) -> chex.Array:
    """Maps images or features [N, h, w, c] to features or logits."""
    rows, entered, outputs, later = len(x), self.start is None, {}, set()
    images = x
    if not entered:
      images = jnp.zeros((rows, *self.model.image_shape))
      outputs, later = self._before_start(rows)

    def run_part(path, method, next_method):
      nonlocal entered
      if not entered:
        if (path, method) == (self.start, _CALL):
          entered = True
          on_placeholders(False)
          return x
        if path != self.start[: len(path)]:
          if method != 'setup':
            return jax.tree.map(_zeros, next(outputs[path, method]))
          # A setup may ask for variables that the block does not have.
          if path not in later:
            return None
      output = next_method()
      if (path, method) == (self.end, _CALL):
        raise _BlockEnd(output)
      return output

    with forward.placeholders() as on_placeholders:
      on_placeholders(not entered)
      try:
        return self.model.apply(variables, images, run_part)
      except _BlockEnd as end:
        return end.output

  def _before_start(self, rows):
    """What calls before the start gave, and the submodules called after it."""
    outputs, later, started = {}, set(), False
    for path, method, output in self.model.calls(rows):
      outputs.setdefault((path, method), []).append(output)
      if started:
        later |= {path[:depth] for depth in range(len(path) + 1)}
      started |= path == self.start
    return {called: iter(found) for called, found in outputs.items()}, later


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
    images: a few that it takes, to try it on.
    cut_after: paths of submodules, like 'encoder/Conv_1', in any order.

  Returns:
    One block more than there are cuts, the last of which is the head, and the
    variables of each.

  Raises:
    UserError: a name is no submodule that is called once, the model fails, or
      what follows a cut needs more than the output that it is made after.
  """
  shapes = jax.eval_shape(lambda x: x, variables)
  model = Model(apply, images.shape[1:], shapes)
  failure = (
    f'cut_after: the model cannot answer images of {by(model.image_shape)}'
  )
  with blamed(failure):
    ends = _cuts(model.calls(len(images)), cut_after)
    features = _features(model, variables, images, ends)
  blocks = tuple(
    CutBlock(model, start, end)
    for start, end in zip((None, *ends), (*ends, None), strict=True)
  )
  entries = (images, *features[:-1])
  parts = []
  for block, x, wanted in zip(blocks, entries, features, strict=True):
    name = '/'.join(block.start or ())
    with blamed(f'cut_after: what follows {name!r} cannot be run alone'):
      part = _read_by(block, variables, x)
      found = jax.jit(block)(part, x)
    if not _close(found, wanted):
      raise UserError(
        f'cut_after: what follows {name!r} needs more than its output, as if a '
        'connection led around it; name another submodule.'
      )
    parts.append(part)
  return blocks, tuple(parts)


def trained_arguments(
  module: Any, arguments: Mapping[str, Any]
) -> dict[str, Any]:
  """The arguments by which a model answers as it does after its training.

  Args:
    module: called as `module(images, **arguments)`.
    arguments: that the user gives; they count before others.
  """
  taken = inspect.signature(type(module).__call__).parameters
  return {**{k: v for k, v in _TRAINED.items() if k in taken}, **arguments}


def _cuts(calls: Sequence[Call], cut_after: Sequence[str]) -> list[Path]:
  """The paths to cut after, in the order in which they are called."""
  called = [call.path for call in calls if call.method == _CALL and call.path]
  names = ['/'.join(path) for path in called]
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
  return [path for path, name in zip(called, names) if name in cut_after]


def _features(
  model: Model, variables: Any, images: chex.Array, ends: Sequence[Path]
) -> list[chex.Array]:
  """What a model gives after each of its cuts and in the end."""

  def run(variables, images):
    found = {}

    def keep(path, method, next_method):
      output = next_method()
      if method == _CALL:
        found[path] = output
      return output

    logits = model.apply(variables, images, keep)
    return [*(found[path] for path in ends), logits]

  try:
    return jax.jit(run)(variables, images)
  except jax.errors.UnexpectedTracerError as e:
    raise UserError(
      'cut_after: one of these lies in what nn.remat, nn.scan or nn.jit wrap, '
      'where no model can be cut; build it without them, or name others.'
    ) from e


def _read_by(block: CutBlock, variables: Any, x: chex.Array) -> Any:
  """The variables that a block reads, of all those of its model."""
  flat, running = traverse_util.flatten_dict(variables), set()

  def apply(variables, images, interceptor):
    def spy(path, method, next_method):
      def run():
        running.add(path)
        return next_method()

      return interceptor(path, method, run)

    return block.model.apply(variables, images, spy)

  spied = dataclasses.replace(
    block, model=dataclasses.replace(block.model, apply=apply)
  )
  jaxpr = jax.make_jaxpr(
    lambda flat, x: spied(traverse_util.unflatten_dict(flat), x)
  )(flat, x).jaxpr
  read = {id(v) for part in (jaxpr, *jaxpr.eqns) for v in _inputs(part)}
  leaves, structure = jax.tree.flatten(flat)
  flags = [id(v) in read for v in jaxpr.invars[: len(leaves)]]
  is_read = jax.tree.unflatten(structure, flags)
  # A submodule asks for all of its variables, read or not.
  kept = {
    k: v
    for k, v in flat.items()
    if k[1:-1] in running or any(jax.tree.leaves(is_read[k]))
  }
  return {'params': {}, **traverse_util.unflatten_dict(kept)}


def _inputs(part: Any) -> Sequence[Any]:
  """What an equation reads; of a whole program, what it gives unchanged."""
  return part.outvars if hasattr(part, 'eqns') else part.invars


def _close(found: Any, wanted: chex.Array) -> bool:
  """Whether two arrays are the same up to rounding."""
  if found.shape != wanted.shape:
    return False
  found, wanted = (np.asarray(x, np.float64) for x in (found, wanted))
  return np.allclose(
    found, wanted, rtol=0, atol=_ROUNDING * np.abs(wanted).max()
  )


def _shape(x: Any) -> Any:
  return jax.ShapeDtypeStruct(x.shape, x.dtype) if hasattr(x, 'shape') else x


def _zeros(x: Any) -> Any:
  return jnp.zeros(x.shape, x.dtype) if hasattr(x, 'shape') else x
