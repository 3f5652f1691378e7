"""Printing on standard output, whoever reads it, and for as long as they do."""

import contextlib
import os
import sys
from collections.abc import Iterator

from dualgan_jax.errors import UserError


@contextlib.contextmanager
def printing() -> Iterator[None]:
  """Prints any text, to a reader who may leave.

  Raises:
    UserError: nothing can be printed there.
  """
  if sys.stdout is None:
    raise UserError('standard output is closed; open it, or send it to a file.')
  # Labels are anybody's text, and a terminal may not know all letters.
  sys.stdout.reconfigure(errors='replace')
  try:
    yield
    sys.stdout.flush()
  except OSError as e:
    if not isinstance(e, BrokenPipeError):
      _close_stdout()
      raise UserError(
        f'standard output cannot be written ({e.strerror}); send it elsewhere.'
      ) from e
    # Who reads has seen enough; Python would complain of it at its end.
    _close_stdout()


def _close_stdout() -> None:
  os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
