"""Compares the generator's step with that of `experiments.peer`, in PyTorch."""

import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence

import ml_collections

from dualgan_jax.config import builders
from experiments import peer_program


def has_peer(config: ml_collections.ConfigDict) -> bool:
  """Returns whether `experiments.peer` has all that a config needs.

  Args:
    config: a config of `experiments/configs`.
  """
  teachers = config.teachers.values()
  labels = [label for teacher in teachers for label in teacher.labels]
  height, width, _ = config.image_shape
  return (
    config.objective == builders.get_config().objective
    and len({*labels}) == len(labels)
    and all(
      teacher.get('kind') == 'conv'
      and teacher.batch_norm
      and not teacher.single_label
      and not any(side % math.prod(teacher.strides) for side in (height, width))
      for teacher in teachers
    )
  )


def compare_steps(
  experiment: str,
  repeats: int,
  cores: Sequence[int],
  programs: Sequence[str] = peer_program.PROGRAMS,
) -> dict[str, dict[str, float]]:
  """Times the generator's step of each program, in a process of its own.

  Args:
    experiment: name of a config that has a peer.
    repeats: steps to time of each program.
    cores: cores that each program may use; ours takes each as a device.
    programs: what to time, ours first.

  Returns:
    By program, `ms` per step, the median, and `against_ours`, that over ours.

  Raises:
    subprocess.CalledProcessError: a program failed.
  """
  milliseconds = {
    program: 1e3
    * statistics.median(_time_steps(experiment, program, repeats, cores))
    for program in programs
  }
  return {
    program: {'ms': ms, 'against_ours': ms / milliseconds[programs[0]]}
    for program, ms in milliseconds.items()
  }


def _time_steps(
  experiment: str, program: str, repeats: int, cores: Sequence[int]
) -> list[float]:
  """Runs `peer_program`, and returns the seconds of each step."""
  command = [
    sys.executable,
    '-m',
    peer_program.__name__,
    experiment,
    f'--program={program}',
    f'--repeats={repeats}',
    f'--cores={",".join(map(str, cores))}',
  ]
  finished = subprocess.run(
    command,
    check=True,
    stdout=subprocess.PIPE,
    text=True,
    env={**os.environ, 'JAX_NUM_CPU_DEVICES': str(len(cores))},
  )
  return json.loads(finished.stdout.splitlines()[-1])
