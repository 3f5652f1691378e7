"""Estimates the work of a run before it starts: FLOPs, and so the time.

FLOPs are those of the nets' forward passes, times how often a step needs them.
A backward pass costs as much as a forward pass for the gradient of the input,
and as much again for that of the parameters.
"""

import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dualgan_jax.config.fields import Experiment
from dualgan_jax.experiment.nets import Nets, abstract_teacher
from dualgan_jax.experiment.routing_decision import (
  PROBE_BATCHES,
  configured_routing,
  has_prior,
)
from dualgan_jax.experiment.student_runners import BRANCH_LOSS_BATCHES
from dualgan_jax.reporting import cost
from dualgan_jax.teachers import forward
from dualgan_jax.teachers.stack import group_by_net
from dualgan_jax.teachers.teacher import Teacher

# Passes of a net that is trained, and of a frozen one that the gradient passes.
_TRAINED, _PASSED = 3, 2
# The least and the largest share of the speed of the student's forward pass
# that training steps have reached, on CPUs.
_SPEED_SHARES = 0.3, 0.8
# A CPU takes the more images at once the smaller the net is.
_MOST_CPU_FLOPS = 5e9
_NUM_REPEATS = 3


class _NetCosts(NamedTuple):
  """FLOPs of one image in each block of a net, and in its head.

  Attributes:
    blocks: of B blocks.
    head: of the head.
  """

  blocks: tuple[int, ...]
  head: int

  def after(self, block_number: int) -> int:
    """Sums up what follows a block; 0 for the whole net."""
    return sum(self.blocks[block_number:]) + self.head


class _RunCosts(NamedTuple):
  """FLOPs of one image in all nets of a run.

  Attributes:
    teachers: of all teachers, by name.
    asked_teachers: of those that a step asks, out of all.
    relevant_teachers: of those that it asks out of the relevant ones.
    student: of the student.
    generator: of the generator.
  """

  teachers: dict[str, _NetCosts]
  asked_teachers: list[_NetCosts]
  relevant_teachers: list[_NetCosts]
  student: _NetCosts
  generator: int


def count_flops(nets: Nets, config: Experiment) -> dict[str, int]:
  """Counts the FLOPs of all phases of a run.

  Args:
    nets: as `build_nets` returns them.
    config: the config that they were built from, with all batches filled in.

  Returns:
    By name of the phase, in the order of the run.
  """
  teachers = list(nets.teachers.values())
  teacher_costs = {}
  for group in group_by_net(teachers):
    net_costs = _count_net(group[0], nets.image_shape)
    teacher_costs.update({teacher.name: net_costs for teacher in group})
  # Those that are drawn are of one net, so that the first ones stand for all.
  num_asked = config.teachers_per_step or len(teachers)
  costs = _RunCosts(
    teacher_costs,
    [teacher_costs[teacher.name] for teacher in teachers[:num_asked]],
    [
      teacher_costs[teachers[index].name]
      for index in nets.label_map.relevant_teachers[:num_asked]
    ],
    _count_net(_make_student(nets, config), nets.image_shape),
    _count_generator(nets, config),
  )
  return {
    **dict(_count_teacher_phases(nets, config, costs)),
    **dict(_count_generator_phases(nets, config, costs)),
    **dict(_count_student_phases(config, costs)),
    **dict(_count_baselines(config, costs)),
  }


def sum_by_stage(flops_by_phase: Mapping[str, int]) -> dict[str, int]:
  """Sums up the FLOPs of the phases of each stage.

  Args:
    flops_by_phase: as `count_flops` returns them.
  """
  flops_by_stage: dict[str, int] = {}
  for phase_name, flops in flops_by_phase.items():
    stage = phase_name.partition('/')[0]
    flops_by_stage[stage] = flops_by_stage.get(stage, 0) + flops
  return flops_by_stage


