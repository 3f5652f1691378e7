"""The page says what was measured, and fits on a phone."""

import base64
import io
import json
import pathlib
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from dualgan_jax.reporting import (
  calibration,
  confusion,
  curves,
  diagnosis,
  findings,
  page,
  plots,
  report,
)
from dualgan_jax.reporting.charts import (
  IntervalRow,
  calibration_chart,
  curve_chart,
  interval_chart,
)
from dualgan_jax.training import metrics_log
from tests.paths import ROOT

_CHROMIUM = shutil.which('chromium')
_TEMPLATES = ROOT / 'dualgan_jax' / 'reporting' / 'templates'
# As wide as a phone: 360 pixels, in which the page may scroll downwards only.
_PHONE = """<iframe width="360" height="640" style="border:0"></iframe><script>
const frame = document.querySelector('iframe');
frame.onload = () => {{
  const page = frame.contentDocument;
  page.querySelectorAll('details').forEach(part => {{ part.open = true; }});
  const root = page.documentElement;
  document.title = `${{root.scrollWidth}} of ${{root.clientWidth}}`;
}};
frame.srcdoc = {page};
</script>"""


def _results(labels):
  """Results of a stored run, with what this version adds."""
  path = ROOT / 'experiments/results/digits/default-seed0.json'
  results = json.loads(path.read_text())
  num_labels = len(labels)
  targets = np.eye(num_labels)[np.arange(540) % num_labels]
  logits = 8 * targets - 4
  # One label of the ten is never made.
  made_logits = np.where(np.arange(num_labels) == 9, -4, logits)
  found = findings.examine(
    labels, logits, made_logits, (logits, logits), single_label=False
  )
  comparison = {
    'student_ap': 0.75,
    'teachers_ap': 0.875,
    'student_only': 0.0125,
    'teachers_only': 0.0,
  }
  return {
    **results,
    'labels': labels,
    'images': {'digits': {'train': 1257, 'test': 540}},
    'per_label': dict.fromkeys(labels, comparison),
    'intervals': {'compact': {'top1': [0.9814, 0.9971]}},
    'confusion': confusion.count_answers(logits, targets, one_label=True),
    'uncalibrated': calibration.count_bins(logits / 4, targets, one_label=True),
    'calibration': calibration.count_bins(logits, targets, one_label=True),
    'temperatures': {'compact': 0.25},
    'diagnosis': diagnosis.diagnose(found),
    'command': 'dualgan train --config=digits --workdir=' + 'long/' * 40,
  }


def _write_metrics(stage_folder: pathlib.Path, rows):
  stage_folder.mkdir()
  lines = [json.dumps(row) + '\n' for row in rows]
  (stage_folder / 'metrics.jsonl').write_text(''.join(lines))


