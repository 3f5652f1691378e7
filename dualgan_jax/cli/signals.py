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
STOPPED = 'stopped at once; the same command goes on from what is saved'
# True of an export, which is written beside and renamed.
STOPPED_EXPORT = 'stopped; the same command starts again'
# The exit codes that README documents, where nothing is trained.
EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 75}
_is_registered = False


def exit_on_signals(sentence: str = STOPPED) -> None:
  """Makes SIGINT and SIGTERM end the process with a line on stderr.

  Call it first of all in a command, in the main thread. It ends the process on
  the spot: an exception, as Python raises for Ctrl-C, could be swallowed or
  shown as a traceback by a library that is just being imported. So nothing runs
  that stands in `finally` or `atexit`; use it where a kill does no harm, as
  all that is written beside and renamed allows.

  A training loop installs its own handlers, which save first, and puts these
  back when it is done. `signal.signal` replaces them for any other need.

  Args:
    sentence: what to print after 'error: '.
  """

  def leave(number, frame):
    del frame
    # What has been printed so far is kept, unless the signal came during a
    # print, or nobody reads any more.
    with contextlib.suppress(Exception):
      sys.stdout.flush()
    with contextlib.suppress(OSError):
      os.write(2, f'error: {sentence}\n'.encode())
    os._exit(EXIT_CODES[number])

  for number in EXIT_CODES:
    signal.signal(number, leave)
  # Registered once and first, it is called last: all is done, and the code is
  # settled, but Python takes its handlers away while it still tidies up.
  global _is_registered
  if not _is_registered:
    atexit.register(_ignore)
    _is_registered = True


def _ignore():
  for number in EXIT_CODES:
    signal.signal(number, signal.SIG_IGN)
