"""`dualgan sweep`: several seeds of a config, and several values of fields."""

import os
import pathlib
from collections.abc import Sequence

from absl import flags

from dualgan_jax import errors
from dualgan_jax.cli import experiment_flags, help_pages, launch
from dualgan_jax.experiment import sweep
from dualgan_jax.stdout import printing

_USAGE = (
  """usage: {program} --config=NAME --workdir=DIR [--seeds=0,1,2] \\
           [--grid='FIELD=VALUE,...;FIELD=VALUE,...']

Trains a config with several seeds, and with every combination of the values in
--grid, and prints mean ± standard deviation over the seeds. Each run has its
folder, DIR/[FIELD=VALUE,...]/seed-N. The same command goes on where it stopped.

  --config=NAME         a preset or a Python file, and its variants, as in
                        digits:smoke or mine.py:small,wide
  --config.FIELD=VALUE  change a field, as in --config.generator.steps=500
  --workdir=DIR         the sweep's folder
  --seeds=N,...         seeds; 0,1,2 if not given
  --grid=TEXT           fields and values: 'objective.beta=0.5,1;dual.steps=0'
  --multihost           work together with the same command on other hosts

"""
  + help_pages.NOTES
)
_SEEDS = flags.DEFINE_list('seeds', ['0', '1', '2'], 'Seeds.')
_GRID = flags.DEFINE_string(
  'grid', '', 'Fields and their values: FIELD=VALUE,...;FIELD=VALUE,...'
)


def main(argv: Sequence[str]) -> None:
  """Runs them all, and prints mean ± sample standard deviation over seeds.

  Args:
    argv: the program's name and its arguments.
  """
  launch.launch(argv, _sweep, _USAGE)


def _sweep() -> str:
  seeds, arms = _parse_seeds(_SEEDS.value), sweep.grid(_GRID.value)
  plan = [
    (name, sweep.changed(experiment_flags.CONFIG.value, seed, fields))
    for name, fields in arms.items()
    for seed in seeds
  ]
  root = pathlib.Path(os.path.expanduser(experiment_flags.WORKDIR.value))
  done, failed = sweep.run_all(root, plan)
  if failed:
    with printing():
      print(sweep.table(done))
    raise errors.TrainingError('; '.join(failed))
  return sweep.table(done)


def _parse_seeds(texts: list[str]) -> list[int]:
  seeds = [int(x) for x in texts if x.strip().isdecimal()]
  if not texts or len({*seeds}) < len(texts):
    raise errors.UserError(
      f'--seeds: {",".join(texts)!r} should be different whole numbers, like '
      '0,1,2.'
    )
  return seeds
