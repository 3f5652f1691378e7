"""Implements `dualgan sweep`: several seeds and field values of one config."""

import os
import pathlib
from collections.abc import Sequence

from absl import flags

from dualgan_jax import errors
from dualgan_jax.cli import experiment_flags, help_pages, launch
from dualgan_jax.experiment import stage_records, sweep
from dualgan_jax.reporting import comparison
from dualgan_jax.stdout import printing
from dualgan_jax.training import parallel

_USAGE = f"""usage: {{program}} --config=NAME --workdir=DIR [FLAG ...]

Trains a config with several seeds, and with every combination of the values in
--grid; prints mean ± standard deviation over seeds, and compares the runs in
DIR/comparison.html. Their folders are DIR/[FIELD=VALUE,...]/seed-N. The same
command resumes the sweep.

{help_pages.CONFIG_FLAGS}\
  --workdir=DIR         folder of the sweep
  --seeds=N,...         seeds; 0,1,2 by default
  --grid=TEXT           fields and values: 'objective.beta=0.5,1;dual.steps=0'
  --multihost           train together with the same command on other hosts
{help_pages.LOG_FLAGS}
{help_pages.CONFIG_NOTES}{help_pages.TRAINING_NOTES}"""
_SEEDS = flags.DEFINE_list('seeds', ['0', '1', '2'], 'Seeds.')
_GRID = flags.DEFINE_string(
  'grid', '', 'Fields and their values: FIELD=VALUE,...;FIELD=VALUE,...'
)


def main(argv: Sequence[str]) -> None:
  """Trains all runs, and prints mean ± sample standard deviation over seeds.

  Args:
    argv: the program's name and its arguments.
  """
  launch.launch(argv, _run_sweep, _USAGE)


def _run_sweep() -> str:
  """Trains all runs, and returns the table of their results."""
  seeds, arms = _parse_seeds(_SEEDS.value), sweep.parse_grid(_GRID.value)
  run_configs = [
    (
      arm_name,
      sweep.change_fields(experiment_flags.CONFIG.value, seed, field_values),
    )
    for arm_name, field_values in arms.items()
    for seed in seeds
  ]
  root_folder = pathlib.Path(os.path.expanduser(experiment_flags.WORKDIR.value))
  arm_results, failures = sweep.run_all(root_folder, run_configs)
  if parallel.is_first() and arm_results:
    comparison.write(
      root_folder / comparison.NAME,
      [
        comparison.Run(arm_name or results['experiment'], results)
        for arm_name, run_results in arm_results.items()
        for results in run_results
      ],
    )
  if failures:
    # The results of the other runs have cost hours; show them all the same.
    with printing():
      print(sweep.results_table(arm_results))
    raise errors.TrainingError('; '.join(failures))
  report_path = stage_records.absolute(root_folder / comparison.NAME)
  return f'{sweep.results_table(arm_results)}\n\nreport: {report_path}'


def _parse_seeds(seed_texts: list[str]) -> list[int]:
  # int() takes more than this flag does, such as '-1' and '1_000'.
  seeds = [int(text) for text in seed_texts if text.strip().isdecimal()]
  if not seed_texts or len({*seeds}) < len(seed_texts):
    raise errors.UserError(
      f'--seeds: {",".join(seed_texts)!r} should be different whole numbers, '
      'like 0,1,2.'
    )
  return seeds
