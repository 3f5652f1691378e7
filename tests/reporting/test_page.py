"""The page says what was measured."""

import base64
import io
import re

import numpy as np
from PIL import Image

from dualgan_jax.reporting import curves, page, plots, report
from dualgan_jax.reporting.charts import (
  IntervalRow,
  calibration_chart,
  curve_chart,
  interval_chart,
)
from dualgan_jax.training import metrics_log
from tests.reporting.example_run import example_results, write_metrics


def test_the_headline_by_hand():
  assert page.headline(example_results(tuple('0123456789'))) == (
    'The student keeps 99.8% of the teachers’ top-1 accuracy with 28% of their '
    'parameters. Its own is 99.3% (95% interval 98.1% to 99.7%; 540 test '
    'images).'
  )


def test_the_headline_without_data():
  metrics = {'teachers': {'params': 200}, 'compact': {'params': 50}}
  metrics['compact']['agreement'] = 0.87
  results = {'metrics': metrics, 'diagnosis': {'num_images': 512}}
  assert page.headline(results) == (
    'The student gives the same label as the teachers on 87.0% of 512 '
    'generated images (95% interval 83.8% to 89.6%), with 25% of their '
    'parameters. There were no real images to measure on.'
  )


def test_the_page_says_the_verdict_and_how_to_go_on(tmp_path):
  report.write(tmp_path, example_results(tuple('0123456789')))
  text = (tmp_path / 'report.html').read_text()
  assert 'Verdict: doubtful' in text
  reason = 'No generated image shows 9: the student may not have learned it'
  assert f'<li>{reason}.</li>' in text
  for part in ('Confusion matrix', 'Calibration', 'dualgan predict student'):
    assert part in text
  # A flag to a line, so that none is broken.
  command = 'dualgan train \\\n  --config=digits \\\n  --workdir=long/'
  assert f'<pre>{command}' in text
  markdown = (tmp_path / 'report.md').read_text()
  assert '**Verdict: doubtful.** No generated image shows 9' in markdown


def test_the_page_shows_calibration_before_and_after_the_temperature(tmp_path):
  results = example_results(tuple('0123456789'))
  report.write(tmp_path, results)
  text = (tmp_path / 'report.html').read_text()
  # σ(1) and σ(4), of answers that are all right.
  assert 'is 0.269 before (grey rings) and 0.018 after (blue)' in text
  assert 'divided by a temperature of 0.25' in text
  # Results of earlier versions have no temperature.
  report.write(tmp_path, {**results, 'uncalibrated': None, 'temperatures': {}})
  text = (tmp_path / 'report.html').read_text()
  assert '(expected calibration error) is 0.018; 0 is best.' in text


def test_a_temperature_of_1_divides_nothing(tmp_path):
  results = example_results(tuple('0123456789'))
  report.write(tmp_path, {**results, 'temperatures': {'compact': 1.0}})
  text = (tmp_path / 'report.html').read_text()
  assert '0 is best. The student’s logits are not divided' in text
  assert 'grey rings' not in text


def test_a_short_run_is_said_to_mean_nothing(tmp_path):
  results = example_results(tuple('0123456789'))
  for is_short in (False, True):
    if is_short:
      steps = {'generator.steps': 20, 'refine.steps': 20}
      results['config'] = {**results['config'], **steps}
    report.write(tmp_path, results)
    for name in ('report.html', 'report.md'):
      text = (tmp_path / name).read_text()
      assert ('its figures mean nothing' in text) == is_short
      assert ('Verdict' in text) == (not is_short)


def test_without_real_images_the_table_has_what_generated_ones_tell():
  labels = tuple('0123456789')
  results = example_results(labels)
  results['metrics'] = {
    model: {**row, 'top1': None, 'mAP': None}
    | dict.fromkeys(('f1_macro', 'f1_micro', 'exact_match'))
    for model, row in results['metrics'].items()
  }
  *_, last_but_one, last = report.label_table(results).splitlines()
  assert last_but_one.split() == ['|', '8', '|', '54', '|', '100.0%', '|']
  # No image is most probably a 9, either.
  assert last.split() == ['|', '9', '|', 'none', '|', '–', '|']


