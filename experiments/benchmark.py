"""How fast each training step is, and what it costs.

    python -m experiments.benchmark [--experiments=digits,mnist,cifar10] \\
        [--stage=generator] [--repeats=20] [--json=FILE] [--peer] \\
        [--student=FOLDER]

Builds the phases of experiments as `experiments.main` would without routing, on
untrained teachers and random images, and prints time, FLOPs and memory per
step: of every phase up to `refine`, or only of one stage's, and of the
generator's step of `digits` against the number of teachers M, of blocks B and
of devices, as many as there are
(`JAX_NUM_CPU_DEVICES=8` simulates eight on a CPU). FLOPs are XLA's count of a
device's program before it optimises; their share is of what one large matrix
product reaches on that device, in the precision of the experiment. Nothing is
taken from the cache of compiled programs.

`--student=FOLDER` measures something else: how long a trained student's
`predict` takes beside its jitted net, for one image and for several.

`--peer` measures something else, too: the generator's step here and in PyTorch
(`experiments/peer.py`, extra `torch`), eager, in the layout `channels_last` and
compiled, from the same weights, each program in a process of its own, first on
one core of a CPU and then on all. It takes experiments of the default objective
whose teachers are of kind 'conv', with batch norm, independent labels, none of
them common, and strides that divide the image.
"""

from dualgan_jax.cli import signals

if __name__ == '__main__':
  signals.exit_on_signals('stopped')  # also while modules are imported

import importlib
import importlib.util
import json
import os
import pathlib
from collections.abc import Mapping, Sequence

import jax
import ml_collections
from absl import app, flags, logging

from dualgan_jax import display, errors
from dualgan_jax.config import builders
from dualgan_jax.presets import digits
from dualgan_jax.training import parallel
from experiments import peer_comparison, phase_timing, student_timing
from experiments.phase_timing import MEASURED_STAGES

_EXPERIMENTS = flags.DEFINE_list(
  'experiments', ['digits', 'mnist', 'cifar10'], 'Configs, by their names.'
)
_STAGES = flags.DEFINE_multi_enum(
  'stage',
  MEASURED_STAGES,
  MEASURED_STAGES,
  'Only this stage; may be repeated.',
)
_REPEATS = flags.DEFINE_integer('repeats', 20, 'Steps to time.', lower_bound=1)
_JSON = flags.DEFINE_string('json', None, 'Also write all figures here.')
_PEER = flags.DEFINE_bool(
  'peer', False, "Only the generator's step, against PyTorch's."
)
_STUDENT = flags.DEFINE_string(
  'student', None, "Only the answers of this student's folder."
)
# (number of teachers M, number of blocks B) to measure.
_NET_SIZES = ((1, 3), (2, 3), (4, 3), (8, 3), (2, 2), (2, 4))
# Columns of the tables, by the names of the figures.
_COLUMNS = {
  'ms': 'ms per step',
  'images': 'images per s',
  'gflop': 'GFLOP per step',
  'gflops': 'GFLOP per s',
  'share': 'share of peak',
  'compile': 'compile s',
  'mb': 'MB',
}


def main(argv: Sequence[str]) -> None:
  """Measures what the flags name, and prints tables.

  Args:
    argv: the program's name and its arguments.
  """
  if argv[1:]:
    raise app.UsageError(f'{argv[1]}: not a flag.', exitcode=2)
  logging.set_verbosity(logging.WARNING)
  # Or compiling would take no time.
  jax.config.update('jax_enable_compilation_cache', False)
  # Measuring may take an hour, so that a wrong path is an error now.
  if _JSON.value and not pathlib.Path(_JSON.value).absolute().parent.is_dir():
    raise app.UsageError(
      f'--json={_JSON.value}: there is no such folder.', exitcode=2
    )
  configs = {name: _load_config(name) for name in _EXPERIMENTS.value}
  try:
    if _STUDENT.value:
      figures = _measure_student(_STUDENT.value)
    elif _PEER.value:
      figures = _compare_with_peer(configs)
    else:
      figures = _measure_all(configs)
  except errors.UserError as error:
    raise app.UsageError(str(error), exitcode=error.exit_code) from error
  if _JSON.value:
    pathlib.Path(_JSON.value).write_text(json.dumps(figures, indent=1) + '\n')


def _load_config(name: str) -> ml_collections.ConfigDict:
  """Loads a config of ours by its name, as 'digits' or 'mnist:plain'."""
  module_name, _, variants = name.partition(':')
  try:
    module = importlib.import_module(f'experiments.configs.{module_name}')
    return module.get_config(variants)
  # `base` and `objectives` are no experiments.
  except (ImportError, AttributeError, TypeError, ValueError) as error:
    raise app.UsageError(
      f'--experiments={name}: no experiment ({error}); name some of '
      'experiments/configs.',
      exitcode=2,
    ) from error


