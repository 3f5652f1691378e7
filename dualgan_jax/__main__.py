"""Starts the command `dualgan`; `python -m dualgan_jax` does, too."""

import sys

from dualgan_jax.cli import signals


def main() -> int:
  """Runs the command; signals are minded while its modules are imported."""
  signals.exit_on_signals('stopped')
  from dualgan_jax.cli import main as command

  return command.main()


if __name__ == '__main__':
  sys.exit(main())
