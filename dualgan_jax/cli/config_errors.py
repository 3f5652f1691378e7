"""Explains in one sentence why a config file or a field override is refused."""

import difflib
import os
import pathlib
import re
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

import ml_collections
from absl import flags

from dualgan_jax import presets
from dualgan_jax.config import reference
from dualgan_jax.errors import UserError

# Characters of another library's message that a sentence quotes.
_MAX_QUOTE_LENGTH = 300


def explain(error: BaseException, config_argument: str) -> str | None:
  """Explains an error that was raised while the command line was parsed.

  Args:
    error: any exception, since a config file is code and may raise anything.
    config_argument: value of --config, 'FILE' or 'FILE:VARIANTS'.

  Returns:
    One sentence; None for a SystemExit that the config file did not raise.
  """
  config_file = config_argument.partition(':')[0]
  config_path = pathlib.Path(config_file).expanduser().absolute()
  if config_argument and not os.path.isfile(config_path):
    return f'--config: {_missing_file_message(config_file)}.'
  # An error in the user's own file is best explained by its line.
  for cause in _iterate_causes(error):
    # A wrapper has the same type, and its message holds whole tracebacks.
    if isinstance(cause, UserError) and '\n' not in str(cause):
      return f'--config: {cause}'
    code_line = _find_code_line(cause, config_path)
    if code_line and isinstance(cause, SystemExit):
      return f'--config: {code_line}: it ends the program; take that out.'
    if code_line:
      return f'--config: {code_line}: {_error_summary(cause)}.'
  if isinstance(error, SystemExit):
    return None
  is_other_flag = isinstance(error, flags.UnrecognizedFlagError)
  if not config_argument and not is_other_flag:
    return '--config: missing; see --help.'
  if isinstance(error, OSError):
    return f'--config: {config_file} cannot be read ({_one_line(cause)}).'
  # Only their messages tell the remaining errors of config_flags apart.
  message = str(cause)
  if isinstance(cause, SyntaxError | ValueError) and 'null byte' in message:
    return f'--config: {config_file} is no Python file ({_one_line(cause)}).'
  if isinstance(cause, AttributeError) and "'get_config'" in message:
    return (
      f'--config: {config_file} defines no get_config(); name another file.'
    )
  if wrong_type := re.search(r"<class '(\w+)'>\.\w+ does not exist", message):
    return _wrong_type_message(config_argument, wrong_type[1])
  if isinstance(cause, AttributeError | KeyError):
    # A KeyError's message is the name in quotes.
    field_name = _one_line(cause).strip("'")
    field_names = [
      field.name
      for group in {*reference.GROUPS.values()}
      for field in reference.describe_fields(group)
    ]
    suggestion = _suggest(field_name, field_names)
    return (
      f'--config: no such field: {field_name}{suggestion}; add --help to list '
      'all.'
    )
  return f'{_one_line(error)}; see --help.'


def explain_value(config_value: Any, config_argument: str) -> str | None:
  """Explains a return value of get_config() that is not a config.

  Args:
    config_value: what get_config() returned.
    config_argument: value of --config, 'FILE' or 'FILE:VARIANTS'.

  Returns:
    One sentence; None if the value is a config, or no config was named.
  """
  if not config_argument or isinstance(config_value, ml_collections.ConfigDict):
    return None
  return _wrong_type_message(config_argument, type(config_value).__name__)


def _wrong_type_message(config_argument: str, type_name: str) -> str:
  returned = 'nothing' if type_name == 'NoneType' else f'a {type_name}'
  return (
    f'--config: get_config() of {config_argument.partition(":")[0]} must '
    f'return an ml_collections.ConfigDict, but returned {returned}.'
  )


def _missing_file_message(config_file: str) -> str:
  names = presets.list_presets()
  suggestion = _suggest(config_file, names)
  return (
    f'there is no file {config_file}{suggestion}; name yours, or a preset: '
    f'{", ".join(names)}'
  )


def _suggest(word: str, known_words: Sequence[str]) -> str:
  """Suggests the known word that is nearest; '' if none is near."""
  nearest = difflib.get_close_matches(word, known_words, 1)
  return f' (did you mean {nearest[0]}?)' if nearest else ''


def _find_code_line(error: BaseException, config_path: pathlib.Path) -> str:
  """Finds the line of a file that raised an error; '' if it has none."""
  # A syntax error has no frame in the file, as nothing of it has run.
  if isinstance(error, SyntaxError) and error.filename == str(config_path):
    return f'{config_path.name}, line {error.lineno}'
  line_numbers = [
    frame.lineno
    for frame in traceback.extract_tb(error.__traceback__)
    if pathlib.Path(frame.filename).absolute() == config_path
  ]
  return f'{config_path.name}, line {line_numbers[-1]}' if line_numbers else ''


def _iterate_causes(error: BaseException) -> Iterator[BaseException]:
  """Iterates over an error and the errors that it was raised from or after."""
  while error is not None:
    yield error
    # absl and config_flags wrap an error in the message of another.
    wrapped_errors = [
      argument for argument in error.args if isinstance(argument, BaseException)
    ]
    if wrapped_errors:
      error = wrapped_errors[0]
    else:
      error = error.__cause__ or error.__context__


def _error_summary(error: BaseException) -> str:
  message = _one_line(error)
  type_name = type(error).__name__
  return f'{type_name}: {message}' if message else type_name


def _one_line(error: BaseException) -> str:
  """Shortens an error's message to one line of at most 300 characters."""
  message = error.msg if isinstance(error, SyntaxError) else str(error)
  line = ' '.join(str(message).split()).rstrip('.')
  if len(line) <= _MAX_QUOTE_LENGTH:
    return line
  return f'{line[:_MAX_QUOTE_LENGTH]}...'
