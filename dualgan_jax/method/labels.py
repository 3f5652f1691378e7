"""Label sets of the method: the teachers' Y_m, their union, Y_cst and g_m."""

import collections
import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from dualgan_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class LabelMap:
  """The label sets of the method, and the index arrays between them.

  Build it with `LabelMap.create`, which checks. Teachers are numbered in the
  order of `teachers`. A teacher is relevant if it answers a label of Y_cst.

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
    """Checks the label sets and builds their map.

    Args:
      teachers: each teacher's name and its labels.
      customised: the labels Y_cst of the student, a subset of the union in any
        order.

    Raises:
      UserError: a set is empty, holds a label twice, or Y_cst has a label that
        no teacher answers.
    """
    if not teachers:
      raise UserError('teachers: name at least one teacher.')
    for name, teacher_labels in teachers.items():
      _check_label_set(f'teachers.{name}.labels', teacher_labels)
    _check_label_set('labels', customised)
    # Several teachers may answer the same label.
    known_labels = {
      label for teacher_labels in teachers.values() for label in teacher_labels
    }
    unknown_labels = [
      label for label in customised if label not in known_labels
    ]
    if unknown_labels:
      raise UserError(
        f'labels: no teacher answers {_quote_labels(unknown_labels)}; the '
        f'teachers answer {_quote_labels(sorted(known_labels))}.'
      )
    # Tuples, so that a map can be hashed and cached.
    return cls(
      tuple(
        (name, tuple(teacher_labels))
        for name, teacher_labels in teachers.items()
      ),
      tuple(customised),
    )

  @functools.cached_property
  def union(self) -> tuple[str, ...]:
    """Lists U: every label once, in the order of its first teacher."""
    # A dict keeps the order of its keys; a set would not.
    return tuple(dict.fromkeys(self._all_labels()))

  @functools.cached_property
  def customised_in_union(self) -> np.ndarray:
    """Finds the positions of Y_cst in the union, int32 [|Y_cst|]."""
    return np.array(
      [self.union.index(label) for label in self.customised], np.int32
    )

  def owners(self, labels: Sequence[str]) -> np.ndarray:
    """Finds the columns of each label among all teachers' answers.

    The answers stand side by side, [N, sum_m |Y_m|].

    Args:
      labels: L labels of the union.

    Returns:
      int32 [L, K] columns, K the most owners that one of the labels has; -1
      fills rows with fewer owners.
    """
    label_columns: dict[str, list[int]] = {label: [] for label in self.union}
    for column, label in enumerate(self._all_labels()):
      label_columns[label].append(column)
    # Rows of equal length, so that one gather reads all columns.
    max_owners = max(len(label_columns[label]) for label in labels)
    owners = np.full((len(labels), max_owners), -1)
    for row, label in enumerate(labels):
      owners[row, : len(label_columns[label])] = label_columns[label]
    return owners.astype(np.int32)

  def task_filter(self, teacher: int) -> np.ndarray:
    """Computes g_m: positions in Y_m of the labels of Y_cst; may be empty.

    Args:
      teacher: its number m, from 0.

    Returns:
      int32 [n], in the order of Y_m.
    """
    teacher_labels = self.teachers[teacher][1]
    return np.array(
      [
        position
        for position, label in enumerate(teacher_labels)
        if label in self.customised
      ],
      np.int32,
    )

  def customised_columns(self, teacher: int) -> np.ndarray:
    """Finds the positions in Y_cst of the labels that g_m selects.

    Args:
      teacher: its number m, from 0.

    Returns:
      int32 [n], in the order of `task_filter`.
    """
    teacher_labels = self.teachers[teacher][1]
    return np.array(
      [
        self.customised.index(label)
        for label in teacher_labels
        if label in self.customised
      ],
      np.int32,
    )

  @property
  def relevant_teachers(self) -> tuple[int, ...]:
    """Lists the numbers of the relevant teachers."""
    return tuple(
      teacher
      for teacher in range(len(self.teachers))
      if self.task_filter(teacher).size
    )

  def restrict_to_relevant(self) -> 'LabelMap':
    """Returns the map of the relevant teachers only, with the same Y_cst."""
    return LabelMap(
      tuple(self.teachers[teacher] for teacher in self.relevant_teachers),
      self.customised,
    )

  def _all_labels(self) -> list[str]:
    """Lists all teachers' labels side by side, as their answers stand."""
    return [
      label for _, teacher_labels in self.teachers for label in teacher_labels
    ]


def have_same_labels(label_sets: Iterable[Sequence[str]]) -> bool:
  """Returns whether all label sets hold the same labels, in any order."""
  return len({frozenset(labels) for labels in label_sets}) == 1


def _check_label_set(field: str, labels: Sequence[str]) -> None:
  """Raises a UserError if a label set is empty or has a label twice."""
  if not labels:
    raise UserError(f'{field}: name at least one label.')
  repeated_labels = [
    label for label, count in collections.Counter(labels).items() if count > 1
  ]
  if repeated_labels:
    raise UserError(
      f'{field}: {_quote_labels(repeated_labels)} stands there twice.'
    )


def _quote_labels(labels: Sequence[str]) -> str:
  return ', '.join(map(repr, labels))
