"""Draws the teachers that each training step asks: K of M, balanced.

Only teachers of one net can be drawn: their variables are stacked, and a step
takes K of them out, so that its program, its time and its memory are those of K
teachers. All of them answer the same labels, or no two of them a common one.
"""

import dataclasses
import functools
import zlib
from collections.abc import Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from dualgan_jax.method import discriminators
from dualgan_jax.method.labels import LabelMap
from dualgan_jax.teachers import forward
from dualgan_jax.teachers.stack import stack_teachers, take_teacher
from dualgan_jax.teachers.teacher import Teacher
from dualgan_jax.training import parallel


@struct.dataclass
class DrawnTeachers:
  """The teachers that one step asks, all of them or a draw.

  Attributes:
    teachers: K of them; drawn ones are named by their places.
    label_map: of these teachers, in the same order.
    numbers: of drawn teachers among all M, int32 [K] in rising order; None if
      all are asked.
    columns: positions in Y_cst of the labels that `label_map` calls customised,
      int32 [n]; None if those are Y_cst.
    label_share: share of the union of all labels that these teachers answer.
  """

  teachers: tuple[Teacher, ...]
  label_map: LabelMap = struct.field(pytree_node=False)
  numbers: chex.Array | None = None
  columns: chex.Array | None = None
  label_share: float = struct.field(pytree_node=False, default=1.0)

  def select_filters(self, filters: Any) -> Any:
    """Selects the filters of these teachers, by their names.

    Args:
      filters: by teacher's name; of drawn teachers, one tree with leaves
        [M, ...].
    """
    numbers = self.numbers
    if numbers is None:
      return filters
    return {
      teacher.name: jax.tree.map(
        lambda leaf, place=place: jnp.asarray(leaf)[numbers[place]],
        filters,
      )
      for place, teacher in enumerate(self.teachers)
    }

  def select_columns(self, logits: chex.Array) -> chex.Array:
    """Selects the labels that these teachers answer.

    Args:
      logits: a student's, [N, |Y_cst|].

    Returns:
      [N, n], in the order of `label_map.customised`.
    """
    return logits if self.columns is None else logits[:, self.columns]


@dataclasses.dataclass(frozen=True)
class TeacherDraws:
  """How many of the teachers each step asks.

  Attributes:
    label_map: of all M teachers; if they are drawn, either all have the same
      labels in the same order, or no label has two teachers, all have equally
      many, and Y_cst has all labels.
    per_step: K, from 1 to M; 0 for all, which are not stacked then.
  """

  label_map: LabelMap
  per_step: int = 0

  def arrange(
    self, teachers: Sequence[Teacher] | Teacher
  ) -> tuple[Teacher, ...] | Teacher:
    """Arranges all teachers as `draw` takes them: a tuple, or a stack."""
    if isinstance(teachers, Teacher):
      return teachers
    return stack_teachers(teachers) if self.per_step else tuple(teachers)

  def draw(
    self,
    arranged: tuple[Teacher, ...] | Teacher,
    key: chex.PRNGKey,
    step: chex.Array,
    purpose: str = 'teachers',
  ) -> DrawnTeachers:
    """Draws the teachers of a step; each device draws some of its own.

    Args:
      arranged: of `arrange`.
      key: the phase's.
      step: number of the step, from 0.
      purpose: what they are drawn for; other purposes have other draws.
    """
    if not isinstance(arranged, Teacher):
      return DrawnTeachers(arranged, self.label_map)
    share, num_shares = parallel.share_number()
    numbers = draw_numbers(
      jax.random.fold_in(key, zlib.crc32(purpose.encode())),
      step * num_shares + share,
      len(self.label_map.teachers),
      self.per_step,
    )
    drawn_map = self._drawn_map
    teachers = tuple(
      dataclasses.replace(
        take_teacher(arranged, numbers[place]), name=name, labels=labels
      )
      for place, (name, labels) in enumerate(drawn_map.teachers)
    )
    if self._has_common_labels:
      return DrawnTeachers(teachers, drawn_map, numbers)
    return DrawnTeachers(
      teachers,
      drawn_map,
      numbers,
      jnp.asarray(self._label_columns)[numbers].reshape(-1),
      self.per_step / len(self.label_map.teachers),
    )

  @property
  def _has_common_labels(self) -> bool:
    """Whether all teachers answer the same labels."""
    return len({labels for _, labels in self.label_map.teachers}) == 1

  @functools.cached_property
  def _drawn_map(self) -> LabelMap:
    """The label map of a draw, whose teachers are named by their places."""
    _, labels = self.label_map.teachers[0]
    names = [f'drawn_{place}' for place in range(self.per_step)]
    if self._has_common_labels:
      return LabelMap(
        tuple((name, labels) for name in names), self.label_map.customised
      )
    # Which labels these are is known on the device only.
    teachers = tuple(
      (name, tuple(f'{name}/{position}' for position in range(len(labels))))
      for name in names
    )
    all_labels = (label for _, labels in teachers for label in labels)
    return LabelMap(teachers, tuple(all_labels))

  @property
  def _label_columns(self) -> np.ndarray:
    """Positions in Y_cst of each teacher's labels, int32 [M, |Y_m|]."""
    return np.array(
      [
        [self.label_map.customised.index(label) for label in labels]
        for _, labels in self.label_map.teachers
      ],
      np.int32,
    )


def draw_numbers(
  key: chex.PRNGKey, turn: chex.Array, num_teachers: int, per_step: int
) -> chex.Array:
  """Draws K of M numbers so that all come up equally often.

  ⌈M/K⌉ turns share one random order: turn t of them takes the places
  tK .. tK + K - 1 of it, and begins again at the first where it ends. So every
  number comes up once in these turns, those at the first places perhaps twice,
  and each turn is a uniform draw of K numbers without replacement.

  Args:
    key: of all turns.
    turn: number of the turn, from 0; devices take turns, too.
    num_teachers: M.
    per_step: K.

  Returns:
    int32 [K], in rising order.
  """
  turns_per_order = -(-num_teachers // per_step)
  order = jax.random.permutation(
    jax.random.fold_in(key, turn // turns_per_order), num_teachers
  )
  first_place = turn % turns_per_order * per_step
  places = (first_place + jnp.arange(per_step)) % num_teachers
  return jnp.sort(order[places])


def answer_all(stack: Teacher, filters: Any, images: chex.Array) -> chex.Array:
  """Computes the answers of all stacked teachers, one after the other.

  Args:
    stack: M teachers of L labels each, of `stack_teachers`.
    filters: theirs, one tree with leaves [M, ...]; {} for images that no filter
      stands before.
    images: [N, h, w, c].

  Returns:
    Logits side by side, [N, M · L], as `LabelMap.owners` counts their columns.
  """

  def answer(teacher_and_filters):
    teacher, teacher_filters = teacher_and_filters
    filtered_images = discriminators.filter_image(teacher_filters, images)
    return forward.tail(teacher, teacher.variables, filtered_images, 0)

  logits = jax.lax.map(answer, (stack, filters))
  return jnp.swapaxes(logits, 0, 1).reshape(len(images), -1)
