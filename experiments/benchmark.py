"""How fast each training step is, and what it costs.

    python -m experiments.benchmark [--experiments=digits,mnist,cifar10] \\
        [--stage=generator] [--repeats=20] [--json=FILE] [--peer]

Builds the phases of experiments as `experiments.main` would without routing, on
untrained teachers and random images, and prints time, FLOPs and memory per
step: of every phase up to `refine`, or only of one stage's, and of the
generator's step of `digits` against the number of teachers M, of blocks B and
of devices, as many as there are
(`JAX_NUM_CPU_DEVICES=8` simulates eight on a CPU). FLOPs are XLA's count of a
device's program before it optimises; their share is of what one large matrix
product reaches on that device, in the precision of the experiment. Nothing is
taken from the cache of compiled programs.

`--peer` measures something else: the generator's step here and in PyTorch
(`experiments/peer.py`, extra `torch`), each on the same one core of a CPU, in
turn, from the same weights. It takes experiments of the default objective whose
teachers are of kind 'conv', with batch norm, independent labels, none of them
common, and strides that divide the image.
"""

from dualgan_jax.cli import signals

if __name__ == '__main__':
  signals.exit_on_signals('stopped')  # also while modules are imported

import dataclasses
import functools
import importlib
import importlib.util
import json
import math
import os
import pathlib
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from absl import app, flags, logging

from dualgan_jax import display, errors
from dualgan_jax.config import builders, schema
from dualgan_jax.experiment import stage_runners
from dualgan_jax.experiment.context import LastStageDone, RunContext
from dualgan_jax.experiment.nets import build_nets
from dualgan_jax.presets import digits
from dualgan_jax.stages import generator
from dualgan_jax.training import parallel
from dualgan_jax.training.image_batches import RealImages
from dualgan_jax.training.phase import Phase, TrainState

_EXPERIMENTS = flags.DEFINE_list(
  'experiments', ['digits', 'mnist', 'cifar10'], 'Configs, by their names.'
)
_TRAINED = ('pretrain', 'generator', 'dual', 'targetnet', 'refine')
_STAGES = flags.DEFINE_multi_enum(
  'stage', _TRAINED, _TRAINED, 'Only this stage; may be repeated.'
)
_REPEATS = flags.DEFINE_integer('repeats', 20, 'Steps to time.', lower_bound=1)
_JSON = flags.DEFINE_string('json', None, 'Also write all figures here.')
_PEER = flags.DEFINE_bool(
  'peer', False, "Only the generator's step, against PyTorch's, on one core."
)
# Of the matrices whose product is the measured peak: large enough to be one.
_SIDES = {'cpu': 2048}
_SIDE_ELSEWHERE = 8192


def main(argv: Sequence[str]) -> None:
  """Measures, and prints."""
  if argv[1:]:
    raise app.UsageError(f'{argv[1]}: not a flag.', exitcode=2)
  logging.set_verbosity(logging.WARNING)
  jax.config.update('jax_enable_compilation_cache', False)
  if _JSON.value and not pathlib.Path(_JSON.value).absolute().parent.is_dir():
    raise app.UsageError(
      f'--json={_JSON.value}: there is no such folder.', exitcode=2
    )
  configs = {name: _config(name) for name in _EXPERIMENTS.value}
  try:
    figures = _peers(configs) if _PEER.value else _phases(configs)
  except errors.UserError as e:
    raise app.UsageError(str(e), exitcode=e.exit_code) from e
  if _JSON.value:
    pathlib.Path(_JSON.value).write_text(json.dumps(figures, indent=1) + '\n')


def _phases(configs):
  devices = parallel.choose_devices()
  figures = {
    'device': f'{len(devices)} × {devices[0].device_kind}',
    'experiments': {
      name: experiment(config, devices, _REPEATS.value, _STAGES.value)
      for name, config in configs.items()
    },
    'sizes': sizes(devices[:1], _REPEATS.value),
    'devices': shares(devices, _REPEATS.value),
  }
  print(figures['device'])
  for name, rows in figures['experiments'].items():
    print(f'\n{name}\n{_table(rows)}')
  print(f'\ngenerator/train, one device\n{_table(figures["sizes"])}')
  print(f'\ngenerator/train, per device\n{_table(figures["devices"])}')
  return figures


