"""The drawing of accuracy over time shows what was measured."""

import json
import re

from experiments import figures, learning_curves


def _curve(objective, *points):
  return {
    'objective': objective,
    'points': [{'seconds': seconds, 'top1': top1} for seconds, top1 in points],
  }


def test_a_line_goes_through_all_points_and_the_axis_to_the_last_minute():
  drawing = learning_curves.draw(
    'Digits', [_curve('default', (60, 0.0), (120, 1.0))]
  )
  (line,) = re.findall('<polyline class="ours_line" points="([^"]+)"', drawing)
  # Half of the width and no height, then the whole of both.
  assert line == '455.0,320.0 840.0,60.0'
  assert re.findall(r'>(\d+)</text>', drawing) == ['0', '1', '2']


def test_each_method_has_a_line_and_a_name():
  drawing = learning_curves.draw(
    'Digits',
    [_curve('default', (30, 0.5)), _curve('dafl', (40, 0.4))],
  )
  assert drawing.count('<polyline class="ours_line"') == 1
  assert drawing.count('<polyline class="other_line"') == 1
  assert '>dualgan_jax</text>' in drawing and '>DAFL</text>' in drawing


def test_trainings_of_one_experiment_share_a_figure(tmp_path):
  for objective in ('default', 'dafl'):
    curve = {'experiment': 'digits', **_curve(objective, (30, 0.5))}
    (tmp_path / f'{objective}.json').write_text(json.dumps(curve))
  drawings = figures.draw_curves(tmp_path)
  assert list(drawings) == ['digits_curves.svg']
  assert 'handwritten digits' in drawings['digits_curves.svg']
  assert drawings['digits_curves.svg'].count('<polyline') == 2
