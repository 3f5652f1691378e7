"""A whole model whose submodules' calls can be intercepted."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from dualgan_jax.teachers import forward

# A submodule, by its attributes or names from the model's root on.
Path = tuple[str, ...]

# Arguments by which a model answers as after training, if its call has them.
_EVALUATION_ARGUMENTS = {
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
      with forward.placeholders():
        jax.eval_shape(
          lambda variables, images: self.apply(variables, images, record),
          self.variables,
          images,
        )
      self.known_calls[num_rows] = calls
    return self.known_calls[num_rows]


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


def _shape(leaf: Any) -> Any:
  """Returns an array's shape and type; anything else as it is."""
  if not hasattr(leaf, 'shape'):
    return leaf
  return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
