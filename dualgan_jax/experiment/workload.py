"""Estimates the work of a run before it starts: FLOPs, or seconds.

Both are those of the nets' forward passes, times how often a step needs them.
A backward pass costs as much as a forward pass for the gradient of the input,
and as much again for that of the parameters.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from dualgan_jax.config.fields import Experiment
from dualgan_jax.experiment.net_costs import NetCosts, RunCosts
from dualgan_jax.experiment.nets import Nets
from dualgan_jax.experiment.routing_decision import (
  PROBE_BATCHES,
  configured_routing,
  has_prior,
)
from dualgan_jax.experiment.student_runners import BRANCH_LOSS_BATCHES

# Passes of a net that is trained, and of a frozen one that the gradient passes.
_TRAINED, _PASSED = 3, 2


class _StepCosts(NamedTuple):
  """What one image costs in the nets that a step asks.

  Attributes:
    asked_teachers: of the teachers that a step asks, out of all.
    relevant_teachers: of those that it asks out of the relevant ones.
    student: of the student.
    generator: of the generator.
  """

  asked_teachers: list[NetCosts]
  relevant_teachers: list[NetCosts]
  student: NetCosts
  generator: float


def estimate_phases(
  nets: Nets, config: Experiment, net_costs: RunCosts
) -> dict[str, float]:
  """Estimates the work of all phases of a run.

  Args:
    nets: as `build_nets` returns them.
    config: the config that they were built from, with all batches filled in.
    net_costs: of one image, in FLOPs or in seconds.

  Returns:
    In the same unit, by name of the phase, in the order of the run.
  """
  teachers = list(nets.teachers.values())
  # Those that are drawn are of one net, so that the first ones stand for all.
  num_asked = config.teachers_per_step or len(teachers)
  costs = _StepCosts(
    [net_costs.teachers[teacher.name] for teacher in teachers[:num_asked]],
    [
      net_costs.teachers[teachers[index].name]
      for index in nets.label_map.relevant_teachers[:num_asked]
    ],
    net_costs.student,
    net_costs.generator,
  )
  return {
    **dict(_estimate_teacher_phases(nets, config, net_costs)),
    **dict(_estimate_generator_phases(nets, config, costs)),
    **dict(_estimate_student_phases(config, costs)),
    **dict(_estimate_baselines(config, costs)),
  }


def sum_by_stage(phases: Mapping[str, float]) -> dict[str, float]:
  """Sums up the work of the phases of each stage.

  Args:
    phases: as `estimate_phases` returns them.
  """
  stages: dict[str, float] = {}
  for phase_name, work in phases.items():
    stage = phase_name.partition('/')[0]
    stages[stage] = stages.get(stage, 0) + work
  return stages


def _estimate_teacher_phases(
  nets: Nets, config: Experiment, costs: RunCosts
) -> Iterator[tuple[str, float]]:
  """Estimates stage `pretrain`."""
  num_images = config.pretrain.steps * config.pretrain.batch
  for name in nets.classifiers:
    yield (
      f'pretrain/{name}',
      num_images * _TRAINED * costs.teachers[name].after(0),
    )


def _estimate_generator_phases(
  nets: Nets, config: Experiment, costs: _StepCosts
) -> Iterator[tuple[str, float]]:
  """Estimates stage `generator`: L_joint of Eq. 11."""
  training, teachers = config.generator, list(nets.teachers.values())
  all_passes = sum(map(_sum_ladder, costs.asked_teachers))
  # If routed, a teacher sees its own images only.
  routed_passes = all_passes / len(teachers)
  is_routed = configured_routing(config, teachers)
  if is_routed is None and has_prior(config, teachers):
    yield (
      'generator/probe',
      training.probe_steps
      * training.batch
      * (_TRAINED * costs.generator + _PASSED * routed_passes),
    )
    yield (
      'generator/misfit',
      PROBE_BATCHES
      * training.batch
      * (costs.generator + sum(cost.after(0) for cost in costs.asked_teachers)),
    )
  passes = routed_passes if is_routed else all_passes
  yield (
    'generator/train',
    training.steps
    * training.batch
    * (_TRAINED * costs.generator + _PASSED * passes),
  )


def _estimate_student_phases(
  config: Experiment, costs: _StepCosts
) -> Iterator[tuple[str, float]]:
  """Estimates the stages `dual`, `targetnet` and `refine`."""
  teachers, student = costs.relevant_teachers, costs.student
  # What generated images and the teachers' answers to them cost.
  answered = costs.generator + sum(teacher.after(0) for teacher in teachers)
  if config.dual.steps:
    num_images = config.dual.steps * config.dual.batch
    for block_number, block_costs in enumerate(student.blocks, start=1):
      block = sum(student.blocks[: block_number - 1]) + _TRAINED * block_costs
      judges = _PASSED * sum(
        teacher.after(block_number) for teacher in teachers
      )
      yield (
        f'dual/block_{block_number}',
        num_images * (answered + block + judges),
      )
    yield (
      'targetnet/branch_points',
      BRANCH_LOSS_BATCHES
      * config.targetnet.batch
      * (answered + student.after(0) + sum(map(_sum_ladder, teachers))),
    )
  yield (
    'targetnet/compact',
    config.targetnet.compact_steps
    * config.targetnet.batch
    * (answered + _TRAINED * student.after(0)),
  )
  # The largest branched net: branch points are not known yet.
  branched = student.blocks[0] + sum(teacher.after(1) for teacher in teachers)
  if config.dual.steps:
    yield (
      'targetnet/branched',
      config.targetnet.branched_steps
      * config.targetnet.batch
      * (answered + _TRAINED * branched),
    )
  if config.refine.steps:
    all_answers = sum(teacher.after(0) for teacher in costs.asked_teachers)
    student_step = all_answers + _TRAINED * student.after(0)
    yield (
      'refine',
      config.refine.steps
      * config.refine.batch
      * (
        _TRAINED * costs.generator
        + _PASSED * (all_answers + student.after(0))
        + _TRAINED * student.after(0)
        + config.refine.replay_steps * student_step
      ),
    )
    if config.dual.steps and config.refine.branched_steps:
      yield (
        'refine/branched',
        config.refine.branched_steps
        * config.refine.batch
        * (all_answers + _TRAINED * branched),
      )


def _estimate_baselines(
  config: Experiment, costs: _StepCosts
) -> Iterator[tuple[str, float]]:
  """Estimates stage `baselines`."""
  if not config.baselines.enabled or not config.baselines.steps:
    return
  work = (
    config.baselines.steps
    * config.baselines.batch
    * (
      _TRAINED * costs.student.after(0)
      + sum(teacher.after(0) for teacher in costs.relevant_teachers)
    )
  )
  yield 'baselines/noise', work
  if config.data:
    yield 'baselines/real_data', work


def _sum_ladder(teacher_costs: NetCosts) -> float:
  """Sums up a pass over an image and features that enter after each block."""
  return sum(map(teacher_costs.after, range(len(teacher_costs.blocks))))