def _peers(configs):
  if importlib.util.find_spec('torch') is None:
    raise app.UsageError(
      "--peer: needs PyTorch; pip install '.[torch]' brings it.", exitcode=2
    )
  if not hasattr(os, 'sched_setaffinity'):
    raise app.UsageError(
      '--peer: only Linux lets it keep to one core.', exitcode=2
    )
  for name, config in configs.items():
    if not _has_peer(config):
      raise app.UsageError(
        f'--experiments={name}: --peer takes the default objective, and '
        "teachers of kind 'conv' with batch norm, independent labels, none of "
        'them common, and strides that divide the image; name others, like '
        'mnist.',
        exitcode=2,
      )
  # Before JAX counts the cores that it may use.
  os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
  figures = {}
  for name, config in configs.items():
    figures[name] = compare(config, _REPEATS.value)
    print(f'{name}: generator/train, one core')
    for form, row in figures[name].items():
      print(f'{row["ms"]:8.1f} ms, {row["against_ours"]:.2f} of ours: {form}')
  return figures


def _has_peer(config):
  teachers = config.teachers.values()
  labels = [label for teacher in teachers for label in teacher.labels]
  return (
    config.objective == builders.get_config().objective
    and len({*labels}) == len(labels)
    and all(
      teacher.get('kind') == 'conv'
      and teacher.batch_norm
      and not teacher.single_label
      and not any(
        length % math.prod(teacher.strides) for length in config.image[:2]
      )
      for teacher in teachers
    )
  )


def experiment(
  config: ml_collections.ConfigDict,
  devices: Sequence[jax.Device],
  repeats: int,
  stages: Sequence[str] = _TRAINED,
) -> list[dict]:
  """Figures of the phases that an experiment trains, without routing.

  Args:
    config: as `experiments/configs` make them.
    devices: to run on.
    repeats: steps to time.
    stages: whose phases to measure; all others are only built.

  Returns:
    One row per phase, as `measure` gives it.
  """
  context = _measuring(config, devices, repeats, stages)
  stage_runners.run_stages(context)
  return context.rows


def compare(
  config: ml_collections.ConfigDict, repeats: int
) -> dict[str, dict[str, float]]:
  """The generator's step, here and in PyTorch, in turn.

  Args:
    config: as `experiments/configs` make them.
    repeats: steps to time of each, after one that is not.

  Returns:
    By form, `ms` per step, the median, and `against_ours`, the median of its
    time over that of our step before it.
  """
  from experiments import peer  # needs PyTorch

  state, phase, stages = peers(config)
  devices = jax.local_devices()[:1]
  step = parallel.compile_step(phase.step, devices)
  frozen = parallel.replicate(phase.frozen(), devices)
  held = [parallel.replicate(state, devices)]
  training = config.generator

  def ours():
    held[0], metrics = step(frozen, held[0])
    jax.block_until_ready((held[0], metrics))

  forms = {
    'JAX': ours,
    **{
      f'PyTorch, {form}': peer.training(
        stage,
        training.batch,
        training.noise,
        training.learning_rate,
        generator.ADAM_B1,
      )
      for form, stage in stages.items()
    },
  }
  times = {form: [] for form in forms}
  for _ in range(repeats + 1):
    for form, run in forms.items():
      began = time.perf_counter()
      run()
      times[form].append(time.perf_counter() - began)
  return {
    form: {
      'ms': 1e3 * statistics.median(durations[1:]),
      'against_ours': statistics.median(
        x / y for x, y in zip(durations[1:], times['JAX'][1:], strict=True)
      ),
    }
    for form, durations in times.items()
  }


def peers(config: ml_collections.ConfigDict) -> tuple[TrainState, Phase, dict]:
  """The generator's phase, its first state, and PyTorch's forms of it."""
  from experiments import peer

  devices = list(jax.local_devices()[:1])
  context = _Untrained(*_parts(config), devices, last_stage='generator')
  stage_runners.run_stages(context)
  phase, state = context.built['generator/train']
  stages = {
    form: peer.Stage(
      state.params,
      {teacher.name: teacher.variables for teacher in phase.frozen()},
      context.config.student.strides,
      context.nets.generator.sizes,
      context.nets.loss_weights,
      ladder=ladder,
    )
    for form, ladder in (('ladder', True), ('one pass per group', False))
  }
  return state, phase, stages


