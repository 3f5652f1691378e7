import base64
import html
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from dualgan_jax.reporting import report
from dualgan_jax.training import metrics_log


def _row(top1=0.5, params=1000, flops=20_000):
  return {
    'top1': top1,
    'mAP': 0.25,
    'f1_macro': 0.125,
    'f1_micro': 0.0,
    'exact_match': 0.125,
    'params': params,
    'flops': flops,
  }


def _results(**changes):
  return {
    'experiment': 'birds',
    'objective': 'default',
    'oracle': False,
    'seed': 3,
    'labels': ['Ara', 'Übersee'],
    'metrics': {
      'teachers': _row(params=1_234_567, flops=2_000_000),
      'low': _row(0.98765, params=617_284, flops=500_000),
      'compact': _row(None, params=12_346, flops=2_500_000),
    },
    'per_label': {
      'Ara': {
        'student_ap': 0.75,
        'teachers_ap': 0.875,
        'student_only': 0.0125,
        'teachers_only': 0.0,
      },
      'Übersee': {
        'student_ap': None,
        'teachers_ap': None,
        'student_only': 0.0,
        'teachers_only': 0.5,
      },
    },
    'routed': True,
    'misfits': {'low': 1.75, 'high': 1.5},
    'branch_points': {'low': 2, 'high': 1},
    'branch_losses': {'low': [0.5, 0.25], 'high': [0.125, 1.0]},
    'seconds': {'pretrain': 12.3, 'evaluate': 4.6},
    'devices': '8 × cpu',
    'versions': {'python': '3.11.7', 'jax': '0.10.2'},
    **changes,
  }


def _cells(table):
  """The cells of a Markdown table, without spaces around them."""
  rows = [x.strip('|').split('|') for x in table.splitlines()]
  return [[cell.strip() for cell in row] for row in rows]


def _open(path):
  with Image.open(path) as image:
    image.load()
    assert image.format == 'PNG'
    return np.asarray(image.convert('RGB')).astype(int)


def _images(n, channels=1, size=8):
  """Images of a grey level each."""
  levels = np.linspace(0.2, 0.8, n, dtype=np.float32)
  ones = np.ones((n, size, size, channels), np.float32)
  return ones * levels[:, None, None, None]


def test_where_no_parameters_are_counted_there_is_no_share():
  rows = {'teachers': _row(params=0), 'compact': _row(params=1000)}
  *_, compact = _cells(report.table(_results(metrics=rows)))
  assert compact[-2:] == ['1,000', '20,000 (100%)']


def test_the_table_by_hand():
  head, rule, *rows = _cells(report.table(_results()))
  assert head == [
    'model',
    'top1',
    'mAP',
    'f1_macro',
    'f1_micro',
    'exact_match',
    'parameters',
    'FLOPs per image',
  ]
  # Text to the left, numbers to the right.
  assert rule == ['---'] + ['---:'] * 7
  scores = ['0.2500', '0.1250', '0.0000', '0.1250']
  assert rows == [
    ['teachers', '0.5000', *scores, '1,234,567 (100%)', '2,000,000 (100%)'],
    ['low', '0.9877', *scores, '617,284 (50%)', '500,000 (25%)'],
    ['compact', '–', *scores, '12,346 (1%)', '2,500,000 (125%)'],
  ]


def test_columns_line_up():
  lines = report.table(_results()).splitlines()
  bars = [[i for i, x in enumerate(line) if x == '|'] for line in lines]
  assert all(x == bars[0] for x in bars)


def test_results_come_back_from_json(tmp_path):
  report.write(tmp_path, _results())
  text = (tmp_path / 'results.json').read_text()
  assert json.loads(text) == _results()
  assert 'Übersee' in text  # for people, too
  assert text.endswith('}\n')


def test_the_report_says_it_all(tmp_path):
  report.write(tmp_path, _results())
  text = (tmp_path / 'report.md').read_text()
  lines = text.splitlines()
  assert lines[0] == '# birds, seed 3'
  assert 'Objective: default. Labels: Ara, Übersee.' in lines
  assert report.table(_results()) in text
  assert '* low: after block 2; L_d^1 = 0.5000, L_d^2 = 0.2500' in lines
  assert '* high: after block 1; L_d^1 = 0.1250, L_d^2 = 1.0000' in lines
  assert 'Seconds: pretrain 12, evaluate 5.' in lines
  assert 'Versions: python 3.11.7, jax 0.10.2.' in lines
  assert report.per_label(_results()) in text
  assert 'oracle' not in text


def test_labels_by_hand():
  _, _, *rows = _cells(report.per_label(_results()))
  assert rows == [
    ['Ara', '0.7500', '0.8750', '1.25%', '0.00%'],
    ['Übersee', '–', '–', '0.00%', '50.00%'],
  ]


