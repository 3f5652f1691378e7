"""Views: tensors that share their numbers with another one."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

from dualgan_jax.teachers.torch_export.graph import Node, Reference

_MAX_VIEWS = 2**6  # of one another
_MAX_NAMES = 2**10  # of views and versions of one tensor
_PREFIX = 'torch.ops.aten.'
# Results that certainly share their numbers with the first argument.
_CERTAIN_VIEWS = tuple(
  f'{_PREFIX}{name}.'
  for name in (
    *('view', 'view_as', 'permute', 'transpose', 'swapaxes', 'swapdims', 't'),
    *('numpy_T', 'movedim', 'unsqueeze', 'squeeze', 'split', 'chunk', 'slice'),
    *('split_with_sizes', 'unbind', 'select', 'narrow', 'expand', 'expand_as'),
    *('unflatten', 'detach', 'alias', 'broadcast_to', 'unfold', 'dropout'),
    *('mT', 'adjoint', 'diagonal', 'tensor_split'),
    *('feature_dropout', 'alpha_dropout', 'feature_alpha_dropout'),
  )
)
# Results that may, or may be copies: it depends on the strides in memory.
_POSSIBLE_VIEWS = tuple(
  f'{_PREFIX}{name}.'
  for name in (
    *('reshape', 'reshape_as', 'flatten', 'contiguous', 'to', 'type_as'),
    'meshgrid',
  )
)
_EINSUM = f'{_PREFIX}einsum.default'


def is_view(node: Node) -> bool:
  """Returns whether a result may share its numbers with the first argument."""
  if node.target == _EINSUM:
    # Of one tensor, it may only permute axes; of several, it multiplies.
    return len([*node.references()]) == 1
  return node.target.startswith((*_CERTAIN_VIEWS, *_POSSIBLE_VIEWS))


def is_certain(node: Node) -> bool:
  """Returns whether a view certainly shares its numbers."""
  return node.target.startswith(_CERTAIN_VIEWS)


def assign_to_base(view: Node, base: str, changed: str) -> Node | None:
  """Makes the step that puts a changed view into the tensor it is a view of.

  Args:
    view: the step that made the view.
    base: name of the tensor, with its old numbers.
    changed: name of the view, with its new numbers.

  Returns:
    A step without outputs; None if there is none.
  """
  for target, make in _ASSIGNMENTS.items():
    if view.target.startswith(f'{_PREFIX}{target}.'):
      step = make(Reference(base), Reference(changed), *view.arguments[1:])
      if view.options or step is None:
        return None
      operation, *arguments = step
      return Node(
        f'{_PREFIX}{operation}', tuple(arguments), {}, (), view.modules
      )
  return None


def _slice_part(base, changed, axis=0, start=None, end=None, step=1):
  return 'slice_scatter.default', base, changed, axis, start, end, step


def _narrow_part(base, changed, axis, start, length):
  if not isinstance(start, int) or not isinstance(length, int) or start < 0:
    return None
  return _slice_part(base, changed, axis, start, start + length)


def _select_part(base, changed, axis, index):
  return 'select_scatter.default', base, changed, axis, index


def _shape_of_base(base, changed, *arguments):
  del arguments
  return 'reshape_as.default', changed, base


def _permute_back(base, changed, axes):
  del base
  places = [axis % len(axes) for axis in axes]
  return 'permute.default', changed, [*map(places.index, range(len(axes)))]


def _swap_back(base, changed, *axes):
  del base
  return 'transpose.int', changed, *axes


def _transpose_back(base, changed):
  del base
  return 't.default', changed


# By the operation that made a view, the one that assigns it to its base.
_ASSIGNMENTS: dict[str, Callable[..., Any]] = {
  'slice': _slice_part,
  'narrow': _narrow_part,
  'select': _select_part,
  **dict.fromkeys(
    (
      *('view', 'view_as', 'unsqueeze', 'squeeze', 'unflatten', 'detach'),
      *('alias', 'dropout'),
    ),
    _shape_of_base,
  ),
  'permute': _permute_back,
  **dict.fromkeys(('transpose', 'swapaxes', 'swapdims'), _swap_back),
  't': _transpose_back,
}


@dataclasses.dataclass(frozen=True)
class _Place:
  """How a tensor comes from the whole one that it is a view of.

  Attributes:
    path: names from the whole tensor to this one, itself included.
    indices: of the steps that made them; -1 of the whole tensor.
  """

  path: tuple[str, ...]
  indices: tuple[int, ...]


class Views:
  """Tensors that may share numbers: views of views of one tensor each.

  A tensor that was changed in place has several names, of which the first one
  stands for all.
  """

  def __init__(self):
    self._places: dict[str, _Place] = {}
    # By the name of a whole tensor, it and its views.
    self._members: dict[str, list[str]] = {}
    self._first_names: dict[str, str] = {}
    self._nodes: dict[str, Node] = {}

  def first_name(self, name: str) -> str:
    """Returns the name that stands for all names of a tensor."""
    return self._first_names.get(name, name)

  def path(self, name: str) -> tuple[str, ...]:
    """Returns the first names from the whole tensor to one, itself included."""
    return self._places[name].path

  def node(self, name: str) -> Node:
    """Returns the step that made a view."""
    return self._nodes[name]

  def add(self, index: int, node: Node) -> None:
    """Adds the views that a step makes of its first argument.

    Args:
      index: of the step.
      node: the step; its outputs share no numbers with one another.

    Raises:
      ValueError: there are more than any net needs.
    """
    place = self.add_tensor(next(node.references()))
    if len(place.path) > _MAX_VIEWS:
      raise ValueError('it has views of views of too many views')
    for name in node.outputs:
      self._nodes[name] = node
      self._places[name] = _Place((*place.path, name), (*place.indices, index))
      self._add_member(place.path[0], name)

  def add_tensor(self, name: str) -> _Place:
    """Adds a tensor that is no view, if it is not there."""
    name = self.first_name(name)
    if name not in self._places:
      self._places[name] = _Place((name,), (-1,))
      self._members[name] = [name]
    return self._places[name]

  def add_name(self, name: str, new_name: str) -> None:
    """Gives a tensor another name, beside its old one."""
    first_name = self.first_name(name)
    self._first_names[new_name] = first_name
    self._add_member(self._places[first_name].path[0], first_name)

  def _add_member(self, whole: str, name: str) -> None:
    members = self._members[whole]
    # Each change in place goes through all of them.
    if len(members) >= _MAX_NAMES:
      raise ValueError('it has too many views, or changes, of one tensor')
    members.append(name)

  def overlapping(self, name: str) -> Iterator[str]:
    """Yields the first names of tensors that may share numbers with one."""
    place = self._places[name]
    for other in dict.fromkeys(self._members[place.path[0]]):
      other_place = self._places[other]
      depth = num_common(place.path, other_place.path)
      indices = (place.indices[depth:], other_place.indices[depth:])
      # Parts of one split have no number in common.
      if not all(indices) or indices[0][0] != indices[1][0]:
        yield other


def num_common(path: tuple[str, ...], other_path: tuple[str, ...]) -> int:
  """Counts the names that two paths begin with alike."""
  depth = 0
  for name, other_name in zip(path, other_path, strict=False):
    if name != other_name:
      break
    depth += 1
  return depth
