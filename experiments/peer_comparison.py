"""Compares the generator's step with that of `experiments.peer`, in PyTorch."""

import math
import statistics
import time

import jax
import ml_collections

from dualgan_jax.config import builders
from dualgan_jax.stages import generator
from dualgan_jax.training import parallel
from dualgan_jax.training.phase import Phase, TrainState
from experiments import phase_timing


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
  config: ml_collections.ConfigDict, repeats: int
) -> dict[str, dict[str, float]]:
  """Times the generator's step, here and in PyTorch, in turn.

  Args:
    config: a config of `experiments/configs` that has a peer.
    repeats: steps to time of each form, after one that is not timed.

  Returns:
    By form, `ms` per step, the median, and `against_ours`, the median of its
    time over that of our step before it.
  """
  from experiments import peer  # needs PyTorch

  state, phase, peer_stages = build_peers(config)
  devices = jax.local_devices()[:1]
  step = parallel.compile_step(phase.step, devices)
  frozen = parallel.replicate(phase.frozen(), devices)
  replicated_state = parallel.replicate(state, devices)
  generator_config = config.generator

  def run_our_step():
    nonlocal replicated_state
    replicated_state, metrics = step(frozen, replicated_state)
    jax.block_until_ready((replicated_state, metrics))

  run_steps = {'JAX': run_our_step}
  for form, peer_stage in peer_stages.items():
    run_steps[f'PyTorch, {form}'] = peer.make_training_step(
      peer_stage,
      generator_config.batch,
      generator_config.latent_dim,
      generator_config.learning_rate,
      generator.ADAM_B1,
    )
  # In turn, so that whatever else the core does slows all of them.
  seconds = {form: [] for form in run_steps}
  for _ in range(repeats + 1):
    for form, run_step in run_steps.items():
      start = time.perf_counter()
      run_step()
      seconds[form].append(time.perf_counter() - start)

  # The first step compiles.
  our_seconds = seconds['JAX'][1:]
  return {
    form: {
      'ms': 1e3 * statistics.median(form_seconds[1:]),
      'against_ours': statistics.median(
        duration / our_duration
        for duration, our_duration in zip(
          form_seconds[1:], our_seconds, strict=True
        )
      ),
    }
    for form, form_seconds in seconds.items()
  }


def build_peers(
  config: ml_collections.ConfigDict,
) -> tuple[TrainState, Phase, dict]:
  """Builds the generator's phase, and the same in PyTorch.

  Args:
    config: a config of `experiments/configs` that has a peer.

  Returns:
    The first state, the phase, and, by form, PyTorch's module.
  """
  from experiments import peer  # needs PyTorch

  devices = list(jax.local_devices()[:1])
  context = phase_timing.build_phases(config, devices, last_stage='generator')
  phase, state = context.built_phases['generator/train']
  peer_stages = {
    form: peer.Stage(
      state.params,
      {teacher.name: teacher.variables for teacher in phase.frozen()},
      context.config.student.strides,
      context.nets.generator.sizes,
      context.config.objective,
      ladder=ladder,
    )
    for form, ladder in (('ladder', True), ('one pass per group', False))
  }
  return state, phase, peer_stages
