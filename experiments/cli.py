"""What the commands share: two flags, and errors as one sentence.

Exit codes: 0 done, 2 something to put right before any training, 3 a training
that cannot go on, 75 interrupted and saved, 130 interrupted at once.
"""

import sys
from collections.abc import Callable, Sequence

from absl import flags, logging
from ml_collections import config_flags

from dualgan_jax import errors

CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'What to run.', lock_config=True
)
WORKDIR = flags.DEFINE_string('workdir', None, 'The folder to work in.')


def call(argv: Sequence[str], work: Callable[[], str]) -> None:
  """Prints what `work` returns, or leaves with a sentence and an exit code."""
  logging.set_verbosity(logging.WARNING)
  try:
    if argv[1:]:
      raise errors.UserError(
        f'{argv[1]}: not a flag; flags look like --workdir=DIR.'
      )
    for flag in (CONFIG, WORKDIR):
      if flag.value is None:
        raise errors.UserError(f'--{flag.name}: missing; see --help.')
    text = work()
  except (
    errors.UserError,
    errors.TrainingError,
    errors.InterruptedRun,
  ) as e:
    _leave(str(e), e.exit_code)
  except KeyboardInterrupt:
    _leave('stopped at once; the same command goes on from what is saved', 130)
  if text:
    print(text)


def parse(argv: Sequence[str]) -> list[str]:
  """absl's parser, with one sentence and exit code 2 for what is wrong."""
  try:
    rest = flags.FLAGS(argv)
    if CONFIG.value is not None:
      # A file that could not be loaded says so only when it is looked at.
      CONFIG.value.to_dict()
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
