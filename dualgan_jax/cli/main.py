"""The command `dualgan`: dispatches to its subcommands."""

import importlib
import sys
from collections.abc import Sequence

from dualgan_jax.display import printable
from dualgan_jax.errors import UserError
from dualgan_jax.stdout import printing
from dualgan_jax.version import __version__

# By name: the module, its function, and a line for the overview. Modules are
# imported when they are needed: predicting needs nothing of what trains.
COMMANDS = {
  'train': ('train', 'main', 'train an experiment, or resume it'),
  'dry-run': ('train', 'dry_run_main', 'show what would be trained'),
  'sweep': ('sweep', 'main', 'train with several seeds and values of fields'),
  'report': ('report', 'main', 'compare finished runs in one page'),
  'show-config': ('show_config', 'main', 'print all fields of a config'),
  'export': ('export', 'main', 'write a student as StableHLO or ONNX'),
  'inspect': ('inspect', 'main', 'show the net of a torch.export file'),
  'info': ('info', 'main', 'show the labels and the net of a student'),
  'predict': ('predict', 'main', 'label images with a student'),
  'publish': ('publish', 'main', 'upload a student to the Hugging Face Hub'),
}
_PROGRAM_NAME = 'dualgan'
_GLOBAL_FLAGS = ('-h', '--help', '--version')
_MAX_NAME_LENGTH = 100  # characters of a wrong command that an error quotes


def main(argv: Sequence[str] | None = None) -> int:
  """Runs a subcommand.

  Args:
    argv: its name and its arguments; those of the process if None.

  Returns:
    The exit code.

  Raises:
    SystemExit: a subcommand ends with the exit code that its help documents.
  """
  arguments = sys.argv[1:] if argv is None else list(argv)
  # Without arguments, an overview says more than an error.
  command_name = arguments[0] if arguments else '--help'
  if command_name in _GLOBAL_FLAGS:
    is_version = command_name == '--version'
    with printing():
      print(f'dualgan_jax {__version__}' if is_version else _format_overview())
    return 0
  if command_name not in COMMANDS:
    print(
      f'error: {printable(command_name, _MAX_NAME_LENGTH)}: no such command; '
      f'there are {", ".join(COMMANDS)}.',
      file=sys.stderr,
    )
    return 2

  module_name, function_name, _ = COMMANDS[command_name]
  module = importlib.import_module(f'dualgan_jax.cli.{module_name}')
  run_command = getattr(module, function_name)
  try:
    # Commands that train exit by themselves, and return nothing when done.
    return run_command([f'{_PROGRAM_NAME} {command_name}', *arguments[1:]]) or 0
  except UserError as error:
    print(f'error: {printable(error)}', file=sys.stderr)
    return error.exit_code


def _format_overview() -> str:
  """Formats the help page of `dualgan` itself."""
  overview_lines = [
    'usage: dualgan COMMAND ...',
    '',
    'Merges trained classifiers into one student, without their training data.',
    '',
    *(
      f'  {command_name:<12} {summary}'
      for command_name, (_, _, summary) in COMMANDS.items()
    ),
    '',
    'dualgan COMMAND --help explains a command; --version shows the version.',
    'To begin: dualgan train --config=digits:smoke --workdir=runs/smoke',
  ]
  return '\n'.join(overview_lines)
