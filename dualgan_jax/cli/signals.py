"""Ends a command with one line when Ctrl-C or SIGTERM stops it.

Imports nothing heavy, so that an entry point can begin with it:

    from dualgan_jax.cli import signals

    if __name__ == '__main__':
      signals.exit_on_signals()

    import jax  # takes a second, in which Ctrl-C works already
"""

import atexit
import contextlib
import os
import signal
import sys

# True of every command that trains.
STOPPED_MESSAGE = 'stopped at once; the same command goes on from what is saved'
# True of an export, which is written beside and renamed.
STOPPED_EXPORT_MESSAGE = 'stopped; the same command starts again'
# The exit codes that docs/running.md lists, where nothing is trained.
EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 75}
_is_registered = False


def exit_on_signals(sentence: str = STOPPED_MESSAGE) -> None:
  """Makes SIGINT and SIGTERM end the process with a line on stderr.

  Call it first of all in a command, in the main thread. It ends the process on
  the spot: an exception, as Python raises for Ctrl-C, could be swallowed or
  shown as a traceback by a library that is just being imported. So nothing in
  `finally` or `atexit` runs; use it where a kill does no harm, because files
  are written under another name and then renamed.

  A training loop installs its own handlers, which save first, and puts these
  back when it is done. `signal.signal` replaces them for any other need.

  Args:
    sentence: that line.
  """

  def leave(signal_number, frame):
    del frame
    # Earlier output is flushed, unless the signal came during a print, or
    # nobody reads any more.
    with contextlib.suppress(Exception):
      sys.stdout.flush()
    with contextlib.suppress(OSError):
      os.write(2, f'{sentence}\n'.encode())
    os._exit(EXIT_CODES[signal_number])

  for signal_number in EXIT_CODES:
    signal.signal(signal_number, leave)
  # Registered once and first, it is called last: all is done, and the code is
  # settled, but Python takes its handlers away while it still tidies up.
  global _is_registered
  if not _is_registered:
    atexit.register(_ignore_signals)
    _is_registered = True


def _ignore_signals() -> None:
  for signal_number in EXIT_CODES:
    signal.signal(signal_number, signal.SIG_IGN)
