"""Prints on standard output, whether its reader stays or leaves early."""

import contextlib
import os
import sys
from collections.abc import Iterator

from dualgan_jax.errors import UserError


@contextlib.contextmanager
def printing() -> Iterator[None]:
  """Wraps the code that prints, so that no text and no reader breaks it.

  A reader that leaves early, like `head`, ends the block without an error.

  Raises:
    UserError: standard output is closed, or cannot be written.
  """
  if sys.stdout is None:
    raise UserError('standard output is closed; open it, or send it to a file.')
  # Labels hold any letters, and a terminal may not know all of them.
  sys.stdout.reconfigure(errors='replace')
  try:
    yield
    sys.stdout.flush()
  except OSError as error:
    if not isinstance(error, BrokenPipeError):
      _close_stdout()
      raise UserError(
        f'standard output cannot be written ({error.strerror}); send it '
        'elsewhere.'
      ) from error
    # The reader has left, which is fine; Python would report it at its exit.
    _close_stdout()


def _close_stdout() -> None:
  """Sends to the null device what is still to be flushed."""
  null_device = os.open(os.devnull, os.O_WRONLY)
  os.dup2(null_device, sys.stdout.fileno())
