"""Who answers what: teachers' labels, their union, Y_cst and g_m."""

import collections
import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np

from dualgan_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class LabelMap:
  """The label sets of the method, and the index arrays between them.

  Use `LabelMap.create`, which checks. Teachers are numbered in the order of
  `teachers`.

  Attributes:
    teachers: pairs (teacher's name, its labels Y_m in the order it answers).
    customised: Y_cst, in the order the student answers.
  """

  teachers: tuple[tuple[str, tuple[str, ...]], ...]
  customised: tuple[str, ...]

  @classmethod
  def create(
    cls, teachers: Mapping[str, Sequence[str]], customised: Sequence[str]
  ) -> 'LabelMap':
    """Builds the map.

    Args:
      teachers: each teacher's name and its labels.
      customised: the wanted labels Y_cst, a subset of the union in any order.

    Raises:
      UserError: a set is empty, holds a label twice, or Y_cst asks for a label
        that no teacher answers.
    """
    if not teachers:
      raise UserError('teachers: name at least one teacher.')
    for name, owned in teachers.items():
      _refuse_empty_or_doubled(f'teachers.{name}.labels', owned)
    _refuse_empty_or_doubled('labels', customised)
    known = {label for owned in teachers.values() for label in owned}
    unknown = [label for label in customised if label not in known]
    if unknown:
      raise UserError(
        f'labels: no teacher answers {_quoted(unknown)}; the teachers answer '
        f'{_quoted(sorted(known))}.'
      )
    return cls(
      tuple((name, tuple(owned)) for name, owned in teachers.items()),
      tuple(customised),
    )

  @functools.cached_property
  def union(self) -> tuple[str, ...]:
    """U: every label once, in the order in which teachers first name it."""
    return tuple(dict.fromkeys(x for _, owned in self.teachers for x in owned))

  def owners(self, labels: Sequence[str]) -> np.ndarray:
    """Where each label is answered, among all teachers' answers side by side.

    Args:
      labels: L labels of the union.

    Returns:
      int32 [L, K], K the most owners that one of the labels has: columns of the
      concatenated answers [N, sum_m |Y_m|]; -1 fills rows with fewer owners.
    """
    places: dict[str, list[int]] = {label: [] for label in self.union}
    everything = (x for _, owned in self.teachers for x in owned)
    for column, label in enumerate(everything):
      places[label].append(column)
    table = np.full((len(labels), max(len(places[x]) for x in labels)), -1)
    for row, label in enumerate(labels):
      table[row, : len(places[label])] = places[label]
    return table.astype(np.int32)

  def task_filter(self, teacher: int) -> np.ndarray:
    """g_m: the positions in Y_m that Y_cst asks for; may be empty."""
    owned = self.teachers[teacher][1]
    return np.array(
      [i for i, label in enumerate(owned) if label in self.customised], np.int32
    )

  def customised_columns(self, teacher: int) -> np.ndarray:
    """Where the labels that g_m keeps stand in Y_cst."""
    owned = self.teachers[teacher][1]
    return np.array(
      [self.customised.index(x) for x in owned if x in self.customised],
      np.int32,
    )

  @property
  def asked(self) -> tuple[int, ...]:
    """The teachers of whom Y_cst asks at least one label."""
    return tuple(
      m for m in range(len(self.teachers)) if self.task_filter(m).size
    )

  def asked_only(self) -> 'LabelMap':
    """The same map without teachers of whom Y_cst asks nothing."""
    return LabelMap(
      tuple(self.teachers[m] for m in self.asked), self.customised
    )


def _refuse_empty_or_doubled(field: str, labels: Sequence[str]) -> None:
  if not labels:
    raise UserError(f'{field}: name at least one label.')
  doubled = [x for x, n in collections.Counter(labels).items() if n > 1]
  if doubled:
    raise UserError(f'{field}: {_quoted(doubled)} stands there twice.')


def _quoted(labels: Sequence[str]) -> str:
  return ', '.join(repr(x) for x in labels)
