"""Launches an experiment: absl flags, one call.

    python -m experiments.main --config=experiments/configs/digits.py \\
        --workdir=runs/digits

Exit codes are those of `experiments.cli`.
"""

from dualgan_jax.cli import signals

if __name__ == '__main__':
  signals.exit_on_signals()  # also while the modules below are imported

from collections.abc import Sequence

from absl import app, flags

from dualgan_jax import dry_run, run
from dualgan_jax.config.schema import STAGES
from dualgan_jax.errors import UserError
from dualgan_jax.reporting import report
from experiments import cli

_STAGE = flags.DEFINE_enum('stage', None, STAGES, 'Only this stage.')
_INIT_FROM = flags.DEFINE_string(
  'init_from', None, "Take teachers and generator from this run's folder."
)
_DRY_RUN = flags.DEFINE_bool(
  'dry_run', False, 'Print what would be trained, and stop.'
)
flags.adopt_module_key_flags(cli)


def main(argv: Sequence[str]) -> None:
  """Runs what the flags say, and prints the results table."""
  cli.call(argv, _work)


def _work() -> str:
  config, workdir = cli.CONFIG.value, cli.WORKDIR.value
  if _INIT_FROM.value == '':
    raise UserError('--init_from: empty; name a folder, or leave it out.')
  where = {'init_from': _INIT_FROM.value}
  if _DRY_RUN.value:
    if _STAGE.value is not None:
      raise UserError('--stage: --dry_run is of all stages; leave one out.')
    return dry_run(config, workdir, **where)
  results = run(config, workdir, stage=_STAGE.value, **where)
  return report.table(results) if results else ''


if __name__ == '__main__':
  app.run(main, flags_parser=cli.parse)
