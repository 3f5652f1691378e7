"""Launches an experiment: absl flags, one call.

    python -m experiments.main --config=experiments/configs/digits.py \\
        --workdir=runs/digits
"""

from absl import app, flags, logging
from ml_collections import config_flags

from dualgan_jax import report, run
from dualgan_jax.settings import STAGES

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'What to run.', lock_config=True
)
_WORKDIR = flags.DEFINE_string('workdir', None, "The run's folder.")
_STAGE = flags.DEFINE_enum('stage', None, STAGES, 'Only this stage.')
_INIT_FROM = flags.DEFINE_string(
  'init_from', None, "Take teachers and generator from this run's folder."
)
_DRY_RUN = flags.DEFINE_bool(
  'dry_run', False, 'Print what would be trained, and stop.'
)


def main(argv: list[str]) -> None:
  """Runs what the flags say."""
  del argv
  logging.set_verbosity(logging.WARNING)
  results = run(
    _CONFIG.value,
    _WORKDIR.value,
    stage=_STAGE.value,
    init_from=_INIT_FROM.value,
    dry_run=_DRY_RUN.value,
  )
  if results:
    print(report.table(results))


if __name__ == '__main__':
  app.run(main)