def _measure_all(configs: Mapping[str, ml_collections.ConfigDict]) -> dict:
  """Measures all phases, and the generator's step in several sizes."""
  devices = parallel.choose_devices()
  repeats = _REPEATS.value
  figures = {
    'device': f'{len(devices)} × {devices[0].device_kind}',
    'experiments': {
      name: phase_timing.measure_experiment(
        config, devices, repeats, _STAGES.value
      )
      for name, config in configs.items()
    },
    'sizes': measure_net_sizes(devices[:1], repeats),
    'devices': measure_device_counts(devices, repeats),
  }
  print(figures['device'])
  for name, rows in figures['experiments'].items():
    print(f'\n{name}\n{_format_table(rows)}')
  print(f'\ngenerator/train, one device\n{_format_table(figures["sizes"])}')
  print(f'\ngenerator/train, per device\n{_format_table(figures["devices"])}')
  return figures


def _measure_student(folder: str) -> list[dict]:
  """Measures a student's answers, and prints a table."""
  rows = student_timing.measure_student(folder, _REPEATS.value)
  cells = [
    [str(row['images']), *map(_format_figure, [*row.values()][1:])]
    for row in rows
  ]
  header = ['images', 'predict, µs', 'net, µs', 'ratio']
  print(display.align([header, ['---'] + 3 * ['---:'], *cells]))
  return rows


def measure_net_sizes(
  devices: Sequence[jax.Device], repeats: int
) -> list[dict]:
  """Measures the generator's step against the numbers of teachers and blocks.

  Args:
    devices: devices to run on.
    repeats: steps to time.

  Returns:
    One row per pair of M and B, as `phase_timing.measure_phase` returns it.
  """
  return [
    {
      **phase_timing.measure_generator(
        _resize_digits(num_teachers, num_blocks), devices, repeats
      ),
      'phase': f'M = {num_teachers}, B = {num_blocks}',
    }
    for num_teachers, num_blocks in _NET_SIZES
  ]


def measure_device_counts(
  devices: Sequence[jax.Device], repeats: int
) -> list[dict]:
  """Measures the generator's step on 1, 2, 4, ... of the devices.

  Args:
    devices: all devices.
    repeats: steps to time.

  Returns:
    One row per number of devices, as `phase_timing.measure_phase` returns it.
  """
  device_counts = [2**exponent for exponent in range(len(devices).bit_length())]
  return [
    {
      **phase_timing.measure_generator(
        digits.get_config(), devices[:num_devices], repeats
      ),
      'phase': f'{num_devices} devices',
    }
    for num_devices in device_counts
  ]


def _resize_digits(
  num_teachers: int, num_blocks: int
) -> ml_collections.ConfigDict:
  """Builds `digits` with M teachers of two labels each, all of B blocks."""
  config = digits.get_config()
  strides = (2, 2, 1, 1)[:num_blocks]
  teacher_labels = [
    (f'{number}a', f'{number}b') for number in range(num_teachers)
  ]
  config.labels = tuple(label for labels in teacher_labels for label in labels)
  config.teachers = {
    f'teacher{number}': builders.teacher(
      labels, 'digits', builders.conv((24, 48, 96, 96)[:num_blocks], strides)
    )
    for number, labels in enumerate(teacher_labels)
  }
  config.student = builders.conv((16, 32, 64, 64)[:num_blocks], strides)
  config.generator.widths = (64, 32, 16, 16)[:num_blocks]
  return config


def _compare_with_peer(
  configs: Mapping[str, ml_collections.ConfigDict],
) -> dict[str, dict]:
  """Compares the generator's step with PyTorch's."""
  if importlib.util.find_spec('torch') is None:
    raise app.UsageError(
      "--peer: needs PyTorch; pip install '.[torch]' brings it.", exitcode=2
    )
  if not hasattr(os, 'sched_setaffinity'):
    raise app.UsageError(
      '--peer: only Linux lets programs keep to some cores.', exitcode=2
    )
  for name, config in configs.items():
    if not peer_comparison.has_peer(config):
      raise app.UsageError(
        f'--experiments={name}: --peer takes the default objective, and '
        "teachers of kind 'conv' with batch norm, independent labels, none of "
        'them common, and strides that divide the image; name others, like '
        'mnist.',
        exitcode=2,
      )

  all_cores = sorted(os.sched_getaffinity(0))
  figures = {}
  for name in configs:
    for cores in (all_cores[:1], all_cores) if all_cores[1:] else (all_cores,):
      setting = f'{name}, cores: {len(cores)}'
      figures[setting] = peer_comparison.compare_steps(
        name, _REPEATS.value, cores
      )
      print(f'{setting}: generator/train')
      for program, row in figures[setting].items():
        print(
          f'{row["ms"]:8.1f} ms, {row["against_ours"]:.2f} of ours: {program}'
        )
  return figures


def _format_table(rows: Sequence[dict]) -> str:
  """Formats figures as a Markdown table, a row per phase."""
  table_rows = [['', *_COLUMNS.values()], ['---', *['---:'] * len(_COLUMNS)]]
  for row in rows:
    cells = [
      f'{row[name]:.0%}' if name == 'share' else _format_figure(row[name])
      for name in _COLUMNS
    ]
    table_rows.append([row['phase'], *cells])
  return display.align(table_rows)


def _format_figure(figure: float) -> str:
  # Four digits, and never an exponent below a million.
  return f'{float(f"{figure:.4g}"):g}'


if __name__ == '__main__':
  app.run(main)
