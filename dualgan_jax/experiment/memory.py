"""Refuses what cannot fit into this machine's memory, before it is tried."""

import math
import os
import pathlib
from collections.abc import Collection, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np

from dualgan_jax.errors import UserError
from dualgan_jax.experiment.nets import Nets, generator_phase

# What a container may use, by the first or second kind of control groups.
_LIMITS = (
  '/sys/fs/cgroup/memory.max',
  '/sys/fs/cgroup/memory/memory.limit_in_bytes',
)


def check_fits(
  design: Nets,
  config: ml_collections.FrozenConfigDict,
  devices: Sequence[jax.Device],
  stages: Collection[str],
) -> None:
  """Sees that what a device must hold at least is no more than it has.

  Args:
    design: of `build_nets`.
    config: what it was made of.
    devices: to train on; those of a CPU share its memory.
    stages: those that will be trained.

  Raises:
    UserError: states, images and pool are too large; names what to lower.
  """
  local = [d for d in devices if d.process_index == jax.process_index()]
  available = device_memory(local[0])
  if local[0].platform == 'cpu':
    available //= len(local)
  for stage, (needed, cures) in _least(design, config).items():
    if stage in stages and needed > available:
      raise UserError(
        f'{stage}: takes {needed / 1e9:,.3g} GB on each of {len(devices)} '
        f'devices at least, but there are {available / 1e9:,.3g} GB; lower '
        f'{cures}, or take larger devices.'
      )


def device_memory(device: jax.Device) -> int:
  """Bytes that a device has, a CPU those of this machine or container."""
  if device.platform != 'cpu':
    statistics = device.memory_stats() or {}
    return statistics.get('bytes_limit', 2**63)
  found = [os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')]
  for file in map(pathlib.Path, _LIMITS):
    try:
      found.append(int(file.read_text()))
    except (OSError, ValueError):
      continue  # no such groups, or no limit: 'max'
  return min(found)


def _least(design, config):
  """By stage, the bytes that its state, teachers, images and pool take."""
  image = math.prod(config.image)
  teachers = _bytes([t.variables for t in design.teachers.values()])
  phase = generator_phase(
    design, config, list(design.teachers.values()), routed=False
  )
  generator = _bytes(jax.eval_shape(phase.init, jax.random.PRNGKey(0)))
  # Parameters and Adam's two averages of them.
  student = 3 * _bytes(
    jax.eval_shape(
      lambda key: design.student.init(key, config.image), jax.random.PRNGKey(0)
    )
  )
  refine = config.refine
  pool = refine.pool_batches * refine.batch * image if refine.steps else 0
  batch = 4 * image  # float32
  return {
    'generator': (
      teachers + generator + batch * config.generator.batch,
      'generator.widths, student.widths, generator.batch',
    ),
    'targetnet': (
      teachers + generator // 3 + student + batch * config.targetnet.batch,
      'student.widths, targetnet.batch',
    ),
    'refine': (
      teachers + generator + student + pool + batch * refine.batch,
      'refine.pool_batches, refine.batch, image',
    ),
  }


def _bytes(tree: Any) -> int:
  return sum(
    math.prod(x.shape) * np.dtype(x.dtype).itemsize
    for x in jax.tree.leaves(tree)
  )
