"""The flags that commands on experiments share, and how they are parsed."""

import itertools
import logging
import os
import re
from collections.abc import Iterator, Sequence

from absl import flags
from ml_collections import config_flags

from dualgan_jax import presets
from dualgan_jax.cli import config_errors
from dualgan_jax.errors import UserError

CONFIG = config_flags.DEFINE_config_file(
  'config',
  None,
  'a preset or a Python file, and its variants: digits, mine.py:small',
  lock_config=True,
)
WORKDIR = flags.DEFINE_string('workdir', None, 'the folder to work in')
MULTIHOST = flags.DEFINE_bool(
  'multihost', False, 'work together with the same command on other hosts'
)
_CONFIG_FLAG = re.compile('--?config(?:=(.*))?', re.DOTALL)


def parse(argv: Sequence[str]) -> list[str]:
  """Parses flags, those of the config's fields too.

  Args:
    argv: the program's name and its arguments.

  Returns:
    Those that are no flags.

  Raises:
    UserError: what is wrong with them, or with the config file.
    SystemExit: the config file ends the program.
  """
  argument = _with_path(config_argument(argv))
  # config_flags warns of what the sentence below is about.
  logging.disable(logging.WARNING)
  try:
    rest = flags.FLAGS(list(_with_paths_of_presets(argv)))
    # A file that could not be opened says so only when it is looked at.
    getattr(CONFIG.value, 'to_dict', None)
    sentence = config_errors.explain_value(CONFIG.value, argument)
  # A config file is code: whatever it raises, the user has to put right.
  except (Exception, SystemExit) as e:
    sentence = config_errors.explain(e, argument)
    if sentence is None:
      raise
  finally:
    logging.disable(logging.NOTSET)
  if sentence:
    raise UserError(sentence)
  return rest


def config_argument(argv: Sequence[str]) -> str:
  """Finds what --config is given, by the last one that counts; or ''."""
  argument = ''
  for word, following in itertools.zip_longest(argv, argv[1:], fillvalue=''):
    if flag := _CONFIG_FLAG.fullmatch(word):
      argument = following if flag[1] is None else flag[1]
  return argument


def _with_paths_of_presets(argv: Sequence[str]) -> Iterator[str]:
  """Puts the path of its file in place of a preset's name."""
  is_value = False
  for word in argv:
    flag = _CONFIG_FLAG.fullmatch(word)
    if is_value:
      yield _with_path(word)
    elif flag and flag[1] is not None:
      yield f'--config={_with_path(flag[1])}'
    else:
      yield word
    is_value = bool(flag and flag[1] is None)


def _with_path(argument: str) -> str:
  name, colon, variants = argument.partition(':')
  # A file of the user's that is called so comes first.
  if name in presets.names() and not os.path.isfile(name):
    return f'{presets.path(name)}{colon}{variants}'
  return argument
