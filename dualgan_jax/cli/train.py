"""Implements `dualgan train` and `dualgan dry-run`: an experiment's run."""

import shutil
import sys
from collections.abc import Sequence

from absl import flags

from dualgan_jax.cli import experiment_flags, help_pages, launch
from dualgan_jax.config.stage_table import NAMES
from dualgan_jax.display import wrap
from dualgan_jax.errors import UserError
from dualgan_jax.experiment import stage_records
from dualgan_jax.experiment.run import dry_run, run
from dualgan_jax.reporting import diagnosis, summary

_USAGE = f"""usage: {{program}} --config=NAME --workdir=DIR [FLAG ...]

Trains teachers, generator and student, and evaluates them. The same command
resumes the run in DIR; finished stages are not run again.

{help_pages.CONFIG_FLAGS}\
  --workdir=DIR         folder of the run; then see DIR/report.html, DIR/student
  --stage=STAGE         run one stage only: pretrain, generator, dual,
                        targetnet, refine, baselines or evaluate
  --init_from=DIR       take teachers and generator from the run in this folder
  --dry_run             show what would be trained, and stop
  --multihost           train together with the same command on other hosts
{help_pages.LOG_FLAGS}
{help_pages.CONFIG_NOTES}{help_pages.TRAINING_NOTES}"""
_DRY_RUN_USAGE = f"""usage: {{program}} --config=NAME --workdir=DIR [FLAG ...]

Shows the nets of an experiment, how they fit together and what they cost.
Nothing is trained.

{help_pages.CONFIG_FLAGS}\
  --workdir=DIR         folder that the run would have
  --init_from=DIR       take teachers and generator from the run in this folder
  --multihost           join the same command on other hosts
{help_pages.LOG_FLAGS}
{help_pages.CONFIG_NOTES}\
Exit codes: 0 done, 2 something to put right, 75 by SIGTERM, 130 by Ctrl-C.
"""
_STAGE = flags.DEFINE_enum('stage', None, NAMES, 'Run this stage only.')
_INIT_FROM = flags.DEFINE_string(
  'init_from', None, "Take teachers and generator from this run's folder."
)
_DRY_RUN = flags.DEFINE_bool(
  'dry_run', False, 'Show what would be trained, and stop.'
)


def main(argv: Sequence[str]) -> None:
  """Trains, or shows what would be trained, and prints the results.

  Args:
    argv: the program's name and its arguments.
  """
  launch.launch(argv, _train, _USAGE)


def dry_run_main(argv: Sequence[str]) -> None:
  """Shows what would be trained, as `main` does with the flag `--dry_run`.

  Args:
    argv: the program's name and its arguments.
  """
  launch.launch([*argv, '--dry_run'], _train, _DRY_RUN_USAGE)


def _train() -> str:
  """Runs an experiment as the flags say; returns a summary or description."""
  config = experiment_flags.CONFIG.value
  workdir = experiment_flags.WORKDIR.value
  # An empty shell variable would silently train the teachers anew.
  if _INIT_FROM.value == '':
    raise UserError('--init_from: empty; name a folder, or leave it out.')
  if _DRY_RUN.value:
    if _STAGE.value is not None:
      raise UserError('--stage: --dry_run is of all stages; leave one out.')
    return dry_run(config, workdir, init_from=_INIT_FROM.value)
  results = run(config, workdir, stage=_STAGE.value, init_from=_INIT_FROM.value)
  # A single stage, other than the last one, has no results yet.
  if not results:
    return ''
  text = summary.format_summary(results, stage_records.absolute(workdir))
  verdict = diagnosis.verdict_line(results)
  # A program that reads the last line gets all of it.
  if sys.stdout.isatty():
    verdict = wrap(verdict, shutil.get_terminal_size().columns)
  return f'{text}\n{verdict}'.rstrip()
