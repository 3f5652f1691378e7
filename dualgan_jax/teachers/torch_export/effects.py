"""Turns steps that change a tensor in place into steps without effects."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

from dualgan_jax.teachers.torch_export import views
from dualgan_jax.teachers.torch_export.graph import Graph, Node, Reference
from dualgan_jax.teachers.torch_export.operations import table

_MAX_NODES = 2**14
# They change the order of a tensor's axes, and no number.
_REARRANGING = tuple(
  f'torch.ops.aten.{name}_.'
  for name in (
    *('squeeze', 'unsqueeze', 'transpose', 'swapaxes', 'swapdims', 't'),
    *('resize', 'as_strided'),
  )
)


def without_effects(graph: Graph) -> Graph:
  """Turns operations that work in place into ones that do not.

  Whoever reads the changed tensor afterwards gets the result instead. If it is
  a view, or has views, that are read afterwards, these are computed anew.

  Args:
    graph: of a file.

  Returns:
    A graph of the same logits, none of whose steps changes its arguments.

  Raises:
    ValueError: a parameter or buffer is changed; or so is what might be a view
      of a tensor that is read afterwards, or a copy.
  """
  # What only checks would count as a reader.
  graph = dataclasses.replace(
    graph,
    nodes=tuple(
      node for node in graph.nodes if node.target not in table.CHECKS
    ),
  )
  rewriting = _Rewriting(graph)
  for index, node in enumerate(graph.nodes):
    rewriting.add(index, node)
  return rewriting.finish()


class _Rewriting:
  """A graph that is being written anew."""

  def __init__(self, graph: Graph):
    self._graph = graph
    self._shapes = dict(graph.shapes)
    self._nodes: list[Node] = []
    self._views = views.Views()
    # By a tensor's first name, that of its newest numbers.
    self._newest: dict[str, str] = {}
    self._last_reads = {
      name: index
      for index, node in enumerate(graph.nodes)
      for name in node.references()
    }
    self._last_reads[graph.logits] = len(graph.nodes)

  def finish(self) -> Graph:
    """Returns the graph."""
    return dataclasses.replace(
      self._graph,
      nodes=tuple(self._nodes),
      logits=self._newest_name(self._graph.logits),
      shapes=self._shapes,
    )

  def add(self, index: int, node: Node) -> None:
    """Adds a step of the old graph, and what it changes."""
    self._append(self._with_newest(node))
    if table.is_inplace(node.target):
      self._change(index, node)
    elif views.is_view(node):
      self._views.add(index, node)

  def _change(self, index: int, node: Node) -> None:
    """Lets all names of what a step changes mean its result."""
    (result,), origin = node.outputs, next(node.references())
    self._views.add_tensor(origin)
    changed = self._views.first_name(origin)
    overlapping = [*self._views.overlapping(changed)]
    for name in overlapping:
      if name in self._graph.tensor_names:
        raise ValueError(
          f'{node.target} changes {self._graph.tensor_names[name]}, so that '
          'logits depend on earlier batches; call model.eval() before the '
          'export, and let the model change no buffers'
        )
    stale = [
      name
      for name in overlapping
      if name != changed and self._last_reads.get(name, -1) > index
    ]
    self._views.add_name(changed, result)
    self._last_reads[changed] = max(
      self._last_reads.get(name, -1) for name in (changed, result)
    )
    self._newest[changed] = result
    if stale:
      self._renew(node, changed, stale)

  def _renew(self, node: Node, changed: str, stale: Sequence[str]) -> None:
    """Computes other tensors anew that share numbers with a changed one.

    Args:
      node: the step that changes it.
      changed: first name of the tensor.
      stale: first names of the others that are read afterwards.
    """
    path = self._views.path(changed)
    paths = {name: self._views.path(name) for name in stale}
    depths = {
      name: views.num_common(path, other) for name, other in paths.items()
    }
    # First from the changed view up to the tensor that all of them share.
    for base, view in reversed(
      [*itertools.pairwise(path)][min(depths.values()) - 1 :]
    ):
      step = views.assign_to_base(
        self._views.node(view), *map(self._newest_name, (base, view))
      )
      if step is None or node.target.startswith(_REARRANGING):
        raise _ambiguous(node, base)
      self._append_anew(step, (base,), node.modules)
    # Then down to the others.
    renewed = {*path}
    for name, depth in depths.items():
      for view in paths[name][depth:]:
        if view in renewed:
          continue
        step = self._views.node(view)
        is_certain = views.is_certain(step)
        if not is_certain or node.target.startswith(_REARRANGING):
          raise _ambiguous(node, view)
        self._append_anew(self._with_newest(step), step.outputs, node.modules)
        renewed.update(step.outputs)

  def _append_anew(
    self, step: Node, names: Sequence[str], modules: tuple[str, ...]
  ) -> None:
    """Adds a step whose results are the newest numbers of some tensors."""
    outputs = []
    for name in names:
      new_name = f'{name}_{len(self._nodes)}'
      while new_name in self._shapes:
        new_name += '_'
      if name in self._shapes:
        self._shapes[new_name] = self._shapes[name]
      self._newest[name] = new_name
      outputs.append(new_name)
    self._append(
      dataclasses.replace(step, outputs=tuple(outputs), modules=modules)
    )

  def _append(self, node: Node) -> None:
    if len(self._nodes) >= _MAX_NODES:
      raise ValueError('it has too many views, or changes, of one tensor')
    self._nodes.append(node)

  def _newest_name(self, name: str) -> str:
    first_name = self._views.first_name(name)
    return self._newest.get(first_name, name)

  def _with_newest(self, node: Node) -> Node:
    """Lets a step read the newest numbers of its arguments."""
    return dataclasses.replace(
      node,
      arguments=self._rename(node.arguments),
      options={
        name: self._rename(value) for name, value in node.options.items()
      },
    )

  def _rename(self, value: Any) -> Any:
    if isinstance(value, Reference):
      return Reference(self._newest_name(value.name))
    if isinstance(value, list | tuple):
      return type(value)(self._rename(entry) for entry in value)
    return value


def _ambiguous(node: Node, name: str) -> ValueError:
  """Makes the error of a change that may reach another tensor, or not."""
  return ValueError(
    f'{node.target} changes {name}, too, which is read afterwards; let the '
    'model change no views in place'
  )