def test_the_page_shows_the_worst_errors(tmp_path):
  plots.write_thumbnail(
    tmp_path / 'error.png', np.zeros((300, 200, 3), np.uint8)
  )
  error = {
    'row': 3,
    'truth': ['7'],
    'label': '1',
    'probability': 0.987,
    'teachers_probability': 0.25,
    'teachers_label': '7',
    'image': 'error.png',
  }
  lost = {**error, 'image': 'lost.png'}
  results = example_results(tuple('0123456789')) | {
    'worst_errors': [error, lost]
  }
  report.write(tmp_path, results)
  text = (tmp_path / 'report.html').read_text()
  assert text.count('alt="a test image of 7"') == 1
  assert 'student: 1 (0.99)<br>teachers: 7<' in text
  with Image.open(tmp_path / 'error.png') as thumbnail:
    assert max(thumbnail.size) == 160


def test_the_page_shows_images_beside_their_labels(tmp_path):
  labels = tuple('0123456789')
  (tmp_path / 'evaluate').mkdir()
  levels = np.arange(10)[:, None, None, None] / 10
  images = np.broadcast_to(levels, (10, 4, 4, 1))
  for has_real in (False, True):
    name = 'real.png' if has_real else 'generated.png'
    plots.write_grid(tmp_path / 'evaluate' / name, images, np.eye(10))
    report.write(tmp_path, example_results(labels))
    text = (tmp_path / 'report.html').read_text()
    strips = re.findall(
      'alt="(generated|real) images of (.)" src="data:image/png;base64,(.*?)"',
      text,
    )
    assert [strip[1] for strip in strips] == [*labels] * (1 + has_real)
    assert ('<h3>Real</h3>' in text) == has_real
  for row, (_, _, strip) in enumerate(strips[:10]):
    with Image.open(io.BytesIO(base64.b64decode(strip))) as picture:
      assert picture.getpixel((0, 0)) == (round(25.5 * row), 255)


def test_the_page_shows_the_course_of_the_generator(tmp_path):
  picture = np.zeros((4, 4, 1), np.uint8)
  for phase, steps in (
    ('generator/train', range(100, 1000, 100)),
    ('refine', (5, 100)),
    ('dual/block_1', (5, 100)),
  ):
    log = metrics_log.MetricsLog(tmp_path / phase.partition('/')[0])
    for step in steps:
      log.write_image(phase, step, picture)
    log.close()
  report.write(tmp_path, example_results(tuple('0123456789')))
  text = (tmp_path / 'report.html').read_text()
  captions = re.findall('<figcaption>stage ([a-z]+), step ([0-9]+)<', text)
  assert captions == [
    *(('generator', step) for step in ('100', '400', '600', '900')),
    *(('refine', step) for step in ('5', '100')),
  ]


def test_the_page_asks_no_server_for_anything(tmp_path):
  report.write(tmp_path, example_results(tuple('0123456789')))
  text = (tmp_path / 'report.html').read_text()
  sources = re.findall(r'(?:src|href)="([^"]*)"|url\(|@import|<script', text)
  assert all(source.startswith('data:') for source in sources)


def test_a_long_line_is_smoothed_and_keeps_its_ends():
  points = [(step, float(step % 2)) for step in range(80)]
  trend = curves.Line('', points).trend
  assert trend[0] == points[0]
  assert trend[-1] == points[-1]
  # Two values on either side.
  assert trend[40] == (40, 0.4)
  # One on either side, if there are few.
  assert curves.Line('', points[:12]).trend[2] == (2, 2 / 3)
  assert curves.Line('', points[:9]).trend == points[:9]


def test_of_many_labels_the_worst_are_shown(tmp_path):
  labels = tuple(f'label {number}' for number in range(60))
  results = example_results(labels) | {'confusion': None}
  (tmp_path / 'evaluate').mkdir()
  path = tmp_path / 'evaluate' / 'generated.png'
  plots.write_grid(path, np.ones((60, 2, 2, 1)), np.eye(60))
  report.write(tmp_path, results)
  text = (tmp_path / 'report.html').read_text()
  assert ' 60 labels.</p>' in text
  assert text.count('generated images of label ') == 40
  assert '60 labels are too many for one.' in text
  assert 'The 40 labels, of 60, that the student answers worst.' in text
  assert 'The 40 rarest of 60 labels.' in text


