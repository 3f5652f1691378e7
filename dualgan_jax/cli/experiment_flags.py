"""Defines and parses the flags that commands on experiments share."""

import itertools
import logging
import os
import re
from collections.abc import Iterator, Sequence

from absl import flags
from ml_collections import config_flags

from dualgan_jax import presets
from dualgan_jax.cli import config_errors
from dualgan_jax.config import renamed_fields
from dualgan_jax.errors import UserError

# In which config_flags finds the fields to override; `parse` fills it.
_WORDS: list[str] = []
CONFIG = config_flags.DEFINE_config_file(
  'config',
  None,
  'a preset or a Python file, and its variants: digits, mine.py:small',
  lock_config=True,
  sys_argv=_WORDS,
)
WORKDIR = flags.DEFINE_string('workdir', None, 'folder of the run')
MULTIHOST = flags.DEFINE_bool(
  'multihost', False, 'train together with the same command on other hosts'
)
QUIET = flags.DEFINE_bool(
  'quiet', False, 'print warnings, errors and results only'
)
LOG_LEVEL = flags.DEFINE_enum(
  'log_level',
  'info',
  ['debug', 'info', 'warning', 'error'],
  'least level of the lines that are printed',
  case_sensitive=False,
)
# Flags, but not fields of the config, whose names have underscores.
_HYPHENATED_FLAG = re.compile('--?(?!config)[a-z]+(?:-[a-z]+)+')
_CONFIG_FLAG = re.compile('--?config(?:=(.*))?', re.DOTALL)


def parse(argv: Sequence[str]) -> list[str]:
  """Parses all flags, overrides of config fields included.

  Args:
    argv: the program's name and its arguments.

  Returns:
    The program's name and the arguments that are not flags.

  Raises:
    UserError: a flag or the config file is wrong.
    SystemExit: the command line ends the program without an error of its own.
  """
  config_argument = _replace_preset(find_config_argument(argv))
  words = renamed_fields.rename_flags(_replace_presets(argv))
  _WORDS[:] = [*itertools.islice(words, 1), *map(_replace_hyphens, words)]
  # config_flags logs a warning of its own before the sentence below.
  logging.disable(logging.WARNING)
  try:
    positional_arguments = flags.FLAGS(_WORDS)
    # A file that could not be opened raises only when its value is read.
    getattr(CONFIG.value, 'to_dict', None)
    sentence = config_errors.explain_value(CONFIG.value, config_argument)
  # A config file is code: whatever it raises, the user has to put right.
  except (Exception, SystemExit) as error:
    sentence = config_errors.explain(error, config_argument)
    if sentence is None:
      raise
  finally:
    logging.disable(logging.NOTSET)
  if sentence:
    raise UserError(sentence)
  return positional_arguments


def find_config_argument(argv: Sequence[str]) -> str:
  """Finds the value of --config; '' if the flag is missing.

  Args:
    argv: the program's name and its arguments; of several flags, the last one
      counts, as absl has it.
  """
  config_argument = ''
  for word, next_word in itertools.zip_longest(argv, argv[1:], fillvalue=''):
    if flag_match := _CONFIG_FLAG.fullmatch(word):
      # Without '=', absl takes the next word for the value.
      config_argument = next_word if flag_match[1] is None else flag_match[1]
  return config_argument


def _replace_hyphens(word: str) -> str:
  """Writes the name of a flag with underscores: --log-level as --log_level."""
  name, equals, value = word.partition('=')
  if _HYPHENATED_FLAG.fullmatch(name):
    dashes, name = re.match('(--?)(.*)', name).groups()
    name = dashes + name.replace('-', '_')
  return name + equals + value


def _replace_presets(argv: Sequence[str]) -> Iterator[str]:
  """Replaces the name of a preset, wherever --config takes one, by its path."""
  is_flag_value = False
  for word in argv:
    flag_match = _CONFIG_FLAG.fullmatch(word)
    if is_flag_value:
      yield _replace_preset(word)
    elif flag_match and flag_match[1] is not None:
      yield f'--config={_replace_preset(flag_match[1])}'
    else:
      yield word
    is_flag_value = bool(flag_match and flag_match[1] is None)


def _replace_preset(config_argument: str) -> str:
  """Replaces the name of a preset by the path of its file."""
  config_name, colon, variants = config_argument.partition(':')
  # A file of the user's with the same name takes precedence.
  if config_name in presets.list_presets() and not os.path.isfile(config_name):
    return f'{presets.find_preset(config_name)}{colon}{variants}'
  return config_argument
