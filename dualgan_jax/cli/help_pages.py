"""Writes what `--help` and `--config=?` print."""

import ast
import textwrap
from collections.abc import Sequence

from dualgan_jax import presets
from dualgan_jax.cli import experiment_flags
from dualgan_jax.config import reference, schema, stage_fields
from dualgan_jax.display import PAGE_WIDTH

_MEANING_INDENT = ' ' * 4
_NAME_WIDTH = 14  # of the column of presets' names
_HELP_FLAGS = {'-h', '-help', '--help', '--helpshort', '--helpfull'}
# Flags of every command that reads a config.
CONFIG_FLAGS = """\
  --config=NAME         a preset or a Python file, and variants of it:
                        digits, digits:smoke, mine.py:small,wide
  --config.FIELD=VALUE  change a field, as in --config.generator.steps=500
"""
CONFIG_NOTES = """\
--config='?' lists the presets; --config=digits --help lists a config's fields.
"""
# Flags of every command that trains.
LOG_FLAGS = """\
  --quiet               print warnings, errors and results only
  --log_level=LEVEL     debug, info (the default), warning or error
"""
# Exit codes of every command that trains.
TRAINING_NOTES = """\
Exit codes: 0 done, 2 something to put right, 3 the training cannot go on,
75 interrupted and saved: the same command resumes it.
"""


def find_page(argv: Sequence[str], usage: str) -> str | None:
  """Finds the page that a command line requests.

  Args:
    argv: the program's name and its arguments.
    usage: the command's help page, with `{program}` to be filled in.

  Returns:
    Text for the terminal; None if the command is to do its work.

  Raises:
    UserError: the config whose fields are requested is wrong.
  """
  config_argument = experiment_flags.find_config_argument(argv)
  if config_argument == '?':
    return _format_presets()
  if not _HELP_FLAGS.intersection(argv[1:]):
    return None
  # With a config, the page has its fields, and their values after overrides.
  if config_argument:
    experiment_flags.parse([word for word in argv if word not in _HELP_FLAGS])
    return _format_fields()
  return usage.format(program=argv[0]).rstrip()


def _format_presets() -> str:
  """Lists all presets with the first lines of their docstrings."""
  page_lines = []
  for preset_name in presets.list_presets():
    # Parsed, not imported: a list needs nothing of what presets import.
    source_code = presets.find_preset(preset_name).read_text(encoding='utf-8')
    docstring = ast.get_docstring(ast.parse(source_code))
    page_lines.append(
      textwrap.fill(
        docstring.partition('\n')[0],
        PAGE_WIDTH,
        initial_indent=f'{preset_name:<{_NAME_WIDTH}} ',
        subsequent_indent=' ' * (_NAME_WIDTH + 1),
      )
    )
  return '\n'.join(page_lines)


def _format_fields() -> str:
  """Lists the fields of the config in the flags: values and meanings."""
  config = schema.check(experiment_flags.CONFIG.value)
  page_lines = []
  for field_path, value in stage_fields.flatten_fields(config).items():
    field = reference.find_field(field_path)
    page_lines += [
      f'--config.{field_path}={value!r}',
      textwrap.fill(
        f'{field.meaning} Takes {field.accepted_values}.',
        PAGE_WIDTH,
        initial_indent=_MEANING_INDENT,
        subsequent_indent=_MEANING_INDENT,
      ),
    ]
  return '\n'.join(page_lines)
