"""The branched TargetNet: a trunk of the student with tails of the teachers."""

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
  """A trunk T^1..T^{max p_m}, whose branch m leaves after block p_m.

  Branch m is the filter f_m^{p_m}, blocks p_m + 1 .. B of teacher A_m, and its
  head.

  Variables are a tuple (trunk, filters, tails): one variable dict per block of
  the trunk; one per teacher's filter; and per teacher a tuple of those of
  A_m^{p_m+1..B} and of its head.

  Attributes:
    trunk: the student's blocks 1 .. max p_m.
    teachers: give the functions of the tails.
    points: p_m of each teacher.
    label_map: the teachers in the same order.
    single_label: whether the labels of Y_cst, of several teachers, exclude one
      another: one softmax is taken over all tails' answers.
  """

  trunk: tuple[nn.Module, ...]
  teachers: tuple[Teacher, ...]
  points: tuple[int, ...]
  label_map: LabelMap
  single_label: bool = False

  def apply(
    self, variables: tuple, images: chex.Array, *, train: bool
  ) -> tuple[chex.Array, tuple]:
    """Answers images.

    Args:
      variables: (trunk, filters, tails), see above.
      images: [N, h, w, c].
      train: whether the trunk's batch norm uses the batch's moments; the tails
        keep the teachers' statistics.

    Returns:
      Logits [N, |Y_cst|] and the variables, running averages updated if
      `train`.
    """
    trunk, filters, tails = variables
    # All branches read the same trunk: each block runs once.
    updated_trunk, features, trunk_output = [], [], images
    for block, block_variables in zip(self.trunk, trunk, strict=True):
      trunk_output, block_variables = apply_block(
        block, block_variables, trunk_output, train=train
      )
      updated_trunk.append(block_variables)
      features.append(trunk_output)
    # f_m and D_d^{p_m,m} of Eq. 12, with variables that may have been trained.
    logits = [
      forward.tail(
        teacher,
        tail,
        discriminators.apply_filter(
          filter_variables['params'], features[point - 1]
        ),
        point,
      )
      for teacher, point, filter_variables, tail in zip(
        self.teachers, self.points, filters, tails, strict=True
      )
    ]
    # Eq. 10, for the labels of Y_cst.
    owners = self.label_map.owners(self.label_map.customised)
    answers = discriminators.combine_logits(logits, owners)
    if self.single_label:
      answers = one_against_rest(answers)
    return answers, (tuple(updated_trunk), filters, tails)


def create(
  student_blocks: Sequence[nn.Module],
  student_variables: Sequence[Any],
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
    student_variables: of at least T^1 .. T^{max p_m}.
    filters: per teacher, parameters of f_m^{p_m}.
    teachers: the relevant ones, which answer some label of Y_cst.
    points: p_m of each.
    label_map: the teachers in the same order.
    single_label: whether the labels of Y_cst exclude one another.
    absent: whether all of a teacher's labels may be absent from an image. Its
      softmax could not say so: its tail goes without, unless a softmax over all
      tails' answers can weigh it against the others.

  Returns:
    The net and its variables, the teachers' parts copied.
  """
  # A softmax over one teacher's labels names one of them on any image.
  drop_softmax = absent and not single_label
  # With one teacher, its own softmax is the one over all tails.
  trunk_length = max(points)
  net = Branched(
    tuple(student_blocks[:trunk_length]),
    tuple(
      without_softmax(teacher) if drop_softmax else teacher
      for teacher in teachers
    ),
    tuple(points),
    label_map,
    single_label and len(teachers) > 1,
  )
  # Entry p_m is block p_m + 1's; the last one is the head's.
  tails = tuple(
    teacher.variables[point:]
    for teacher, point in zip(teachers, points, strict=True)
  )
  filter_variables = tuple({'params': params} for params in filters)
  trunk = tuple(student_variables[:trunk_length])
  return net, (trunk, filter_variables, tails)
