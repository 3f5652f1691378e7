"""Blocks of a whole model, between the outputs of two of its submodules."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from dualgan_jax.teachers import tensor_names

# A submodule, by its attributes or names from the model's root on.
Path = tuple[str, ...]
CALL = '__call__'


class Call(NamedTuple):
  """A call of a submodule's method.

  Attributes:
    path: of the submodule; () is the model itself.
    method: its name.
    output: its output, of shapes only.
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
    apply: a function of variables, images and an interceptor; returns logits.
    image_shape: (height, width, channels) of the images that it takes.
    variables: its variables, of shapes only.
    known_calls: by number of rows, results of `calls`.
  """

  apply: Callable[[Any, chex.Array, Interceptor], chex.Array]
  image_shape: tuple[int, int, int]
  variables: Any
  known_calls: dict[int, list[Call]] = dataclasses.field(default_factory=dict)

  def calls(self, num_rows: int) -> list[Call]:
    """Lists all calls of submodules in the order in which they end.

    Args:
      num_rows: number of images.

    Returns:
      Calls with their paths, methods and abstract outputs.
    """
    if num_rows not in self.known_calls:
      calls = []

      def record(path, method, next_method):
        output = next_method()
        calls.append(Call(path, method, jax.tree.map(_shape, output)))
        return output

      images = jax.ShapeDtypeStruct((num_rows, *self.image_shape), jnp.float32)
      with tensor_names.placeholders():
        jax.eval_shape(
          lambda variables, images: self.apply(variables, images, record),
          self.variables,
          images,
        )
      self.known_calls[num_rows] = calls
    return self.known_calls[num_rows]


class _BlockEnd(Exception):
  """Carries away the output of the submodule after which a block ends."""

  def __init__(self, output: Any):
    super().__init__()
    self.output = output


@dataclasses.dataclass(frozen=True, eq=False)
class CutBlock:
  """The part of a model between the outputs of two submodules.

  Attributes:
    model: the whole.
    start: the submodule whose output it takes; None if it takes images.
    end: the submodule whose output it gives; None if it gives logits.
  """

  model: Model
  start: Path | None
  end: Path | None

  def __call__(self, variables: Any, features: chex.Array) -> chex.Array:
    """Maps images or features [N, h, w, c] to features or logits."""
    images, has_entered = features, self.start is None
    outputs_before, paths_after = {}, set()
    if not has_entered:
      images = jnp.zeros((len(features), *self.model.image_shape))
      outputs_before, paths_after = self._split_calls(len(features))

    def run_part(path, method, next_method):
      nonlocal has_entered
      if not has_entered:
        # The block begins: its features take the place of this output.
        if (path, method) == (self.start, CALL):
          has_entered = True
          set_placeholders(False)
          return features
        # Parents of the start must run, so that it is reached.
        if path != self.start[: len(path)]:
          if method != 'setup':
            return jax.tree.map(_zeros, next(outputs_before[path, method]))
          # A setup may ask for variables that the block does not have.
          if path not in paths_after:
            return None
      output = next_method()
      if (path, method) == (self.end, CALL):
        raise _BlockEnd(output)
      return output

    with tensor_names.placeholders() as set_placeholders:
      set_placeholders(not has_entered)
      try:
        return self.model.apply(variables, images, run_part)
      except _BlockEnd as end:
        return end.output

  def _split_calls(
    self, num_rows: int
  ) -> tuple[dict[tuple[Path, str], Iterator[Any]], set[Path]]:
    """Splits the calls of the model at the start.

    Returns:
      By path and method, the abstract outputs in the order of the calls; and
      the paths of submodules that are called after the start, with all parents.
    """
    outputs: dict[tuple[Path, str], list[Any]] = {}
    paths_after: set[Path] = set()
    has_started = False
    for path, method, output in self.model.calls(num_rows):
      outputs.setdefault((path, method), []).append(output)
      if has_started:
        paths_after |= {path[:depth] for depth in range(len(path) + 1)}
      has_started |= path == self.start
    iterators = {
      call: iter(call_outputs) for call, call_outputs in outputs.items()
    }
    return iterators, paths_after


def _shape(leaf: Any) -> Any:
  """Returns an array's shape and type; anything else as it is."""
  if not hasattr(leaf, 'shape'):
    return leaf
  return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)


def _zeros(leaf: Any) -> Any:
  """Returns zeros of an array's shape and type; anything else as it is."""
  return jnp.zeros(leaf.shape, leaf.dtype) if hasattr(leaf, 'shape') else leaf
