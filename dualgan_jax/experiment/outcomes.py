"""What each stage returns, for those after it."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dualgan_jax.method.frozen_generator import FrozenGenerator
from dualgan_jax.method.labels import LabelMap
from dualgan_jax.teachers.teacher import Teacher


@dataclasses.dataclass(frozen=True)
class Teachers:
  """Outcome of `pretrain`: the frozen teachers.

  Attributes:
    everyone: all teachers, in the config's order.
    relevant: those of whom Y_cst asks a label.
    relevant_labels: of the relevant teachers, in their order.
  """

  everyone: tuple[Teacher, ...]
  relevant: tuple[Teacher, ...]
  relevant_labels: LabelMap


@dataclasses.dataclass(frozen=True)
class TrainedGenerator:
  """Outcome of `generator`.

  Attributes:
    frozen: the generator with its filters.
    statistics_gaps: by teacher's name, how much worse all images together fit
      its statistics than its own do; empty if nothing was measured.
  """

  frozen: FrozenGenerator
  statistics_gaps: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class LearnedBlocks:
  """Outcome of `dual`: the student T, block by block.

  Attributes:
    variables: of T's B blocks and its head.
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
    variables: of the net.
  """

  apply: Callable[..., Any]
  variables: Any


@dataclasses.dataclass(frozen=True)
class Students:
  """Outcome of `targetnet` and `refine`: the TargetNets.

  Attributes:
    models: by their names in the results: compact, branched and, after
      refinement, compact_before_refine.
    branch_losses: L_d^{b,m} for each block b < B, by teacher's name.
    branch_points: p_m, by teacher's name.
  """

  models: Mapping[str, Model]
  branch_losses: Mapping[str, Sequence[float]]
  branch_points: Mapping[str, int]