def test_the_page_holds_text_and_pictures_and_needs_nothing_else(tmp_path):
  for path in ('evaluate/samples.png', 'refine/curves.png'):
    (tmp_path / path).parent.mkdir()
    Image.new('L', (3, 2)).save(tmp_path / path)
  report.write(tmp_path, _results(experiment='<b>irds & bees'))
  text = (tmp_path / 'report.md').read_text()
  assert '(evaluate/samples.png)' in text
  assert 'generator/curves.png' not in text  # there is none
  page = (tmp_path / 'report.html').read_text()
  assert '<title>&lt;b&gt;irds &amp; bees, seed 3</title>' in page
  assert '<b>' not in page
  assert '<td style="text-align:right">0.8750</td>' in page
  pictures = re.findall(r'<img src="data:image/png;base64,([^"]+)"', page)
  assert len(pictures) == 2
  for found in map(base64.b64decode, pictures):
    assert found == (tmp_path / 'refine/curves.png').read_bytes()
  # No address of anything outside.
  assert not re.search(r'(src|href)="(?!data:)|https?://|url\(', page)


def test_the_report_says_how_many_images_there_were(tmp_path):
  counts = {
    'birds': {'train': 12_345, 'test': 6},
    'eggs': {'train': 7, 'test': 8},
  }
  report.write(tmp_path, _results(images=counts))
  text = (tmp_path / 'report.md').read_text()
  assert 'Training and test images: birds 12,345 and 6; eggs 7 and 8.' in text
  # Earlier results do not know, and those without data have none.
  for changes in ({}, {'images': {}}):
    report.write(tmp_path, _results(**changes))
    assert 'test images:' not in (tmp_path / 'report.md').read_text()


def test_without_branches_the_report_has_no_points(tmp_path):
  report.write(tmp_path, _results(branch_points={}, branch_losses={}))
  assert 'Branch points' not in (tmp_path / 'report.md').read_text()


def test_the_report_tells_of_routing(tmp_path):
  report.write(tmp_path, _results())
  text = (tmp_path / 'report.md').read_text()
  assert 'belongs to one teacher' in text
  assert '1.75 (low), 1.50 (high)' in text
  report.write(tmp_path, _results(routed=False, misfits={}))
  text = (tmp_path / 'report.md').read_text()
  assert 'judged by all teachers.\n' in text


def test_the_report_confesses_an_oracle(tmp_path):
  report.write(tmp_path, _results(oracle=True, objective='paper'))
  text = (tmp_path / 'report.md').read_text()
  assert 'Objective: paper, its weights chosen by accuracy on real' in text
  assert '(oracle)' in text


def test_a_second_report_replaces_the_first(tmp_path):
  report.write(tmp_path, _results(experiment='a much longer name than that'))
  report.write(tmp_path, _results())
  assert json.loads((tmp_path / 'results.json').read_text()) == _results()
  assert '# birds' in (tmp_path / 'report.md').read_text()


@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('real', [False, True])
def test_samples_are_a_picture(tmp_path, channels, real):
  images, said = _images(40, channels), np.eye(4)[np.arange(40) % 4]
  path = tmp_path / 'samples.png'
  panel = (images[:7], said[:7]) if real else None
  report.samples(path, tuple('abcd'), images, said, real=panel)
  height, width, _ = _open(path).shape
  assert 100 < height < 400
  # A second panel is beside the first.
  assert (800 if real else 400) < width < (1000 if real else 500)


def test_more_labels_make_a_taller_picture(tmp_path):
  heights = []
  for n in (2, 20):
    path = tmp_path / f'{n}.png'
    names = [f'label {i}' for i in range(n)]
    report.samples(path, names, _images(n), np.eye(n))
    heights.append(_open(path).shape[0])
  assert heights[1] > 5 * heights[0]


def test_a_coloured_image_keeps_its_colour(tmp_path):
  red = np.zeros((4, 8, 8, 3), np.float32)
  red[..., 0] = 1.0
  path = tmp_path / 'samples.png'
  report.samples(path, ('a',), red, np.ones((4, 1)))
  pixels = _open(path)
  assert np.all(pixels == [255, 0, 0], axis=-1).mean() > 0.05


