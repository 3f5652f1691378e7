"""Draws how accurate students are over the minutes of their training.

`experiments.accuracy_over_time` measures that; `experiments.figures` writes the
drawing.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from experiments import svg

# By objective: what it is called, and its colours.
_METHODS = {'default': ('dualgan_jax', 'ours'), 'dafl': ('DAFL', 'other')}
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 840, 60, 320


def draw(task: str, curves: Sequence[Mapping[str, Any]]) -> str:
  """Draws a line per training, from 0 to the minutes of the longest one.

  Args:
    task: what was trained, in plain words.
    curves: what `accuracy_over_time.follow` returned, one per objective,
      which is `default` or `dafl`.

  Returns:
    SVG.
  """
  last_seconds = max(curve['points'][-1]['seconds'] for curve in curves)
  num_minutes = max(1, math.ceil(last_seconds / 60))

  def place(minutes: float, top1: float) -> tuple[float, float]:
    return (
      _LEFT + (_RIGHT - _LEFT) * minutes / num_minutes,
      _BOTTOM - (_BOTTOM - _TOP) * top1,
    )

  shapes = [*_draw_axes(num_minutes, place)]
  for number, curve in enumerate(curves):
    name, colours = _METHODS[curve['objective']]
    corners = [
      place(point['seconds'] / 60, point['top1']) for point in curve['points']
    ]
    points = ' '.join(f'{x:.1f},{y:.1f}' for x, y in corners)
    shapes += [
      f'<polyline class="{colours}_line" points="{points}" stroke-width="2"/>',
      *(
        f'<circle class="{colours}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
        for x, y in corners
      ),
      f'<circle class="{colours}" cx="{_LEFT + 10 + 160 * number}" cy="32" '
      'r="6"/>',
      svg.text(_LEFT + 24 + 160 * number, 37, name, anchor='start'),
    ]
  title = f'{task}: accuracy of the student over the minutes of its training.'
  return svg.document(880, _BOTTOM + 60, title, shapes)


def _draw_axes(num_minutes: int, place) -> list[str]:
  """Draws lines for tenths of accuracy, and writes both axes."""
  shapes = []
  for fifth in range(6):
    x, y = place(0, fifth / 5)
    shapes += [
      f'<line class="grid" x1="{x:g}" y1="{y:g}" x2="{_RIGHT}" y2="{y:g}"/>',
      svg.text(x - 10, y + 5, f'{fifth / 5:.1f}', 'faint', 'end'),
    ]
  # No more than a dozen numbers beside one another.
  for minutes in range(0, num_minutes + 1, math.ceil(num_minutes / 12)):
    x, y = place(minutes, 0)
    shapes.append(svg.text(x, y + 20, str(minutes), 'faint'))
  words = 'minutes without data; accuracy on real test images'
  shapes.append(svg.text((_LEFT + _RIGHT) / 2, _BOTTOM + 42, words, 'faint'))
  return shapes
