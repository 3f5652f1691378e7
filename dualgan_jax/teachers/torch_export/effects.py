"""Turns steps that change a tensor in place into steps without effects."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dualgan_jax.teachers.torch_export.graph import Node, Reference
from dualgan_jax.teachers.torch_export.operations import table

_MAX_VIEWS = 2**6  # of one another
_MAX_NAMES = 2**10  # of views and versions of one tensor
# Results that may share their numbers with the first argument.
_VIEWS = tuple(
  f'torch.ops.aten.{name}.'
  for name in (
    *('view', 'reshape', 'flatten', 'unflatten', 'permute', 'transpose', 't'),
    *('numpy_T', 'movedim', 'unsqueeze', 'squeeze', 'split', 'chunk', 'slice'),
    *('split_with_sizes', 'unbind', 'select', 'narrow', 'expand', 'expand_as'),
    *('dropout', 'feature_dropout', 'alpha_dropout', 'feature_alpha_dropout'),
    *('contiguous', 'detach', 'alias', 'to', 'type_as', 'view_as', 'swapaxes'),
    *('reshape_as',),
  )
)
_EINSUM = 'torch.ops.aten.einsum.default'


def without_effects(
  nodes: Sequence[Node], logits: str, stored: Mapping[str, str]
) -> list[Node]:
  """Turns operations that work in place into ones that do not.

  Whoever reads the changed tensor afterwards gets the result instead.

  Args:
    nodes: of a graph, in their order.
    logits: name of the graph's result, which is read after all nodes.
    stored: by the name of a parameter or buffer, which the next batch reads,
      too, its name in PyTorch.

  Raises:
    ValueError: a view of the changed tensor is read afterwards, or the changed
      tensor is stored.
  """
  last_reads = {
    name: index
    for index, node in enumerate(nodes)
    for name in node.references()
  }
  last_reads[logits] = len(nodes)
  newest: dict[str, str] = {}
  views = _Views()
  pure_nodes = []
  for index, node in enumerate(nodes):
    pure_nodes.append(
      dataclasses.replace(
        node,
        arguments=_rename(node.arguments, newest),
        options=dict(
          zip(
            node.options,
            _rename([*node.options.values()], newest),
            strict=True,
          )
        ),
      )
    )
    origin = next(node.references(), '')
    if _is_view(node):
      views.add(index, origin, node.outputs)
    if table.is_inplace(node.target):
      (result,), changed = node.outputs, newest.get(origin, origin)
      views.add(index, changed, ())
      for name in views.overlapping(changed):
        if name in stored:
          raise ValueError(
            f'{node.target} changes {stored[name]}, so that logits depend on '
            'earlier batches; call model.eval() before the export, and let '
            'the model change no buffers'
          )
        is_renamed = newest.get(name, name) == changed
        if not is_renamed and last_reads.get(name, -1) > index:
          raise ValueError(
            f'{node.target} changes {name}, too, which is read afterwards; '
            'let the model change no views in place'
          )
      for name, newest_name in newest.items():
        if newest_name == changed:
          newest[name] = result
      newest[changed] = result
      views.rename(changed, result)
  if logits in newest:
    raise ValueError('its logits are changed in place after their last reading')
  return pure_nodes


def _is_view(node: Node) -> bool:
  """Returns whether a result may share its numbers with the first argument."""
  if node.target == _EINSUM:
    # Of one tensor, it may only permute axes; of several, it multiplies.
    return len([*node.references()]) == 1
  return node.target.startswith(_VIEWS)


class _Views:
  """Tensors that may share numbers: views of views of one tensor each."""

  def __init__(self):
    # By name, the way from the whole tensor: steps, and the names they give.
    self._paths: dict[str, tuple[tuple[int, str], ...]] = {}
    # By the name of a whole tensor, it and its views.
    self._members: dict[str, list[str]] = {}

  def add(self, index: int, origin: str, names: Sequence[str]) -> None:
    """Adds views of a tensor.

    Args:
      index: of the step that makes them.
      origin: the tensor.
      names: of the views, which share no numbers with one another.
    """
    if origin not in self._paths:
      self._paths[origin] = ((-1, origin),)
      self._members[origin] = [origin]
    path = self._paths[origin]
    if len(path) > _MAX_VIEWS:
      raise ValueError('it has views of views of too many views')
    for name in names:
      self._set_path(name, (*path, (index, name)))

  def rename(self, name: str, new_name: str) -> None:
    """Gives a tensor another name, beside its old one."""
    self._set_path(new_name, self._paths[name])

  def _set_path(self, name: str, path: tuple[tuple[int, str], ...]) -> None:
    members = self._members[path[0][1]]
    # Each change in place goes through all of them.
    if len(members) >= _MAX_NAMES:
      raise ValueError('it has too many views, or changes, of one tensor')
    self._paths[name] = path
    members.append(name)

  def overlapping(self, name: str) -> Iterator[str]:
    """Yields the names of tensors that may share numbers with one."""
    path = self._paths[name]
    for other in self._members[path[0][1]]:
      pairs = zip(path, self._paths[other], strict=False)
      fork = next((pair for pair in pairs if pair[0] != pair[1]), None)
      # Parts of one split have no number in common.
      if fork is None or fork[0][0] != fork[1][0]:
        yield other


def _rename(value: Any, newest: Mapping[str, str]) -> Any:
  if isinstance(value, Reference):
    return Reference(newest.get(value.name, value.name))
  if isinstance(value, list | tuple):
    return type(value)(_rename(entry, newest) for entry in value)
  return value
