"""Counts and times what one image costs in each net of a run."""

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dualgan_jax.config.fields import Experiment
from dualgan_jax.experiment.nets import Nets, abstract_teacher
from dualgan_jax.reporting import cost
from dualgan_jax.teachers import forward
from dualgan_jax.teachers.stack import group_by_net
from dualgan_jax.teachers.teacher import Teacher

# A timed pass is kept short where a CPU does it.
_MOST_CPU_FLOPS = 5e9
_NUM_REPEATS = 3


class NetCosts(NamedTuple):
  """What one image costs in each part of a net, in FLOPs or in seconds.

  Attributes:
    blocks: of B blocks.
    head: of the head.
  """

  blocks: tuple[float, ...]
  head: float

  def after(self, block_number: int) -> float:
    """Sums up what follows a block; 0 for the whole net."""
    return sum(self.blocks[block_number:]) + self.head


class RunCosts(NamedTuple):
  """What one image costs in a forward pass of each net of a run.

  Attributes:
    teachers: of all teachers, by name.
    student: of the student.
    generator: of the generator.
  """

  teachers: dict[str, NetCosts]
  student: NetCosts
  generator: float


def count_flops(nets: Nets, config: Experiment) -> RunCosts:
  """Counts the FLOPs of one image.

  Args:
    nets: as `build_nets` returns them.
    config: the config that they were built from.
  """
  teacher_costs = {}
  for group in group_by_net(list(nets.teachers.values())):
    net_costs = _count_net(group[0], nets.image_shape)
    teacher_costs.update({teacher.name: net_costs for teacher in group})
  return RunCosts(
    teacher_costs,
    _count_net(_make_student(nets, config), nets.image_shape),
    cost.count_flops(
      functools.partial(_generate, nets), *_generator_inputs(nets, config, 1)
    ),
  )


def measure_seconds(
  nets: Nets, config: Experiment, devices: Sequence[jax.Device]
) -> RunCosts:
  """Measures the seconds of one image, as its share of a batch.

  Small nets reach a small share of what a machine can do, each its own. It
  takes about a second for each net, most of it to compile.

  Args:
    nets: as `build_nets` returns them.
    config: the config that they were built from, with all batches filled in.
    devices: that share a batch; one of them is measured.
  """
  flops = count_flops(nets, config)

  def measure_net(teacher: Teacher, net_costs: NetCosts) -> NetCosts:
    """Times the whole net; its parts get shares as of its FLOPs."""
    batch = _choose_batch(config, devices, net_costs.after(0))
    images = jax.ShapeDtypeStruct((batch, *nets.image_shape), jnp.float32)
    seconds = _measure(
      functools.partial(_answer, teacher),
      (list(teacher.variables), images),
      batch,
      devices,
    )
    seconds_per_flop = seconds / max(net_costs.after(0), 1)
    return jax.tree.map(
      lambda part_flops: part_flops * seconds_per_flop, net_costs
    )

  teacher_costs = {}
  for group in group_by_net(list(nets.teachers.values())):
    net_costs = measure_net(group[0], flops.teachers[group[0].name])
    teacher_costs.update({teacher.name: net_costs for teacher in group})
  batch = _choose_batch(config, devices, flops.generator)
  return RunCosts(
    teacher_costs,
    measure_net(_make_student(nets, config), flops.student),
    _measure(
      functools.partial(_generate, nets),
      _generator_inputs(nets, config, batch),
      batch,
      devices,
    ),
  )


def _measure(
  function: Callable[..., Any],
  inputs: Any,
  batch: int,
  devices: Sequence[jax.Device],
) -> float:
  """Measures the seconds of one image where all devices share a batch.

  Args:
    function: any jittable function.
    inputs: its arguments, or their shapes: values do not matter for the time.
    batch: images among the inputs.
    devices: one of them, of this process, is measured.
  """
  local_devices = [
    device for device in devices if device.process_index == jax.process_index()
  ]
  device = local_devices[0]
  shapes = jax.eval_shape(lambda *arrays: arrays, *inputs)
  arrays = jax.device_put(
    jax.tree.map(lambda leaf: jnp.ones(leaf.shape, leaf.dtype), shapes), device
  )
  compute = jax.jit(function)
  jax.block_until_ready(compute(*arrays))
  durations = []
  for _ in range(_NUM_REPEATS):
    start_time = time.perf_counter()
    jax.block_until_ready(compute(*arrays))
    durations.append(time.perf_counter() - start_time)
  # Simulated devices share the cores of their process.
  num_workers = len(devices)
  if device.platform == 'cpu':
    num_workers //= len(local_devices)
  return min(durations) / batch / num_workers


def _choose_batch(
  config: Experiment, devices: Sequence[jax.Device], image_flops: float
) -> int:
  """Chooses a device's share of a batch, or less where a CPU does it."""
  batch = max(config.targetnet.batch // len(devices), 1)
  if devices[0].platform == 'cpu':
    batch = min(batch, int(_MOST_CPU_FLOPS / max(image_flops, 1)))
  return max(batch, 1)


def _answer(teacher: Teacher, variables: list[Any], images: jax.Array):
  """Lets a net answer images."""
  return forward.tail(teacher, variables, images, 0)


def _generate(nets: Nets, variables: Any, latents: jax.Array):
  """Makes images."""
  return nets.generator.apply(variables, latents, train=False)


def _generator_inputs(nets: Nets, config: Experiment, batch: int):
  """Lists the shapes of the generator's variables and of a batch of noise."""
  latents = jax.ShapeDtypeStruct(
    (batch, config.generator.latent_dim), jnp.float32
  )
  variables = jax.eval_shape(
    functools.partial(nets.generator.init, train=False),
    jax.random.PRNGKey(0),
    latents,
  )
  return variables, latents


def _make_student(nets: Nets, config: Experiment) -> Teacher:
  """Makes the student, with shapes instead of variables."""
  return abstract_teacher(
    'student', config.labels, nets.student, nets.image_shape
  )


def _count_net(teacher: Teacher, image_shape: tuple[int, int, int]) -> NetCosts:
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
  return NetCosts(tuple(block_flops), head_flops)
