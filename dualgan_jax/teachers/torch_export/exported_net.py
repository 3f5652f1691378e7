"""Reads a file of `torch.export.save`, checks it, and cuts it into blocks."""

import collections
import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from dualgan_jax.display import printable
from dualgan_jax.errors import UserError
from dualgan_jax.teachers.torch_export import cuts, effects, graph, program
from dualgan_jax.teachers.torch_export.archive import (
  Archive,
  damage_as_user_error,
)
from dualgan_jax.teachers.torch_export.block import FIXED, PARAMS, GraphBlock
from dualgan_jax.teachers.torch_export.cuts import Cut
from dualgan_jax.teachers.torch_export.graph import Graph, Rows
from dualgan_jax.teachers.torch_export.layouts import Layout
from dualgan_jax.teachers.torch_export.program import Step

_BATCH_NORMS = tuple(
  f'torch.ops.aten.{name}.default'
  for name in ('batch_norm', '_native_batch_norm_legit_no_training')
)
# Operations that make probabilities of logits.
_PROBABILITIES = ('softmax', '_softmax', 'sigmoid', 'sigmoid_')


@dataclasses.dataclass(frozen=True, eq=False)
class ExportedNet:
  """A net of a file, whose operations are all known.

  Attributes:
    path: of the file.
    torch_version: of the PyTorch that wrote it.
    graph: its graph.
    steps: of the graph.
    tensors: by their names in PyTorch.
    example: images [n, h, w, c] as the net takes them, and PyTorch's logits
      [n, L] of them; None if the file has none.
  """

  path: pathlib.Path
  torch_version: str
  graph: Graph
  steps: tuple[Step, ...]
  tensors: Mapping[str, np.ndarray]
  example: tuple[np.ndarray, np.ndarray] | None

  @property
  def image_shape(self) -> tuple[int, int, int]:
    """(height, width, channels) of the images that it takes."""
    _, channels, height, width = self.graph.shapes[self.graph.image]
    return height, width, channels

  @property
  def num_logits(self) -> int:
    """The number of logits that it gives for an image."""
    return self.graph.shapes[self.graph.logits][1]

  def count_operations(self) -> dict[str, int]:
    """Counts the operations on images, by their names in PyTorch."""
    return dict(
      collections.Counter(
        _short_name(step.node.target)
        for step in self.steps
        if step.depends_on_images
      ).most_common()
    )

  def count_batch_norms(self) -> int:
    """Counts the batch norms whose statistics the prior can match."""
    return sum(
      step.depends_on_images and step.node.target in _BATCH_NORMS
      for step in self.steps
    )

  def choose_cuts(self, cut_after: Sequence[str] | None = None) -> list[Cut]:
    """Chooses the places to cut at.

    Args:
      cut_after: paths of modules to cut behind; None to let it choose.

    Raises:
      UserError: it cannot be cut there, or at too few places.
    """
    possible_cuts = cuts.find_cuts(self.graph, self.steps)
    try:
      if cut_after is None:
        return cuts.choose_cuts(possible_cuts, self.graph, self.steps)
      return cuts.named_cuts(possible_cuts, self.steps, cut_after)
    except ValueError as error:
      raise UserError(f'{self.path}: {error}.') from error

  def place_of(self, cut: Cut) -> str:
    """Names the place of a cut: a module, or the operation before it."""
    node = self.steps[cut.end - 1].node
    if len(node.modules) > cut.depth:
      return node.modules[cut.depth]
    return (
      f'{_short_name(node.target)} in {("the model itself", *node.modules)[-1]}'
    )

  def cut(
    self, chosen_cuts: Sequence[Cut], dtype: jnp.dtype | None = None
  ) -> tuple[tuple[GraphBlock, ...], tuple[Any, ...]]:
    """Makes a function of each part, and the variables of each.

    Args:
      chosen_cuts: in their order.
      dtype: type to compute in; None for that of the images.

    Returns:
      One function more than there are cuts, the last of which is the head; and
      their 'params' and, if there are any, their 'batch_stats'.

    Raises:
      UserError: the file is damaged.
    """
    # Names of tensors may contradict one another.
    with damage_as_user_error(self.path):
      return self._cut(chosen_cuts, dtype)

  def _cut(self, chosen_cuts, dtype):
    """Makes the functions and variables of `cut`."""
    starts = [(0, self.graph.image, Layout.CHANNELS_FIRST)]
    starts += [(cut.end, cut.tensor, cut.layout) for cut in chosen_cuts]
    ends = [*starts[1:], (len(self.steps), self.graph.logits, None)]
    blocks, parts = [], []
    for start, end in zip(starts, ends, strict=True):
      steps = program.needed_steps(self.steps, start[0], end[0])
      names = {name for step in steps for name in step.node.references()}
      block = GraphBlock(
        steps,
        {
          name: self.graph.shapes[name] for name in names & {*self.graph.shapes}
        },
        {
          name: tensor_name
          for name, tensor_name in self.graph.tensor_names.items()
          if name in names
        },
        *(start[1], end[1], start[2], end[2], dtype),
      )
      blocks.append(block)
      parts.append(self._variables(block.tensor_names.values()))
    return tuple(blocks), tuple(parts)

  def _variables(self, names: Sequence[str]) -> Any:
    """Collects tensors as nested dicts, those that gradients move apart."""
    flat = {}
    for name in names:
      array = jnp.asarray(_as_single(self.tensors[name]))
      is_moved = name in self.graph.parameters and array.dtype.kind == 'f'
      flat[PARAMS if is_moved else FIXED, *name.split('.')] = array
    return {PARAMS: {}, **traverse_util.unflatten_dict(flat)}


