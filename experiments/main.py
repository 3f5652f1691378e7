"""Launches an experiment: absl flags, one call.

    python -m experiments.main --config=experiments/configs/digits.py \\
        --workdir=runs/digits

Exit codes: 0 done, 2 something to put right before any training, 3 a training
that cannot go on, 75 interrupted and saved, 130 interrupted at once.
"""

import sys
from collections.abc import Sequence

from absl import app, flags, logging
from ml_collections import config_flags

from dualgan_jax import dry_run, errors, report, run
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


def main(argv: Sequence[str]) -> None:
  """Runs what the flags say, and prints the results table."""
  logging.set_verbosity(logging.WARNING)
  try:
    if argv[1:]:
      raise errors.UserError(
        f'{argv[1]}: not a flag; flags look like --workdir=DIR.'
      )
    for flag in (_CONFIG, _WORKDIR):
      if flag.value is None:
        raise errors.UserError(f'--{flag.name}: missing; see --help.')
    where = {'init_from': _INIT_FROM.value}
    if _DRY_RUN.value:
      print(dry_run(_CONFIG.value, _WORKDIR.value, **where))
      return
    results = run(_CONFIG.value, _WORKDIR.value, stage=_STAGE.value, **where)
  except (
    errors.UserError,
    errors.TrainingError,
    errors.InterruptedRun,
  ) as e:
    _leave(str(e), e.exit_code)
  except KeyboardInterrupt:
    _leave('stopped at once; the same command goes on from what is saved', 130)
  if results:
    print(report.table(results))


def _parse(argv: Sequence[str]) -> list[str]:
  """absl's parser, with one sentence and exit code 2 for what is wrong."""
  try:
    rest = flags.FLAGS(argv)
    if _CONFIG.value is not None:
      # A file that could not be loaded says so only when it is looked at.
      _CONFIG.value.to_dict()
    return rest
  except (AttributeError, KeyError) as e:
    cause = e
    while cause.args and isinstance(cause.args[0], Exception):
      cause = cause.args[0]
    hint = ' '.join(str(cause.args[0]).split())
    _leave(f'--config: no such field: {hint}', errors.UserError.exit_code)
  # A config file is code: whatever it raises, the user has to put right.
  except Exception as e:
    # config_flags wraps tracebacks; the last line says what it is.
    *_, last = str(e).strip().splitlines()
    _leave(f'{last.strip(" .")}; see --help.', errors.UserError.exit_code)


def _leave(sentence: str, code: int) -> None:
  print(f'error: {sentence}', file=sys.stderr)
  sys.exit(code)


if __name__ == '__main__':
  app.run(main, flags_parser=_parse)
