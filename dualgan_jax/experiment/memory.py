"""Checks that a run fits into the memory of its devices, before it starts."""

import math
import os
import pathlib
from collections.abc import Collection, Sequence
from typing import Any

import jax
import numpy as np

from dualgan_jax.config.fields import Experiment
from dualgan_jax.errors import UserError
from dualgan_jax.experiment.nets import Nets, generator_phase

# What a container may use, by the first or second kind of control groups.
_CGROUP_LIMITS = (
  '/sys/fs/cgroup/memory.max',
  '/sys/fs/cgroup/memory/memory.limit_in_bytes',
)
# Stands for unknown memory, on which nothing is refused.
UNLIMITED_BYTES = 2**63


def check_fits(
  nets: Nets,
  config: Experiment,
  devices: Sequence[jax.Device],
  stages: Collection[str],
) -> None:
  """Checks that each device has the memory that it needs at least.

  Args:
    nets: as `build_nets` returns them.
    config: the config that they were built from.
    devices: devices to train on; those of a CPU share its memory.
    stages: the stages that will be trained.

  Raises:
    UserError: states, images and replay buffer are too large; names what to
      lower.
  """
  available_bytes = share_memory(devices)
  for stage, (needed_bytes, fields) in count_least_bytes(nets, config).items():
    if stage in stages and needed_bytes > available_bytes:
      raise UserError(
        f'{stage}: takes {needed_bytes / 1e9:,.3g} GB on each of '
        f'{len(devices)} devices at least, but there are '
        f'{available_bytes / 1e9:,.3g} GB; lower {fields}, or take larger '
        'devices.'
      )


def share_memory(devices: Sequence[jax.Device]) -> int:
  """Reads the memory that one device has for itself, in bytes.

  Args:
    devices: devices to train on.
  """
  local_devices = [
    device for device in devices if device.process_index == jax.process_index()
  ]
  available_bytes = device_memory(local_devices[0])
  if local_devices[0].platform == 'cpu':
    # Simulated devices share the memory of the machine.
    available_bytes //= len(local_devices)
  return available_bytes


def device_memory(device: jax.Device) -> int:
  """Reads the memory of a device, in bytes.

  Args:
    device: a local device. A CPU has the memory of this machine or container.
  """
  if device.platform != 'cpu':
    statistics = device.memory_stats() or {}
    return statistics.get('bytes_limit', UNLIMITED_BYTES)
  byte_limits = [os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')]
  for file in map(pathlib.Path, _CGROUP_LIMITS):
    try:
      byte_limits.append(int(file.read_text()))
    # There are no such groups, or the file says 'max'.
    except (OSError, ValueError):
      continue
  return min(byte_limits)


def count_least_bytes(
  nets: Nets, config: Experiment
) -> dict[str, tuple[int, str]]:
  """Counts the bytes that a stage takes at least, without its activations.

  Args:
    nets: as `build_nets` returns them.
    config: the config that they were built from.

  Returns:
    By stage, the bytes of states, teachers, images and replay buffer, and the
    fields that would lower them.
  """
  teachers = list(nets.teachers.values())
  teacher_bytes = _count_bytes([teacher.variables for teacher in teachers])
  phase = generator_phase(nets, config, teachers, is_routed=False)
  generator_bytes = _count_bytes(
    jax.eval_shape(phase.init, jax.random.PRNGKey(0))
  )
  # Parameters and Adam's two averages of them.
  student_bytes = 3 * _count_bytes(
    jax.eval_shape(
      lambda key: nets.student.init(key, config.image_shape),
      jax.random.PRNGKey(0),
    )
  )
  # The replay buffer holds uint8, a batch float32.
  values_per_image = math.prod(config.image_shape)
  buffer_images = config.refine.replay_buffer_batches * config.refine.batch
  buffer_bytes = buffer_images * values_per_image if config.refine.steps else 0
  image_bytes = 4 * values_per_image
  return {
    'generator': (
      teacher_bytes + generator_bytes + image_bytes * config.generator.batch,
      'generator.widths, student.widths, generator.batch',
    ),
    # The generator is frozen here, without Adam's averages.
    'targetnet': (
      teacher_bytes
      + generator_bytes // 3
      + student_bytes
      + image_bytes * config.targetnet.batch,
      'student.widths, targetnet.batch',
    ),
    'refine': (
      teacher_bytes
      + generator_bytes
      + student_bytes
      + buffer_bytes
      + image_bytes * config.refine.batch,
      'refine.replay_buffer_batches, refine.batch, image_shape',
    ),
  }


def _count_bytes(tree: Any) -> int:
  """Counts the bytes of all arrays, or shapes of arrays, in a tree."""
  return sum(
    math.prod(leaf.shape) * np.dtype(leaf.dtype).itemsize
    for leaf in jax.tree.leaves(tree)
  )
