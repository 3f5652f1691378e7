"""Links a graph with the functions of its operations, and runs its steps."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dualgan_jax.errors import first_line
from dualgan_jax.teachers.torch_export.graph import (
  Graph,
  Length,
  Node,
  Reference,
  Rows,
)
from dualgan_jax.teachers.torch_export.operations import normalization, table

_MAX_NUMBER = 2**63
_TRIAL_BATCH_SIZE = 3  # images of the trial by shapes; few lengths are equal
_SQUEEZES = ('torch.ops.aten.squeeze.', 'torch.ops.aten.squeeze_.')
_BATCH_NORM = 'torch.ops.aten.batch_norm.default'


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
  """A call of a known operation, without effects on its arguments.

  Attributes:
    node: its call.
    function: of its arguments and options; None for a size.
    depends_on_images: whether it changes with the images; a size does not.
  """

  node: Node
  function: Callable[..., Any] | None
  depends_on_images: bool


def check_operations(graph: Graph) -> None:
  """Checks that all operations of a graph are known.

  Raises:
    ValueError: some are not; the message names them all.
  """
  unknown = {
    node.target: ' in ' + node.modules[-1] if node.modules else ''
    for node in reversed(graph.nodes)
    if node.target not in table.CHECKS
    and node.target != table.SIZE
    and table.find(node.target) is None
  }
  if unknown:
    listed = ', '.join(
      f'{target}{place}' for target, place in sorted(unknown.items())
    )
    raise ValueError(f'it has operations that are not known: {listed}')


def link(graph: Graph) -> tuple[Step, ...]:
  """Makes a graph's steps.

  Args:
    graph: of known operations, none of which has an effect.
  """
  steps, of_images = [], {graph.image}
  for node in graph.nodes:
    node = _with_squeezed_axes(node, graph)
    is_size = node.target == table.SIZE
    depends_on_images = not is_size and not of_images.isdisjoint(
      node.references()
    )
    if depends_on_images:
      of_images.update(node.outputs)
    function = None if is_size else table.find(node.target)
    # Of weights, whatever the images are, moments may be taken.
    if node.target == _BATCH_NORM and not depends_on_images:
      function = normalization.standardized_weights
    steps.append(Step(node, function, depends_on_images))
  return tuple(steps)


def check_shapes(
  graph: Graph,
  steps: Sequence[Step],
  tensors: Mapping[str, np.ndarray],
) -> None:
  """Checks that each step gives the shape that the file has for its result.

  It computes shapes only. A wrong understanding of an operation shows here.

  Args:
    graph: of the steps.
    steps: all steps of the graph.
    tensors: of the file, by their names in PyTorch.

  Raises:
    ValueError: a tensor is missing, an operation cannot take its arguments, or
      a shape differs.
  """
  for tensor_name in graph.tensor_names.values():
    if tensor_name not in tensors:
      raise ValueError(
        f'its weights have no {tensor_name}, which its graph needs; export it '
        'again'
      )
  inputs = {
    name: jax.ShapeDtypeStruct(
      tensors[tensor_name].shape,
      jax.dtypes.canonicalize_dtype(tensors[tensor_name].dtype),
    )
    for name, tensor_name in graph.tensor_names.items()
  }
  # Inputs have shapes in the graph, too.
  for name, array in inputs.items():
    if array.shape != graph.shapes[name]:
      raise ValueError(f'{graph.tensor_names[name]} has another shape')
  inputs[graph.image] = jax.ShapeDtypeStruct(
    _with_batch(graph.shapes[graph.image]), jnp.float32
  )

  def run_checked(values: dict[str, Any]) -> None:
    for step in steps:
      run_step(step, values, graph.shapes, _TRIAL_BATCH_SIZE)
      for name in step.node.outputs:
        if name not in graph.shapes:
          continue
        # Places of maxima are left out; nobody may read them.
        if values[name] is None:
          continue
        expected = _with_batch(graph.shapes[name])
        if jnp.shape(values[name]) != expected:
          raise ValueError(
            f'{step.node.target} gives {jnp.shape(values[name])} instead of '
            f'{expected}, as if it were another operation'
          )

  jax.eval_shape(run_checked, inputs)


def run_step(
  step: Step,
  values: dict[str, Any],
  shapes: Mapping[str, tuple[Length, ...]],
  batch_size: int,
) -> None:
  """Runs a step, and adds its results to the values.

  Args:
    step: to run.
    values: by name; those that the step takes are there.
    shapes: of all tensors of the graph.
    batch_size: number of images.

  Raises:
    ValueError: the operation cannot take such arguments.
  """
  node = step.node
  if step.function is None:
    result = _size(node, shapes, batch_size)
  else:
    arguments = _resolve(node.arguments, values)
    options = _resolve([*node.options.values()], values)
    try:
      # PyTorch adds tensors of fewer axes.
      with jax.numpy_rank_promotion('allow'):
        result = step.function(
          *arguments, **dict(zip(node.options, options, strict=True))
        )
    except Exception as error:
      place = f' in {node.modules[-1]}' if node.modules else ''
      raise ValueError(f'{node.target}{place}: {first_line(error)}') from error
  if isinstance(result, int) and abs(result) > _MAX_NUMBER:
    raise ValueError(f'{node.target} gives a number that is too large')
  if isinstance(result, list | tuple):
    # Places beside maxima, for instance, may have no name.
    values.update(zip(node.outputs, result, strict=False))
  else:
    (name,) = node.outputs
    values[name] = result


def needed_steps(
  steps: Sequence[Step], first: int, end: int
) -> tuple[Step, ...]:
  """Lists the steps of a part of a graph, and all that these need.

  Args:
    steps: all steps of a graph.
    first: index of the first step of the part.
    end: index after its last step.

  Returns:
    The part's steps that depend on the images, and before them those of weights
    and sizes, wherever they stand in the graph.
  """
  part = [step for step in steps[first:end] if step.depends_on_images]
  needed = {name for step in part for name in step.node.references()}
  others = []
  for step in reversed(steps):
    if not step.depends_on_images and not needed.isdisjoint(step.node.outputs):
      others.append(step)
      if step.function is not None:
        needed.update(step.node.references())
  return (*reversed(others), *part)


def _resolve(value: Any, values: Mapping[str, Any]) -> Any:
  """Puts values in place of references; JAX may have narrower types."""
  if isinstance(value, Reference):
    return values[value.name]
  if isinstance(value, list | tuple):
    return [_resolve(entry, values) for entry in value]
  if isinstance(value, np.dtype):
    return jax.dtypes.canonicalize_dtype(value)
  return value


def _size(
  node: Node, shapes: Mapping[str, tuple[Length, ...]], batch_size: int
) -> int:
  """Returns the length of a tensor's axis."""
  tensor, axis = node.arguments
  length = shapes[tensor.name][axis]
  return length.per_image * batch_size if isinstance(length, Rows) else length


def _with_batch(shape: Iterable[Length]) -> tuple[int, ...]:
  """Puts the batch of a trial into a shape."""
  return tuple(
    length.per_image * _TRIAL_BATCH_SIZE if isinstance(length, Rows) else length
    for length in shape
  )


def _with_squeezed_axes(node: Node, graph: Graph) -> Node:
  """Names the axes that a squeeze removes, of which the batch is none.

  Without them, a batch of one image would lose its first axis.
  """
  if not node.target.startswith(_SQUEEZES):
    return node
  tensor, *axes = node.arguments
  shape = graph.shapes[tensor.name]
  axes = axes[0] if axes else range(len(shape))
  axes = [axes] if isinstance(axes, int) else axes
  ones = [axis for axis in axes if shape[axis] == 1]
  return dataclasses.replace(node, arguments=(tensor, ones))
