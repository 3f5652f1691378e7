"""Mean and standard deviation over seeds, as tables show them."""

import statistics
from collections.abc import Sequence


def mean_and_std(values: Sequence[float | None], digits: int = 4) -> str:
  """Formats mean ± sample standard deviation.

  Args:
    values: one per seed; None where there is none.
    digits: after the point.

  Returns:
    The value alone if there is only one, and a dash if some is missing.
  """
  if None in values:
    return '–'
  mean = f'{statistics.mean(values):.{digits}f}'
  if len(values) == 1:
    return mean
  return f'{mean} ± {statistics.stdev(values):.{digits}f}'
