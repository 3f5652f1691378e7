"""Formats mean and standard deviation over seeds, for tables."""

import statistics
from collections.abc import Sequence


def mean_and_std(seed_values: Sequence[float | None], digits: int = 4) -> str:
  """Formats mean ± sample standard deviation.

  Args:
    seed_values: a value per seed; None for a missing one.
    digits: number of digits after the point.

  Returns:
    The mean only if there is one seed, and a dash if a value is missing.
  """
  if None in seed_values:
    return '–'
  mean = f'{statistics.mean(seed_values):.{digits}f}'
  # A standard deviation needs two values.
  if len(seed_values) == 1:
    return mean
  return f'{mean} ± {statistics.stdev(seed_values):.{digits}f}'