def sizes(devices: Sequence[jax.Device], repeats: int) -> list[dict]:
  """The generator's step against the number of teachers M and of blocks B."""
  return [
    _generator(
      f'M = {num_teachers}, B = {blocks}',
      _sized(num_teachers, blocks),
      devices,
      repeats,
    )
    for num_teachers, blocks in ((1, 3), (2, 3), (4, 3), (8, 3), (2, 2), (2, 4))
  ]


def shares(devices: Sequence[jax.Device], repeats: int) -> list[dict]:
  """The generator's step on 1, 2, 4, ... of the devices."""
  counts = [2**i for i in range(len(devices).bit_length())]
  return [
    _generator(f'{n} devices', digits.get_config(), devices[:n], repeats)
    for n in counts
  ]


def _generator(name, config, devices, repeats):
  context = _measuring(
    config, devices, repeats, ('generator',), last_stage='generator'
  )
  stage_runners.run_stages(context)
  (row,) = context.rows
  return {**row, 'phase': name}


def measure(
  phase: Phase,
  key: jax.Array,
  devices: Sequence[jax.Device],
  batch: int,
  repeats: int,
) -> tuple[TrainState, dict]:
  """Compiles a phase's step and times it.

  Args:
    phase: any.
    key: of its first state.
    devices: to run on.
    batch: images per step.
    repeats: steps to time, after one that is not.

  Returns:
    The state at last, and figures: `ms` per step (the median), `images` per
    second, `gflop` per step and device, `gflops` per second and device,
    seconds of `compile`, `mb` of memory per device beside the code.
  """
  step = parallel.compile_step(phase.step, devices)
  frozen = parallel.replicate(phase.frozen(), devices)
  state = parallel.replicate(jax.jit(phase.init)(key), devices)
  lowered = step.lower(frozen, state)
  began = time.perf_counter()
  compiled = lowered.compile()
  spent = time.perf_counter() - began
  # GPUs and TPUs count only what they have compiled.
  counted = lowered.cost_analysis() or compiled.cost_analysis()
  gflop = counted['flops'] / 1e9
  memory = compiled.memory_analysis()
  times = []
  for _ in range(repeats + 1):
    began = time.perf_counter()
    state, metrics = compiled(frozen, state)
    jax.block_until_ready((state, metrics))
    times.append(time.perf_counter() - began)
  median = statistics.median(times[1:])
  return parallel.first_replica(state), {
    'phase': phase.name,
    'ms': 1e3 * median,
    'images': batch / median,
    'gflop': gflop,
    'gflops': gflop / median,
    'compile': spent,
    'mb': (memory.argument_size_in_bytes + memory.temp_size_in_bytes) / 1e6,
  }


@functools.cache
def peak(device: jax.Device, dtype: jnp.dtype) -> float:
  """GFLOP per second that one large matrix product reaches."""
  side = _SIDES.get(device.platform, _SIDE_ELSEWHERE)
  x = jax.device_put(jnp.ones((side, side), dtype), device)
  product = jax.jit(jnp.dot)
  jax.block_until_ready(product(x, x))
  times = []
  for _ in range(3):
    began = time.perf_counter()
    jax.block_until_ready(product(x, x))
    times.append(time.perf_counter() - began)
  return 2 * side**3 / min(times) / 1e9


class _Nothing:
  """A run's folder in which everything is finished: nothing is written."""

  def finished(self, stage: str) -> bool:
    return True


@dataclasses.dataclass
class _Phases(RunContext):
  """Goes through the phases of a run, with nothing on disk."""

  stage: str = ''

  def run_stage(self, stage: str, work: Callable, *inputs: Any) -> Any:
    """Calls `work`, and records nothing."""
    self.stage = stage
    value = work(self, *inputs)
    if stage == self.last_stage:
      raise LastStageDone
    return value


