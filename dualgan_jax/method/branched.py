"""The branched TargetNet: a trunk of the student, tails of the teachers."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import chex
import flax.linen as nn

from dualgan_jax.method import discriminators
from dualgan_jax.method.labels import LabelMap
from dualgan_jax.networks.classifier import apply_block, one_against_rest
from dualgan_jax.teachers import forward
from dualgan_jax.teachers.teacher import Teacher, without_softmax


@dataclasses.dataclass(frozen=True)
class Branched:
  """T^1..T^{max p_m}; branch m leaves after block p_m for f_m and A_m's tail.

  Variables are a tuple (trunk, filters, tails): one variable dict per block of
  the trunk; one per teacher's filter; and per teacher a tuple of those of
  A_m^{p_m+1..B} and of its head.

  Attributes:
    trunk: the student's blocks 1 .. max p_m.
    teachers: give the functions of the tails.
    points: p_m of each teacher.
    label_map: the teachers in the same order.
    single_label: whether the labels of Y_cst, of several teachers, exclude one
      another: one softmax over all tails' answers.
  """

  trunk: tuple[nn.Module, ...]
  teachers: tuple[Teacher, ...]
  points: tuple[int, ...]
  label_map: LabelMap
  single_label: bool = False

  def apply(
    self, variables: tuple, x: chex.Array, *, train: bool
  ) -> tuple[chex.Array, tuple]:
    """Answers images.

    Args:
      variables: (trunk, filters, tails), see above.
      x: images, [N, h, w, c].
      train: whether the trunk's batch norm uses the batch's moments; the tails
        keep the teachers' statistics.

    Returns:
      Logits [N, |Y_cst|] and the variables, running averages updated if
      `train`.
    """
    trunk, filters, tails = variables
    updated, features = [], []
    for block, block_variables in zip(self.trunk, trunk, strict=True):
      x, block_variables = apply_block(block, block_variables, x, train=train)
      updated.append(block_variables)
      features.append(x)
    logits = [
      forward.tail(
        teacher,
        tail,
        discriminators.filtered(
          filter_variables['params'], features[point - 1]
        ),
        point,
      )
      for teacher, point, filter_variables, tail in zip(
        self.teachers, self.points, filters, tails, strict=True
      )
    ]
    owners = self.label_map.owners(self.label_map.customised)
    answers = discriminators.combine(logits, owners)
    if self.single_label:
      answers = one_against_rest(answers)
    return answers, (tuple(updated), filters, tails)


def create(
  student_blocks: Sequence[nn.Module],
  student: Sequence[Any],
  filters: Sequence[Any],
  teachers: Sequence[Teacher],
  points: Sequence[int],
  label_map: LabelMap,
  *,
  single_label: bool = False,
  absent: bool = False,
) -> tuple[Branched, tuple]:
  """Regroups student and teachers into one net.

  Args:
    student_blocks: T^1 .. T^B, modules.
    student: variables of at least T^1 .. T^{max p_m}.
    filters: per teacher, parameters of f_m^{p_m}.
    teachers: those of whom Y_cst asks something.
    points: p_m of each.
    label_map: the teachers in the same order.
    single_label: whether the labels of Y_cst exclude one another.
    absent: whether all of a teacher's labels may be absent from an image. Its
      softmax could not say so: its tail goes without, unless a softmax over all
      tails' answers can weigh it against the others.

  Returns:
    The net and its variables, the teachers' parts copied.
  """
  deepest = max(points)
  drop_softmax = absent and not single_label
  net = Branched(
    tuple(student_blocks[:deepest]),
    tuple(without_softmax(t) if drop_softmax else t for t in teachers),
    tuple(points),
    label_map,
    single_label and len(teachers) > 1,
  )
  tails = tuple(t.variables[p:] for t, p in zip(teachers, points, strict=True))
  filter_variables = tuple({'params': params} for params in filters)
  return net, (tuple(student[:deepest]), filter_variables, tails)