def test_the_grid_shows_each_label_in_its_row():
  # Twelve images of label b, one of a, none of c.
  levels = np.arange(13) / 20
  images = np.ones((13, 2, 3, 1)) * levels[:, None, None, None]
  said = np.eye(3)[[1] * 6 + [0] + [1] * 6]
  grid = report._grid(images, said)
  # Ten images to a row, with a white line below and beside each.
  assert grid.shape == (3 * 3, 10 * 4)
  cells = grid.reshape(3, 3, 10, 4)
  np.testing.assert_array_equal(cells[:, 2], 1.0)
  np.testing.assert_array_equal(cells[..., 3], 1.0)
  inner = cells[:, :2, :, :3]
  np.testing.assert_allclose(inner[0, :, 0], levels[6], rtol=1e-6)
  np.testing.assert_array_equal(inner[0, :, 1:], 1.0)
  first_ten = levels[[0, 1, 2, 3, 4, 5, 7, 8, 9, 10]]
  np.testing.assert_allclose(inner[1, 1, :, 1], first_ten, rtol=1e-6)
  np.testing.assert_array_equal(inner[2], 1.0)


def test_an_image_whose_label_is_hard_to_see_is_another_labels():
  images = _images(1)
  grid = report._grid(images, np.array([[0.0, np.nan, 1.0]]))
  assert np.all(grid[9:18] == 1)  # nothing in the row of the second label
  np.testing.assert_array_equal(grid[18:26, :8], images[0, ..., 0])


def test_labels_and_names_may_hold_anything(tmp_path):
  odd = ('cat|dog', '![b](http://y/c.png)', '[x](http://y)', '`*<b>&amp;')
  odd += ('_x_', '__x__', '~~x~~', '# x', '\\', '> x', 'a_b_c')
  odd += ('1. x', '- x', '+ x', '2) x')
  row = _results()['per_label']['Ara']
  results = _results(labels=odd, per_label=dict.fromkeys(odd, row))
  models = results['metrics']
  results['metrics'] = {**models, **dict.fromkeys(odd, models['compact'])}
  results['experiment'] = '<b>_x_'
  report.write(tmp_path, results)
  page = (tmp_path / 'report.html').read_text()
  for label in odd:
    shown = f'<td>{html.escape(label, quote=False)}</td>'
    assert page.replace('&quot;', '"').count(shown) == 2, label
  for tag in ('<img', '<a ', '<em', '<strong', '<b>', '<s>', '<blockquote'):
    assert tag not in page.partition('</style>')[2], tag


def test_a_name_is_no_formula(tmp_path):
  # Of matplotlib's mathematics, these would be errors.
  labels = ('$', '$$', '$a_$')
  report.samples(tmp_path / 'samples.png', labels, _images(3), np.eye(3))
  log = metrics_log.MetricsLog(tmp_path)
  log.write('phase', 1, {'l_d/$a_$': 1.0, 'l_d/$b_$': 2.0})
  log.close()
  report.curves(tmp_path)
  assert (tmp_path / 'curves.png').exists()


def test_the_backend_of_matplotlib_stays_as_it_is():
  program = (
    'import matplotlib; matplotlib.use("svg"); import dualgan_jax; '
    'assert matplotlib.get_backend() == "svg"; import sys; '
    'assert "matplotlib.pyplot" not in sys.modules'
  )
  subprocess.run([sys.executable, '-c', program], check=True)


def test_a_label_that_no_image_carries_leaves_its_row_empty(tmp_path):
  path = tmp_path / 'samples.png'
  report.samples(
    path, ('a', 'b', 'c'), _images(6), np.eye(3)[[0, 0, 0, 2, 2, 2]]
  )
  some = _open(path)
  report.samples(
    path, ('a', 'b', 'c'), _images(6), np.eye(3)[[0, 0, 1, 1, 2, 2]]
  )
  every = _open(path)
  assert some.shape == every.shape
  assert (some != every).any()


def test_curves_are_a_picture(tmp_path):
  log = metrics_log.MetricsLog(tmp_path)
  for step in (1, 20, 40):
    row = {'loss': np.float32(1 / step), 'rate': np.float32([0.1, 0.2])}
    log.write('dual/block_1', step, row, ('a', 'b'))
  log.close()
  report.curves(tmp_path)
  one = _open(tmp_path / 'curves.png')
  # Three across, of which vectors make none.
  assert one.shape == (264, 1210, 3)


def test_curves_of_many_scalars_and_phases(tmp_path):
  log = metrics_log.MetricsLog(tmp_path)
  for phase in ('dual/block_1', 'dual/block_2'):
    for step in (1, 20):
      log.write(phase, step, {f's{i}': 0.5 * i + step for i in range(4)})
  # A scalar that only one phase has.
  log.write('dual/block_2', 40, {'own': 0.5})
  log.close()
  report.curves(tmp_path)
  assert _open(tmp_path / 'curves.png').shape == (2 * 264, 1210, 3)


def test_without_metrics_there_are_no_curves(tmp_path):
  report.curves(tmp_path)
  assert list(tmp_path.iterdir()) == []