@dataclasses.dataclass
class _Measured(_Phases):
  """Measures each phase instead of training it."""

  repeats: int = 1
  peak: float = 0.0
  measured: Sequence[str] = ()
  rows: list[dict] = dataclasses.field(default_factory=list)

  def train(self, phase: Phase) -> TrainState:
    """A few steps of a phase, measured."""
    if self.stage not in self.measured:
      # After a step that changed nothing: a mean over no steps is none.
      return jax.jit(phase.init)(self.key(phase.name)).replace(step=1)
    if self.stage == 'pretrain':
      name = phase.name.partition('/')[2]
      labels = len(self.config.teachers[name].labels)
      phase = dataclasses.replace(
        phase, frozen=lambda: _images(self.config.image, labels)
      )
    state, row = measure(
      phase,
      self.key(phase.name),
      self.devices,
      self.config[self.stage].batch,
      self.repeats,
    )
    # The tables come last, and large nets take an hour.
    print(f'{phase.name}: {row["ms"]:.4g} ms', file=sys.stderr, flush=True)
    self.rows.append({**row, 'share': row['gflops'] / self.peak})
    return state


@dataclasses.dataclass
class _Untrained(_Phases):
  """Keeps each phase and its first state instead of training it."""

  built: dict[str, tuple] = dataclasses.field(default_factory=dict)

  def train(self, phase: Phase) -> TrainState:
    """The state before the first step, as NumPy arrays."""
    state = jax.jit(phase.init)(self.key(phase.name))
    self.built[phase.name] = phase, jax.tree.map(np.asarray, state)
    return self.built[phase.name][1]


def _parts(config):
  """Of a run that is not routed: its config, its nets and its folder."""
  with config.unlocked():
    config.objective.routing = 'off'
    config.generator.features = config.student.widths[:-1]
  checked = schema.check(config)
  return checked, build_nets(checked), _Nothing()


def _measuring(config, devices, repeats, stages, last_stage='baselines'):
  half = config.precision == 'bfloat16'
  return _Measured(
    *_parts(config),
    list(devices),
    last_stage,
    repeats=repeats,
    measured=stages,
    peak=peak(devices[0], jnp.bfloat16 if half else jnp.float32),
  )


def _config(name):
  module, _, variants = name.partition(':')
  try:
    configs = importlib.import_module(f'experiments.configs.{module}')
    return configs.get_config(variants)
  # `base` and `objectives` are no experiments.
  except (ImportError, AttributeError, TypeError, ValueError) as e:
    raise app.UsageError(
      f'--experiments={name}: no experiment ({e}); name some of '
      'experiments/configs.',
      exitcode=2,
    ) from e


def _sized(num_teachers, blocks):
  """`digits` with M teachers of two labels each, all of B blocks."""
  config = digits.get_config()
  strides = (2, 2, 1, 1)[:blocks]
  names = [f'{i}{j}' for i in range(num_teachers) for j in 'ab']
  config.labels = tuple(names)
  config.teachers = {
    f'teacher{i}': builders.teacher(
      tuple(names[2 * i : 2 * i + 2]),
      'digits',
      builders.conv((24, 48, 96, 96)[:blocks], strides),
    )
    for i in range(num_teachers)
  }
  config.student = builders.conv((16, 32, 64, 64)[:blocks], strides)
  config.generator.widths = (64, 32, 16, 16)[:blocks]
  return config


def _images(image, labels):
  rng = np.random.default_rng(0)
  return RealImages(
    rng.integers(0, 256, (1024, *image), dtype=np.uint8),
    rng.integers(0, 2, (1024, labels)).astype(np.float32),
  )


def _table(rows):
  columns = {
    'ms': 'ms per step',
    'images': 'images per s',
    'gflop': 'GFLOP per step',
    'gflops': 'GFLOP per s',
    'share': 'share of peak',
    'compile': 'compile s',
    'mb': 'MB',
  }
  lines = [['', *columns.values()], ['---', *['---:'] * len(columns)]]
  for row in rows:
    cells = [
      f'{row[k]:.0%}' if k == 'share' else f'{float(f"{row[k]:.4g}"):g}'
      for k in columns
    ]
    lines.append([row['phase'], *cells])
  return display.align(lines)


if __name__ == '__main__':
  app.run(main)
