"""Times the generator's step of one program, ours or one in PyTorch.

    python -m experiments.peer_program digits \\
        --program='PyTorch, ladder, compiled' --repeats=15 --cores=0,1

prints the seconds of each step as a list of JSON. `python -m
experiments.benchmark --peer` runs it once for each program, so that no
program's threads slow another's.
"""

import argparse
import importlib
import json
import os
import time
from collections.abc import Callable, Sequence

import jax
import ml_collections

from dualgan_jax.stages import generator
from dualgan_jax.training import parallel
from dualgan_jax.training.phase import Phase, TrainState
from experiments import phase_timing

OURS = 'JAX'
# How a teacher answers, and how PyTorch runs it.
FORMS = ('ladder', 'one pass per group')
MODES = ('eager', 'channels_last', 'compiled')
PROGRAMS = (
  OURS,
  *(f'PyTorch, {form}, {mode}' for form in FORMS for mode in MODES),
)
# Steps before the timed ones: the first compiles, and PyTorch's second may.
_NUM_WARM_UP_STEPS = 2


def build_generator_phase(
  config: ml_collections.ConfigDict, devices: Sequence[jax.Device]
) -> tuple[phase_timing.BuildingContext, Phase, TrainState]:
  """Builds the generator's phase, untrained.

  Args:
    config: a config of `experiments/configs` that has a peer.
    devices: devices that the phase is built for.

  Returns:
    What it was built from, the phase, and its first state.
  """
  context = phase_timing.build_phases(
    config, list(devices), last_stage='generator'
  )
  return context, *context.built_phases['generator/train']


def build_peer_stage(config: ml_collections.ConfigDict, form: str):
  """Builds the same in PyTorch, with the same weights.

  Args:
    config: a config of `experiments/configs` that has a peer.
    form: one of `FORMS`.

  Returns:
    A `peer.Stage`.
  """
  from experiments import peer  # needs PyTorch

  context, phase, state = build_generator_phase(config, jax.local_devices()[:1])
  return peer.Stage(
    state.params,
    {teacher.name: teacher.variables for teacher in phase.frozen()},
    context.config.student.strides,
    context.nets.generator.sizes,
    context.config.objective,
    ladder=form == 'ladder',
  )


def _make_our_step(config: ml_collections.ConfigDict) -> Callable[[], None]:
  """Makes a function that does one step on all devices."""
  devices = parallel.choose_devices()
  _, phase, first_state = build_generator_phase(config, devices)
  step = parallel.compile_step(phase.step, devices)
  frozen = parallel.replicate(phase.frozen(), devices)
  state = parallel.replicate(first_state, devices)

  def run_step():
    nonlocal state
    state, metrics = step(frozen, state)
    jax.block_until_ready((state, metrics))

  return run_step


def _make_peer_step(
  config: ml_collections.ConfigDict, form: str, mode: str, num_threads: int
) -> Callable[[], None]:
  """Makes a function that does one step in PyTorch."""
  from experiments import peer  # needs PyTorch

  generator_config = config.generator
  return peer.make_training_step(
    build_peer_stage(config, form),
    generator_config.batch,
    generator_config.latent_dim,
    generator_config.learning_rate,
    generator.ADAM_B1,
    mode=mode,
    num_threads=num_threads,
  )


def measure(run_step: Callable[[], None], repeats: int) -> list[float]:
  """Times steps.

  Args:
    run_step: does one step, and waits for its end.
    repeats: steps to time, after some that are not.

  Returns:
    Seconds of each timed step.
  """
  seconds = []
  for _ in range(_NUM_WARM_UP_STEPS + repeats):
    start = time.perf_counter()
    run_step()
    seconds.append(time.perf_counter() - start)
  return seconds[_NUM_WARM_UP_STEPS:]


def main() -> None:
  """Measures what the command line names."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('experiment', help='Name of a config.')
  parser.add_argument('--program', choices=PROGRAMS, default=OURS)
  parser.add_argument('--repeats', type=int, default=15)
  parser.add_argument('--cores', default='0', help='Cores to keep to.')
  arguments = parser.parse_args()
  cores = [int(core) for core in arguments.cores.split(',')]
  name, _, variants = arguments.experiment.partition(':')
  config_module = importlib.import_module(f'experiments.configs.{name}')
  config = config_module.get_config(variants)

  # Threads that are started from here on keep to these cores.
  os.sched_setaffinity(0, cores)
  if arguments.program == OURS:
    run_step = _make_our_step(config)
  else:
    _, form, mode = arguments.program.split(', ')
    run_step = _make_peer_step(config, form, mode, len(cores))
  print(json.dumps(measure(run_step, arguments.repeats)))


if __name__ == '__main__':
  main()
