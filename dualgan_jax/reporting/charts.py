"""Computes the coordinates of the charts of `report.html`.

Text stands beside the drawings, and not in them: on a phone a chart becomes
narrow, and its text stays as large.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dualgan_jax.reporting.curves import Curve

_MAX_RADIUS = 4.0  # of the circles of a chart 100 wide
_MARGIN = 0.05  # above and below a curve, of its height
_ROUNDING = 1e-5  # of float32, as a share of a value


class IntervalRow(NamedTuple):
  """A score with its confidence interval.

  Attributes:
    name: of the model.
    score: in [0, 1].
    interval: lower and upper bound; None if it is not known.
  """

  name: str
  score: float
  interval: Sequence[float] | None


def interval_chart(rows: Sequence[IntervalRow]) -> dict[str, Any]:
  """Places scores and intervals on one axis, which ends at 1.

  Args:
    rows: the models.

  Returns:
    `start` of the axis, a multiple of 0.1, and `rows`, each with `name`,
    `score`, `interval`, and in percent of the axis `x`, `low` and `high`.
  """
  lowest = min(
    (min([row.score, *(row.interval or ())]) for row in rows), default=0.0
  )
  # Never narrower than 0.1: a score of 1 has its place, too.
  start = max(min(math.floor(lowest * 10) / 10, 0.9), 0.0)

  def place(value: float) -> float:
    return round(100 * (value - start) / (1 - start), 2)

  return {
    'start': start,
    'rows': [
      {
        **row._asdict(),
        'x': place(row.score),
        'low': place(row.interval[0]) if row.interval else None,
        'high': place(row.interval[1]) if row.interval else None,
      }
      for row in rows
    ],
  }


def calibration_chart(bins: Sequence[Mapping[str, Any]]) -> list[dict]:
  """Places bins on a square of 100 × 100, whose y axis points down.

  Args:
    bins: of `calibration.count_bins`.

  Returns:
    Of each bin that is not empty `x`, `y` and `radius`, its area by the number
    of answers, and the bin's own entries.
  """
  largest = max((one_bin['count'] for one_bin in bins), default=0)
  return [
    {
      **one_bin,
      'x': round(100 * one_bin['confidence'], 2),
      'y': round(100 - 100 * one_bin['accuracy'], 2),
      # Never so small that it cannot be seen.
      'radius': round(
        max(_MAX_RADIUS * math.sqrt(one_bin['count'] / largest), 1.2), 2
      ),
    }
    for one_bin in bins
    if one_bin['count']
  ]


def curve_chart(curve: Curve) -> dict[str, Any]:
  """Places the lines of a curve on a box of 100 × 100.

  Args:
    curve: of `curves.select_curves`.

  Returns:
    `title`, `caption` and `is_main`; `low`, `high` and `last_step`, the ends of
    the axes; and `lines`, with `name` and `number`, and for SVG polylines
    `points` and `trend`, the same smoothed, whose `last` value is given, too.
  """
  values = [value for line in curve.lines for _, value in line.points]
  low, high = min(values), max(values)
  last_step = max(line.points[-1][0] for line in curve.lines)
  middle = (high + low) / 2
  # A constant runs through the middle, whatever its rounding does.
  is_constant = high - low <= _ROUNDING * abs(middle)
  height = 1.0 if is_constant else high - low

  def place(step: int, value: float) -> str:
    x = 100 * step / max(last_step, 1)
    y = 50 - 100 * (1 - 2 * _MARGIN) * (value - middle) / height
    return f'{x:.2f},{y:.2f}'

  return {
    'title': curve.title,
    'caption': curve.caption,
    'is_main': curve.is_main,
    'low': low,
    'high': high,
    'last_step': last_step,
    'lines': [
      {
        'name': line.name,
        'number': line.number,
        'points': ' '.join(place(*point) for point in line.points),
        'trend': ' '.join(place(*point) for point in trend),
        'last': trend[-1][1],
      }
      for line, trend in ((line, line.trend) for line in curve.lines)
    ],
  }
