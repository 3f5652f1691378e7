"""Errors of other libraries are cut to their first line."""

import pytest

from dualgan_jax import errors


@pytest.mark.parametrize(
  ('error', 'line'),
  [
    (ValueError('too large'), 'too large'),
    (OSError('\n no room \nat all'), 'no room '),
    (RuntimeError(), 'RuntimeError'),
    (MemoryError(' \n'), 'MemoryError'),
  ],
)
def test_an_empty_message_is_replaced_by_the_type_of_the_error(error, line):
  assert errors.first_line(error) == line
