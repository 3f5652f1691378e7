"""Says in one sentence why a config file or a changed field is refused."""

import os
import pathlib
import re
import traceback
from collections.abc import Iterator
from typing import Any

import ml_collections

from dualgan_jax import presets
from dualgan_jax.errors import UserError

_LONGEST = 300


def explain(error: BaseException, argument: str) -> str | None:
  """Explains what came of parsing the command line.

  Args:
    error: whatever was raised; a config file is code, and may raise anything.
    argument: of --config, 'FILE' or 'FILE:VARIANTS'.

  Returns:
    A sentence; None for what ends the program without being of the file.
  """
  file = argument.partition(':')[0]
  path = pathlib.Path(file).expanduser().absolute()
  if argument and not os.path.isfile(path):
    return f'--config: {_no_file(file)}.'
  for cause in _causes(error):
    # A wrapper is of the same type, and says whole tracebacks.
    if isinstance(cause, UserError) and '\n' not in str(cause):
      return f'--config: {cause}'
    where = _line(cause, path)
    if where and isinstance(cause, SystemExit):
      return f'--config: {where}: it ends the program; take that out.'
    if where:
      return f'--config: {where}: {_brief(cause)}.'
  if isinstance(error, SystemExit):
    return None
  if not argument:
    return '--config: missing; see --help.'
  if isinstance(error, OSError):
    return f'--config: {file} cannot be read ({_text(cause)}).'
  if isinstance(cause, SyntaxError | ValueError) and 'null byte' in str(cause):
    return f'--config: {file} is no Python file ({_text(cause)}).'
  if isinstance(cause, AttributeError) and "'get_config'" in str(cause):
    return f'--config: {file} defines no get_config(); name another file.'
  if other := re.search(r"<class '(\w+)'>\.\w+ does not exist", str(cause)):
    return _no_config(argument, other[1])
  if isinstance(cause, AttributeError | KeyError):
    return f'--config: no such field: {_text(cause)}.'
  return f'{_text(error)}; see --help.'


def explain_value(value: Any, argument: str) -> str | None:
  """Explains what get_config() has returned; None if that is a config."""
  if not argument or isinstance(value, ml_collections.ConfigDict):
    return None
  return _no_config(argument, type(value).__name__)


def _no_config(argument: str, kind: str) -> str:
  returned = 'nothing' if kind == 'NoneType' else f'a {kind}'
  return (
    f'--config: get_config() of {argument.partition(":")[0]} must return an '
    f'ml_collections.ConfigDict, but returned {returned}.'
  )


def _line(error: BaseException, path: pathlib.Path) -> str:
  """Where in a file an error was raised; empty if it was elsewhere."""
  if isinstance(error, SyntaxError) and error.filename == str(path):
    return f'{path.name}, line {error.lineno}'
  lines = [
    frame.lineno
    for frame in traceback.extract_tb(error.__traceback__)
    if pathlib.Path(frame.filename).absolute() == path
  ]
  return f'{path.name}, line {lines[-1]}' if lines else ''


def _no_file(file: str) -> str:
  return (
    f'there is no file {file}; name yours, or a preset: '
    f'{", ".join(presets.names())}'
  )


def _causes(error: BaseException) -> Iterator[BaseException]:
  """Gives an error, and those that it was raised from or after."""
  while error is not None:
    yield error
    # absl and config_flags wrap an error in the message of another.
    nested = [x for x in error.args if isinstance(x, BaseException)]
    error = nested[0] if nested else error.__cause__ or error.__context__


def _brief(error: BaseException) -> str:
  text = _text(error)
  return f'{type(error).__name__}: {text}' if text else type(error).__name__


def _text(error: BaseException) -> str:
  """What an error says, in one line of some length."""
  message = error.msg if isinstance(error, SyntaxError) else str(error)
  text = ' '.join(str(message).split()).rstrip('.')
  return text if len(text) <= _LONGEST else f'{text[:_LONGEST]}...'
