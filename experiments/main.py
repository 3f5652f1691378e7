"""Starts `dualgan train` from a checkout: `python -m experiments.main`."""

from dualgan_jax.cli import signals

if __name__ == '__main__':
  # Also while the modules below are imported.
  signals.exit_on_signals()

import sys

from dualgan_jax.cli import main

if __name__ == '__main__':
  sys.exit(main.main(['train', *sys.argv[1:]]))
