"""`dualgan train` and `dualgan dry-run`: an experiment from its config."""

from collections.abc import Sequence

from absl import flags

from dualgan_jax.cli import experiment_flags, help_pages, launch
from dualgan_jax.config.stage_table import NAMES
from dualgan_jax.errors import UserError
from dualgan_jax.experiment.run import dry_run, run
from dualgan_jax.reporting import report

_USAGE = (
  """usage: {program} --config=NAME --workdir=DIR [--config.FIELD=VALUE ...]

Trains teachers, generator and student, or goes on with the run in DIR: what is
finished there is not done again.

  --config=NAME         a preset or a Python file, and its variants, as in
                        digits:smoke or mine.py:small,wide
  --config.FIELD=VALUE  change a field, as in --config.generator.steps=500
  --workdir=DIR         the run's folder
  --stage=STAGE         only this stage: pretrain, generator, dual, targetnet,
                        refine, baselines or evaluate
  --init_from=DIR       take trained teachers, and the generator, from this run
  --dry_run             show what would be trained, and stop
  --multihost           work together with the same command on other hosts

Then look at DIR/report.html, and use DIR/student:
dualgan predict DIR/student IMAGE
"""
  + help_pages.NOTES
)
_STAGE = flags.DEFINE_enum('stage', None, NAMES, 'Only this stage.')
_INIT_FROM = flags.DEFINE_string(
  'init_from', None, "Take teachers and generator from this run's folder."
)
_DRY_RUN = flags.DEFINE_bool(
  'dry_run', False, 'Print what would be trained, and stop.'
)


def main(argv: Sequence[str]) -> None:
  """Trains, or shows what would be trained, and prints the results.

  Args:
    argv: the program's name and its arguments.
  """
  launch.launch(argv, _train, _USAGE)


def dry_run_main(argv: Sequence[str]) -> None:
  """Shows what would be trained: `main` with the flag `--dry_run`."""
  main([*argv, '--dry_run'])


def _train() -> str:
  config, workdir = (
    experiment_flags.CONFIG.value,
    experiment_flags.WORKDIR.value,
  )
  if _INIT_FROM.value == '':
    raise UserError('--init_from: empty; name a folder, or leave it out.')
  if _DRY_RUN.value:
    if _STAGE.value is not None:
      raise UserError('--stage: --dry_run is of all stages; leave one out.')
    return dry_run(config, workdir, init_from=_INIT_FROM.value)
  results = run(config, workdir, stage=_STAGE.value, init_from=_INIT_FROM.value)
  return report.results_table(results) if results else ''
