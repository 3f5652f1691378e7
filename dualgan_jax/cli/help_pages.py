"""What `--help` and `--config=?` print."""

import ast
import textwrap
from collections.abc import Sequence

from dualgan_jax import presets
from dualgan_jax.cli import experiment_flags
from dualgan_jax.config import reference, schema, stage_fields

_WIDTH, _INDENT = 80, ' ' * 4
_HELP = {'-h', '-help', '--help', '--helpshort', '--helpfull'}
# Of the commands that train, at the end of their usage.
NOTES = """\
--config=? lists the presets, --config=digits --help the fields of one.
Exit codes: 0 done, 2 something to put right, 3 the training cannot go on,
75 interrupted and saved: the same command goes on.
"""


def find(argv: Sequence[str], usage: str) -> str | None:
  """Finds the page that a command line asks for.

  Args:
    argv: the program's name and its arguments.
    usage: the command's text, with `{program}` to be filled in.

  Returns:
    A text for the terminal; None if the command is to do its work.

  Raises:
    UserError: the fields of a config are asked for that cannot be read.
  """
  argument = experiment_flags.config_argument(argv)
  if argument == '?':
    return _preset_list()
  if not _HELP.intersection(argv[1:]):
    return None
  if argument:
    experiment_flags.parse([x for x in argv if x not in _HELP])
    return _fields()
  return usage.format(program=argv[0]).rstrip()


def _preset_list() -> str:
  lines = []
  for name in presets.names():
    module = ast.parse(presets.path(name).read_text(encoding='utf-8'))
    summary = ast.get_docstring(module).partition('\n')[0]
    lines.append(f'{name:<14} {summary}')
  return '\n'.join(lines)


def _fields() -> str:
  config = schema.check(experiment_flags.CONFIG.value)
  lines = []
  for path, value in stage_fields.flattened(config).items():
    field = reference.find(path)
    lines += [
      f'--config.{path}={value!r}',
      textwrap.fill(
        f'{field.meaning} Takes {field.values}.',
        _WIDTH,
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
      ),
    ]
  return '\n'.join(lines)
