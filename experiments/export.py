"""Starts `dualgan export` from a checkout: `python -m experiments.export`."""

from dualgan_jax.cli import signals

if __name__ == '__main__':
  # Also while the modules below are imported.
  signals.exit_on_signals(signals.STOPPED_EXPORT_MESSAGE)

import sys

from dualgan_jax.cli import main

if __name__ == '__main__':
  sys.exit(main.main(['export', *sys.argv[1:]]))
