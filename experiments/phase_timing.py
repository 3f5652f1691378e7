"""Times the training steps of an experiment's phases, without training them.

Teachers are untrained and images random: neither changes what a step costs.
"""

import dataclasses
import functools
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from dualgan_jax.config import schema
from dualgan_jax.experiment import drawn_teachers, stage_runners
from dualgan_jax.experiment.context import LastStageDone, RunContext
from dualgan_jax.experiment.nets import build_nets
from dualgan_jax.training import parallel
from dualgan_jax.training.image_batches import RealImages
from dualgan_jax.training.phase import Phase, TrainState

MEASURED_STAGES = ('pretrain', 'generator', 'dual', 'targetnet', 'refine')
# Sides of the matrices whose product reaches the peak, by platform: large
# enough to fill a device, small enough to take seconds.
_MATRIX_SIDES = {'cpu': 2048}
_DEFAULT_MATRIX_SIDE = 8192
_NUM_IMAGES = 1024  # random images of a teacher's data set


def measure_experiment(
  config: ml_collections.ConfigDict,
  devices: Sequence[jax.Device],
  repeats: int,
  stages: Sequence[str] = MEASURED_STAGES,
) -> list[dict]:
  """Measures the phases that an experiment trains, without routing.

  Args:
    config: a config of `experiments/configs`.
    devices: devices to run on.
    repeats: steps to time.
    stages: stages whose phases are measured; all others are only built.

  Returns:
    One row per phase, as `measure_phase` returns it, with its name as `phase`
    and its `share` of the peak.
  """
  context = _measuring_context(config, devices, repeats, stages)
  stage_runners.run_stages(context)
  return context.rows


def measure_generator(
  config: ml_collections.ConfigDict,
  devices: Sequence[jax.Device],
  repeats: int,
) -> dict:
  """Measures stage `generator` only; see `measure_experiment`.

  Args:
    config: a config of `experiments/configs`.
    devices: devices to run on.
    repeats: steps to time.

  Returns:
    The row of its only phase.
  """
  context = _measuring_context(
    config, devices, repeats, ('generator',), last_stage='generator'
  )
  stage_runners.run_stages(context)
  (row,) = context.rows
  return row


def build_phases(
  config: ml_collections.ConfigDict,
  devices: Sequence[jax.Device],
  last_stage: str,
) -> 'BuildingContext':
  """Builds the phases of an experiment up to a stage, without routing.

  Args:
    config: a config of `experiments/configs`.
    devices: devices that the phases are built for.
    last_stage: the stage after which nothing is built.

  Returns:
    A context that holds the phases.
  """
  context = BuildingContext(*_run_parts(config), list(devices), last_stage)
  stage_runners.run_stages(context)
  return context


def measure_phase(
  phase: Phase,
  key: jax.Array,
  devices: Sequence[jax.Device],
  batch: int,
  repeats: int,
) -> tuple[TrainState, dict]:
  """Compiles a phase's step and times it.

  Args:
    phase: any phase.
    key: random key of its first state.
    devices: devices to run on.
    batch: images per step.
    repeats: steps to time, after one that is not timed.

  Returns:
    The last state, and figures: `ms` per step (the median), `images` per
    second, `gflop` per step and device, `gflops` per second and device,
    seconds of `compile`, `mb` of memory per device beside the code.
  """
  step = parallel.compile_step(phase.step, devices)
  frozen = parallel.replicate(phase.frozen(), devices)
  state = parallel.replicate(jax.jit(phase.init)(key), devices)
  lowered = step.lower(frozen, state)
  start = time.perf_counter()
  compiled = lowered.compile()
  compile_seconds = time.perf_counter() - start
  # GPUs and TPUs count only what they have compiled.
  costs = lowered.cost_analysis() or compiled.cost_analysis()
  gflop = costs['flops'] / 1e9
  memory = compiled.memory_analysis()

  step_seconds = []
  for _ in range(repeats + 1):
    start = time.perf_counter()
    state, metrics = compiled(frozen, state)
    jax.block_until_ready((state, metrics))
    step_seconds.append(time.perf_counter() - start)
  median_seconds = statistics.median(step_seconds[1:])
  return parallel.first_replica(state), {
    'phase': phase.name,
    'ms': 1e3 * median_seconds,
    'images': batch / median_seconds,
    'gflop': gflop,
    'gflops': gflop / median_seconds,
    'compile': compile_seconds,
    'mb': (memory.argument_size_in_bytes + memory.temp_size_in_bytes) / 1e6,
  }