def test_curves_that_say_nothing_are_left_out(tmp_path):
  rows = [
    {
      'phase': 'dual/block_1',
      'step': step,
      'loss': 1.0 / step,
      'l_d_own': 1.0 / step,
      'l_a': -1.0 * step,
      'l_dis': 0.1,
      'firing_rate': [0.5],
      'diversity': float('nan'),
      'mine': float(step),
    }
    for step in (1, 5, 10)
  ]
  rows += [{'phase': 'dual/block_2', 'step': s, 'loss': 2.0} for s in (1, 2)]
  write_metrics(tmp_path / 'dual', rows)
  config = {'objective.alpha': 0.0}
  loss, unknown = curves.select_curves(tmp_path / 'dual', config)
  assert loss.title == 'Loss'
  # The second block has two points only; `l_d_own` is the loss, `l_dis` never
  # changes, and `l_a` has no weight.
  assert loss.lines == [('block_1', [(1, 1.0), (5, 0.2), (10, 0.1)], 0)]
  assert unknown.title == 'mine'
  assert curves.select_curves(tmp_path) == []


def test_lines_have_names_in_a_stage_of_several_trainings(tmp_path):
  rows = [
    {'phase': phase, 'step': step, **dict.fromkeys(names, 0.5 * step)}
    for phase, names in {
      'refine': ('loss',),
      'refine/branched': ('loss', 'agreement'),
    }.items()
    for step in range(3)
  ]
  write_metrics(tmp_path / 'refine', rows)
  loss, agreement = curves.select_curves(tmp_path / 'refine')
  assert [line.name for line in loss.lines] == ['refine', 'branched']
  # It keeps its number, and so its colour.
  assert [line[::2] for line in agreement.lines] == [('branched', 1)]


def test_a_long_curve_is_thinned_out_and_keeps_its_end(tmp_path):
  rows = [{'phase': 'refine', 'step': s, 'loss': 1.0 * s} for s in range(1001)]
  write_metrics(tmp_path / 'refine', rows)
  (curve,) = curves.select_curves(tmp_path / 'refine')
  assert curve.title == 'Loss of the student'
  (line,) = curve.lines
  assert line.name == ''
  assert len(line.points) <= 300
  assert line.points[-1] == (1000, 1000.0)


def test_places_in_charts_by_hand():
  chart = interval_chart([IntervalRow('a', 0.75, (0.6, 0.8))])
  assert chart['start'] == 0.6
  (row,) = chart['rows']
  assert (row['x'], row['low'], row['high']) == (37.5, 0.0, 50.0)
  assert interval_chart([IntervalRow('a', 1.0, None)])['start'] == 0.9

  answer_bins = [
    {'confidence': 0.5, 'accuracy': 0.25, 'count': 4},
    {'confidence': 0.75, 'accuracy': 1.0, 'count': 16},
    {'confidence': None, 'accuracy': None, 'count': 0},
  ]
  places = [
    (b['x'], b['y'], b['radius']) for b in calibration_chart(answer_bins)
  ]
  assert places == [(50.0, 75.0, 2.0), (75.0, 0.0, 4.0)]

  line = curves.Line('', [(0, 3.0), (5, 1.0), (10, 2.0)])
  chart = curve_chart(curves.Curve('title', 'caption', [line], is_main=True))
  assert (chart['low'], chart['high'], chart['last_step']) == (1.0, 3.0, 10)
  assert chart['lines'][0]['points'] == '0.00,5.00 50.00,95.00 100.00,50.00'
  # A constant, but for its rounding.
  constant = curves.Line('', [(0, 0.1), (1, 0.10000001)])
  chart = curve_chart(curves.Curve('title', '', [constant], is_main=True))
  assert chart['lines'][0]['points'] == '0.00,50.00 100.00,50.00'