def read(path: pathlib.Path) -> ExportedNet:
  """Reads a file, and checks that all of it is known; it computes nothing.

  Args:
    path: of a file of `torch.export.save`.

  Raises:
    UserError: it is damaged, something else, no net of images to logits, or has
      operations that are not known; the message names them.
  """
  archive = Archive(path)
  with damage_as_user_error(path):
    module = archive.program['graph_module']
    try:
      parsed_graph = graph.parse(module)
      program.check_operations(parsed_graph)
      parsed_graph = effects.without_effects(parsed_graph)
      steps = program.link(parsed_graph)
      _check_logits(parsed_graph)
      program.check_shapes(parsed_graph, steps, archive.tensors)
    except ValueError as error:
      raise UserError(f'{path}: {printable(error)}.') from error
    version = printable(archive.program.get('torch_version', 'unknown'), 40)
  net = ExportedNet(path, version, parsed_graph, steps, archive.tensors, None)
  example = archive.read_example()
  if example is None:
    return net
  images, logits = example
  expected = (len(images), net.num_logits)
  height, width, channels = net.image_shape
  if (
    images.shape[1:] != (channels, height, width)
    or logits.shape != expected
    or not (np.isfinite(images).all() and np.isfinite(logits).all())
  ):
    raise UserError(
      f'{path}: its stored logits are not those of its example; store '
      'model(x).tolist().'
    )
  images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
  return dataclasses.replace(net, example=(images, logits))


def _check_logits(parsed_graph: Graph) -> None:
  """Checks that a graph gives one row of logits per image."""
  shape = parsed_graph.shapes[parsed_graph.logits]
  if len(shape) != 2 or shape[0] != Rows() or isinstance(shape[1], Rows):
    lengths = ', '.join(
      'n' if isinstance(length, Rows) else str(length) for length in shape
    )
    raise ValueError(
      f'the model gives a tensor of [{lengths}] instead of logits [n, L]'
    )

  for node in parsed_graph.nodes:
    operation = _short_name(node.target)
    if parsed_graph.logits in node.outputs and operation in _PROBABILITIES:
      raise ValueError(
        f'the model gives probabilities, since it ends in {operation}; export '
        'it without this step, so that it gives logits'
      )


def _short_name(target: str) -> str:
  """Names an operation without its overload: 'conv2d'."""
  return target.removeprefix('torch.ops.aten.').partition('.')[0]


def _as_single(array: np.ndarray) -> np.ndarray:
  """Converts half and double precision, in which nothing is trained here."""
  is_float = array.dtype.kind == 'f' or array.dtype.name == 'bfloat16'
  return array.astype(np.float32) if is_float else array