@functools.cache
def measure_peak(device: jax.Device, dtype: jnp.dtype) -> float:
  """Measures what one large matrix product reaches on a device.

  Args:
    device: the device.
    dtype: type of the matrices' numbers.

  Returns:
    GFLOP per second, of the fastest of three products.
  """
  side = _MATRIX_SIDES.get(device.platform, _DEFAULT_MATRIX_SIDE)
  matrix = jax.device_put(jnp.ones((side, side), dtype), device)
  multiply = jax.jit(jnp.dot)
  jax.block_until_ready(multiply(matrix, matrix))  # compiles
  product_seconds = []
  for _ in range(3):
    start = time.perf_counter()
    jax.block_until_ready(multiply(matrix, matrix))
    product_seconds.append(time.perf_counter() - start)
  return 2 * side**3 / min(product_seconds) / 1e9


class _FinishedFolder:
  """A run's folder in which everything is finished: nothing is written."""

  def finished(self, stage: str) -> bool:
    return True


@dataclasses.dataclass
class _DisklessContext(RunContext):
  """Goes through the phases of a run, with nothing on disk."""

  stage: str = ''

  def run_stage(self, stage: str, work: Callable, *inputs: Any) -> Any:
    """Calls `work`, and records nothing."""
    self.stage = stage
    outcome = work(self, *inputs)
    if stage == self.last_stage:
      raise LastStageDone
    return outcome


@dataclasses.dataclass
class _MeasuringContext(_DisklessContext):
  """Measures each phase instead of training it."""

  repeats: int = 1
  peak_gflops: float = 0.0
  measured_stages: Sequence[str] = ()
  rows: list[dict] = dataclasses.field(default_factory=list)

  def train(self, phase: Phase) -> TrainState:
    """Measures a few steps of a phase, and returns the last state."""
    if self.stage not in self.measured_stages:
      # After a step that changed nothing: a mean over no steps is none.
      return jax.jit(phase.init)(self.key(phase.name)).replace(step=1)
    if self.stage == 'pretrain':
      teacher_name = phase.name.partition('/')[2]
      num_labels = len(self.config.teachers[teacher_name].labels)
      phase = dataclasses.replace(
        phase,
        frozen=lambda: _random_images(self.config.image_shape, num_labels),
      )
    state, row = measure_phase(
      phase,
      self.key(phase.name),
      self.devices,
      getattr(self.config, self.stage).batch,
      self.repeats,
    )
    # The tables come last, and large nets take an hour.
    print(f'{phase.name}: {row["ms"]:.4g} ms', file=sys.stderr, flush=True)
    self.rows.append({**row, 'share': row['gflops'] / self.peak_gflops})
    return state


@dataclasses.dataclass
class BuildingContext(_DisklessContext):
  """Builds each phase and its first state instead of training it.

  Attributes:
    built_phases: by name, phases and their first states as NumPy arrays.
  """

  built_phases: dict[str, tuple[Phase, TrainState]] = dataclasses.field(
    default_factory=dict
  )

  def train(self, phase: Phase) -> TrainState:
    """Returns the state before the first step, as NumPy arrays."""
    state = jax.jit(phase.init)(self.key(phase.name))
    state = jax.tree.map(np.asarray, state)
    self.built_phases[phase.name] = phase, state
    return state


def _measuring_context(
  config: ml_collections.ConfigDict,
  devices: Sequence[jax.Device],
  repeats: int,
  stages: Sequence[str],
  last_stage: str = 'baselines',
) -> _MeasuringContext:
  dtype = jnp.bfloat16 if config.precision == 'bfloat16' else jnp.float32
  return _MeasuringContext(
    *_run_parts(config),
    list(devices),
    last_stage,
    repeats=repeats,
    measured_stages=stages,
    peak_gflops=measure_peak(devices[0], dtype),
  )


def _run_parts(config: ml_collections.ConfigDict) -> tuple:
  """Returns config, nets and folder of a run that is not routed."""
  # Routing is decided by training.
  with config.unlocked():
    config.objective.routing = 'off'
  checked_config = schema.check(config)
  nets = build_nets(checked_config)
  return drawn_teachers.fill_in(checked_config, nets), nets, _FinishedFolder()


def _random_images(
  image_shape: tuple[int, int, int], num_labels: int
) -> RealImages:
  rng = np.random.default_rng(0)
  return RealImages(
    rng.integers(0, 256, (_NUM_IMAGES, *image_shape), dtype=np.uint8),
    rng.integers(0, 2, (_NUM_IMAGES, num_labels)).astype(np.float32),
  )