def test_the_headline_by_hand():
  assert page.headline(_results(tuple('0123456789'))) == (
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
  report.write(tmp_path, _results(tuple('0123456789')))
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
  results = _results(tuple('0123456789'))
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
  results = _results(tuple('0123456789'))
  report.write(tmp_path, {**results, 'temperatures': {'compact': 1.0}})
  text = (tmp_path / 'report.html').read_text()
  assert '0 is best. The student’s logits are not divided' in text
  assert 'grey rings' not in text


def test_a_short_run_is_said_to_mean_nothing(tmp_path):
  results = _results(tuple('0123456789'))
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
  results = _results(labels)
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
  results = _results(tuple('0123456789')) | {'worst_errors': [error, lost]}
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
    report.write(tmp_path, _results(labels))
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
  report.write(tmp_path, _results(tuple('0123456789')))
  text = (tmp_path / 'report.html').read_text()
  captions = re.findall('<figcaption>stage ([a-z]+), step ([0-9]+)<', text)
  assert captions == [
    *(('generator', step) for step in ('100', '400', '600', '900')),
    *(('refine', step) for step in ('5', '100')),
  ]


def test_the_page_asks_no_server_for_anything(tmp_path):
  report.write(tmp_path, _results(tuple('0123456789')))
  text = (tmp_path / 'report.html').read_text()
  sources = re.findall(r'(?:src|href)="([^"]*)"|url\(|@import|<script', text)
  assert all(source.startswith('data:') for source in sources)


def _channels(colour):
  """Red, green and blue in [0, 255], of '#rgb' or '#rrggbb'."""
  digits = colour.removeprefix('#')
  if len(digits) == 3:
    digits = ''.join(2 * digit for digit in digits)
  return np.array([*bytes.fromhex(digits)], float)


def _luminance(colour):
  """Relative luminance of WCAG 2."""
  linear = [
    value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
    for value in _channels(colour) / 255
  ]
  return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def _contrast(colour, other):
  lighter, darker = sorted(map(_luminance, (colour, other)), reverse=True)
  return (lighter + 0.05) / (darker + 0.05)


@pytest.fixture(params=[0, 1], ids=['light', 'dark'])
def colours(request):
  """Colours of a scheme, by their names."""
  style = (_TEMPLATES / 'style.css').read_text()
  block = re.findall(r':root \{(.*?)\}', style, re.DOTALL)[request.param]
  return dict(re.findall(r'--([\w]+): (#\w+);', block))


def test_counts_in_the_matrix_stand_out(colours):
  template = (_TEMPLATES / 'page.html').read_text()
  (bound,) = re.findall(r'part > ([\d.]+) %} class="more"', template)
  ((*channels,),) = re.findall(r'rgba\((\d+),(\d+),(\d+),', template)
  fill, paper = np.array(channels, float), _channels(colours['paper'])
  for part in np.linspace(0, 1, 101):
    back = np.rint(part * fill + (1 - part) * paper).astype(int)
    front = '#fff' if part > float(bound) else colours['cell']
    assert _contrast(front, '#{:02x}{:02x}{:02x}'.format(*back)) >= 4.5


def test_text_and_drawings_stand_out(colours):
  def contrast(front, back):
    return _contrast(colours[front], colours[back])

  # WCAG 2.1, level AA: 4.5 for text, 3 for graphics.
  for back in ('paper', 'box'):
    assert contrast('ink', back) >= 4.5
    assert contrast('soft', back) >= 4.5
  for name in ('student', 'teachers', 'good', 'doubt', 'bad'):
    assert contrast(name, 'paper') >= 3
  for number in range(6):
    assert contrast(f'c{number}', 'paper') >= 3


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
  results = _results(labels) | {'confusion': None}
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
  _write_metrics(tmp_path / 'dual', rows)
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
  _write_metrics(tmp_path / 'refine', rows)
  loss, agreement = curves.select_curves(tmp_path / 'refine')
  assert [line.name for line in loss.lines] == ['refine', 'branched']
  # It keeps its number, and so its colour.
  assert [line[::2] for line in agreement.lines] == [('branched', 1)]


def test_a_long_curve_is_thinned_out_and_keeps_its_end(tmp_path):
  rows = [{'phase': 'refine', 'step': s, 'loss': 1.0 * s} for s in range(1001)]
  _write_metrics(tmp_path / 'refine', rows)
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


@pytest.mark.skipif(not _CHROMIUM, reason='Chromium is not installed')
def test_on_a_phone_nothing_reaches_over_the_edge(tmp_path):
  labels = tuple(f'a_label_without_any_gap_{n}' * 3 for n in range(10))
  _write_metrics(
    tmp_path / 'refine',
    [{'phase': 'refine', 'step': s, 'loss': 1.0 * s} for s in range(5)],
  )
  (tmp_path / 'evaluate').mkdir()
  for name in ('generated.png', 'real.png'):
    path = tmp_path / 'evaluate' / name
    plots.write_grid(path, np.ones((10, 64, 64, 3)), np.eye(10))
  report.write(tmp_path, _results(labels))
  text = json.dumps((tmp_path / 'report.html').read_text())
  phone = tmp_path / 'phone.html'
  phone.write_text(_PHONE.format(page=text))
  arguments = ['--headless', '--no-sandbox', '--hide-scrollbars', '--dump-dom']
  process = subprocess.run(
    [
      *(_CHROMIUM, *arguments, f'--user-data-dir={tmp_path / "profile"}'),
      *('--virtual-time-budget=5000', phone.as_uri()),
    ],
    capture_output=True,
    text=True,
    timeout=120,
    check=True,
  )
  assert '<title>360 of 360</title>' in process.stdout
