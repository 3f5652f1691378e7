"""The command `dualgan`: what it can do, and where each part of it is."""

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
  'train': ('train', 'main', 'train an experiment, or go on with it'),
  'dry-run': ('train', 'dry_run_main', 'show what would be trained'),
  'sweep': ('sweep', 'main', 'train with several seeds and values of fields'),
  'show-config': ('show_config', 'main', 'print all fields of a config'),
  'export': ('export', 'main', 'write a student as StableHLO or ONNX'),
  'info': ('info', 'main', 'show what a student answers'),
  'predict': ('predict', 'main', 'answer images with a student'),
}
_PROGRAM = 'dualgan'


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
  name = arguments[0] if arguments else '--help'
  if name in ('-h', '--help', '--version'):
    with printing():
      print(_overview() if 'h' in name else f'dualgan_jax {__version__}')
    return 0
  if name not in COMMANDS:
    print(
      f'error: {printable(name, 100)}: no such command; there are '
      f'{", ".join(COMMANDS)}.',
      file=sys.stderr,
    )
    return 2
  module_name, function_name, _ = COMMANDS[name]
  module = importlib.import_module(f'dualgan_jax.cli.{module_name}')
  command = getattr(module, function_name)
  try:
    return command([f'{_PROGRAM} {name}', *arguments[1:]]) or 0
  except UserError as e:
    print(f'error: {printable(e)}', file=sys.stderr)
    return e.exit_code


def _overview() -> str:
  lines = [
    'usage: dualgan COMMAND ...',
    '',
    'Amalgamates trained classifiers into one student, without their data.',
    '',
    *(f'  {name:<12} {text}' for name, (_, _, text) in COMMANDS.items()),
    '',
    'dualgan COMMAND --help tells more, dualgan --version the version.',
    'To begin: dualgan train --config=digits:smoke --workdir=runs/smoke',
  ]
  return '\n'.join(lines)