def measure_speed(
  nets: Nets, config: Experiment, devices: Sequence[jax.Device]
) -> float:
  """Measures the FLOPs per second of all devices, by the student's answers.

  Small nets reach a small share of what a machine can do, so that nothing else
  tells as much. It takes about a second, most of it to compile.

  Args:
    nets: as `build_nets` returns them.
    config: the config that they were built from, with all batches filled in.
    devices: that share a batch; one of them is measured.
  """
  local_devices = [
    device for device in devices if device.process_index == jax.process_index()
  ]
  device = local_devices[0]
  student_costs = _count_net(_make_student(nets, config), nets.image_shape)
  batch = max(config.targetnet.batch // len(devices), 1)
  if device.platform == 'cpu':
    batch = max(min(batch, int(_MOST_CPU_FLOPS / student_costs.after(0))), 1)
  # The values do not matter for the time.
  variables = jax.tree.map(
    lambda leaf: jnp.ones(leaf.shape, leaf.dtype),
    _make_student(nets, config).variables,
  )
  variables, images = jax.device_put(
    (variables, jnp.ones((batch, *nets.image_shape))), device
  )
  answer = jax.jit(
    lambda variables, images: nets.student.apply(
      variables, images, train=False
    )[0]
  )
  answer(variables, images).block_until_ready()
  durations = []
  for _ in range(_NUM_REPEATS):
    start_time = time.perf_counter()
    answer(variables, images).block_until_ready()
    durations.append(time.perf_counter() - start_time)
  # Simulated devices share the cores of their process.
  num_workers = len(devices)
  if device.platform == 'cpu':
    num_workers //= len(local_devices)
  return num_workers * batch * student_costs.after(0) / min(durations)


def estimate_seconds(flops: float, speed: float) -> tuple[float, float]:
  """Estimates how long a training takes, without what it takes to compile.

  Args:
    flops: of the training.
    speed: of the devices, as `measure_speed` returns it.

  Returns:
    The least and the largest number of seconds that are likely.
  """
  low_share, high_share = _SPEED_SHARES
  return flops / speed / high_share, flops / speed / low_share


def _count_teacher_phases(
  nets: Nets, config: Experiment, costs: _RunCosts
) -> Iterator[tuple[str, int]]:
  """Counts the FLOPs of stage `pretrain`."""
  num_images = config.pretrain.steps * config.pretrain.batch
  for name in nets.classifiers:
    yield (
      f'pretrain/{name}',
      num_images * _TRAINED * costs.teachers[name].after(0),
    )


def _count_generator_phases(
  nets: Nets, config: Experiment, costs: _RunCosts
) -> Iterator[tuple[str, int]]:
  """Counts the FLOPs of stage `generator`: L_joint of Eq. 11."""
  training, teachers = config.generator, list(nets.teachers.values())
  all_passes = sum(map(_count_ladder, costs.asked_teachers))
  # If routed, a teacher sees its own images only.
  routed_passes = all_passes // len(teachers)
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


def _count_student_phases(
  config: Experiment, costs: _RunCosts
) -> Iterator[tuple[str, int]]:
  """Counts the FLOPs of the stages `dual`, `targetnet` and `refine`."""
  teachers, student = costs.relevant_teachers, costs.student
  # What generated images and the teachers' answers to them cost.
  answered = costs.generator + sum(teacher.after(0) for teacher in teachers)
  if config.dual.steps:
    num_images = config.dual.steps * config.dual.batch
    for block_number, block_flops in enumerate(student.blocks, start=1):
      block = sum(student.blocks[: block_number - 1]) + _TRAINED * block_flops
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
      * (answered + student.after(0) + sum(map(_count_ladder, teachers))),
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


def _count_baselines(
  config: Experiment, costs: _RunCosts
) -> Iterator[tuple[str, int]]:
  """Counts the FLOPs of stage `baselines`."""
  if not config.baselines.enabled or not config.baselines.steps:
    return
  flops = (
    config.baselines.steps
    * config.baselines.batch
    * (
      _TRAINED * costs.student.after(0)
      + sum(teacher.after(0) for teacher in costs.relevant_teachers)
    )
  )
  yield 'baselines/noise', flops
  if config.data:
    yield 'baselines/real_data', flops


def _count_ladder(teacher_costs: _NetCosts) -> int:
  """Counts one pass over an image, and features that enter after each block."""
  return sum(map(teacher_costs.after, range(len(teacher_costs.blocks))))


def _make_student(nets: Nets, config: Experiment) -> Teacher:
  """Makes the student, with shapes instead of variables."""
  return abstract_teacher(
    'student', config.labels, nets.student, nets.image_shape
  )


def _count_net(
  teacher: Teacher, image_shape: tuple[int, int, int]
) -> _NetCosts:
  """Counts the FLOPs of one image in each part of a net."""
  input_shapes = [image_shape, *forward.feature_shapes(teacher, image_shape)]
  parts = (*teacher.blocks, teacher.head)
  *block_flops, head_flops = [
    cost.count_flops(
      part, variables, jax.ShapeDtypeStruct((1, *input_shape), jnp.float32)
    )
    for part, variables, input_shape in zip(
      parts, teacher.variables, input_shapes, strict=True
    )
  ]
  return _NetCosts(tuple(block_flops), head_flops)


def _count_generator(nets: Nets, config: Experiment) -> int:
  """Counts the FLOPs of generating one image."""
  latents = jax.ShapeDtypeStruct((1, config.generator.latent_dim), jnp.float32)
  variables = jax.eval_shape(
    functools.partial(nets.generator.init, train=False),
    jax.random.PRNGKey(0),
    latents,
  )
  return cost.count_flops(
    lambda variables, latents: nets.generator.apply(
      variables, latents, train=False
    ),
    variables,
    latents,
  )
