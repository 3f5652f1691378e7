"""Defines what each stage returns for later ones."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import chex

from dualgan_jax.method.frozen_generator import FrozenGenerator
from dualgan_jax.method.labels import LabelMap
from dualgan_jax.teachers.teacher import Teacher


@dataclasses.dataclass(frozen=True)
class Teachers:
  """Outcome of `pretrain`: the frozen teachers.

  Attributes:
    all_teachers: all teachers, in the config's order.
    relevant_teachers: the teachers with a label in Y_cst, in the same order.
    relevant_labels: label map of the relevant teachers.
  """

  all_teachers: tuple[Teacher, ...]
  relevant_teachers: tuple[Teacher, ...]
  relevant_labels: LabelMap


@dataclasses.dataclass(frozen=True)
class TrainedGenerator:
  """Outcome of `generator`.

  Attributes:
    frozen: the generator with its filters.
    statistics_gaps: by teacher's name, the factor by which all generated images
      fit its batch statistics worse than its own images do; empty if nothing
      was measured.
  """

  frozen: FrozenGenerator
  statistics_gaps: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class LearnedBlocks:
  """Outcome of `dual`: the student T, block by block.

  Attributes:
    variables: variables of T's B blocks and of its head.
    filters: {'block_b': {teacher's name: parameters of f_m^b}}; empty if T was
      not trained block by block.
  """

  variables: tuple[Any, ...]
  filters: Mapping[str, Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class Model:
  """A net that answers Y_cst.

  Attributes:
    apply: (variables, images, train=) → logits and updated variables.
    variables: variables of the net.
  """

  apply: Callable[..., Any]
  variables: Any

  def answer(self, variables: Any, images: chex.Array) -> chex.Array:
    """Computes the logits of images, for given variables.

    Args:
      variables: of this form.
      images: [N, h, w, c] in [0, 1].

    Returns:
      Logits [N, L], without the variables that a training would update.
    """
    return self.apply(variables, images, train=False)[0]


@dataclasses.dataclass(frozen=True)
class Students:
  """Outcome of `targetnet` and `refine`: the TargetNets.

  Attributes:
    models: by their names in the results: compact, branched and, after
      refinement, compact_before_refine.
    branch_losses: L_d^{b,m} for each block b < B, by teacher's name.
    branch_points: p_m, by teacher's name.
    generator: as stage `refine` leaves it; None without that stage.
  """

  models: Mapping[str, Model]
  branch_losses: Mapping[str, Sequence[float]]
  branch_points: Mapping[str, int]
  generator: FrozenGenerator | None = None
