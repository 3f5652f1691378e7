"""Turns whatever a user's code raises into one sentence."""

import contextlib
from collections.abc import Iterator

from dualgan_jax.errors import UserError, first_line


@contextlib.contextmanager
def user_errors(failure: str) -> Iterator[None]:
  """Turns whatever the user's code may raise into one sentence.

  Args:
    failure: the beginning of the sentence.

  Raises:
    UserError: if anything is raised inside.
  """
  try:
    yield
  except UserError:
    raise
  except Exception as error:
    raise UserError(
      f'{failure} ({type(error).__name__}: {first_line(error)}).'
    ) from error
