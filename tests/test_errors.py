"""What errors of others are cut to."""

import pytest

from dualgan_jax import errors


@pytest.mark.parametrize(
  ('error', 'said'),
  [
    (ValueError('too large'), 'too large'),
    (OSError('\n no room \nat all'), 'no room '),
    (RuntimeError(), 'RuntimeError'),
    (MemoryError(' \n'), 'MemoryError'),
  ],
)
def test_the_first_line_says_what_or_else_which(error, said):
  assert errors.first_line(error) == said
