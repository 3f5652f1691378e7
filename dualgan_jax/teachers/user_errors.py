"""Turns whatever a user's code, or a damaged file, raises into one sentence."""

import contextlib
from collections.abc import Iterator

from dualgan_jax.display import printable
from dualgan_jax.errors import UserError, first_line

_MAX_LENGTH = 500


@contextlib.contextmanager
def user_errors(failure: str, cure: str = '') -> Iterator[None]:
  """Turns whatever the user's code or file may raise into one sentence.

  Args:
    failure: the beginning of the sentence.
    cure: its end, like '; train it again'.

  Raises:
    UserError: if anything is raised inside.
  """
  try:
    yield
  except UserError:
    raise
  except Exception as error:
    message = printable(first_line(error), _MAX_LENGTH)
    raise UserError(
      f'{failure} ({type(error).__name__}: {message}){cure}.'
    ) from error
