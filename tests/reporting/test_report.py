"""The report and its tables show the results as they are."""

import html
import json
import re
import subprocess
import sys

from PIL import Image

from dualgan_jax.reporting import report


def _scores(top1=0.5, params=1000, flops=20_000):
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
      'teachers': _scores(params=1_234_567, flops=2_000_000),
      'low': _scores(0.98765, params=617_284, flops=500_000),
      'compact': _scores(None, params=12_346, flops=2_500_000),
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
    'student_steps': 4000,
    'generated_images': 512_000,
    'seconds': {'pretrain': 12.3, 'evaluate': 4.6},
    'devices': '8 × cpu',
    'versions': {'python': '3.11.7', 'jax': '0.10.2'},
    'config': {'baselines.enabled': True, 'baselines.steps': 3000},
    **changes,
  }


def _cells(table):
  """The cells of a Markdown table, without spaces around them."""
  rows = [line.strip('|').split('|') for line in table.splitlines()]
  return [[cell.strip() for cell in row] for row in rows]


def test_where_no_parameters_are_counted_there_is_no_share():
  metrics = {'teachers': _scores(params=0), 'compact': _scores(params=1000)}
  *_, compact = _cells(report.results_table(_results(metrics=metrics)))
  assert compact[-2:] == ['1,000', '20,000 (100%)']


def test_the_table_by_hand():
  head, rule, *rows = _cells(report.results_table(_results()))
  assert head == [
    'model',
    'top-1',
    'mAP',
    'macro F1',
    'micro F1',
    'exact match',
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


def test_a_score_that_no_model_has_is_left_out():
  results = _results()
  for row in results['metrics'].values():
    row['top1'] = None
  (head, *_) = _cells(report.results_table(results))
  assert head[:3] == ['model', 'mAP', 'macro F1']


def test_columns_line_up():
  lines = report.results_table(_results()).splitlines()
  bar_places = {
    tuple(place for place, letter in enumerate(line) if letter == '|')
    for line in lines
  }
  assert len(bar_places) == 1


def test_results_come_back_from_json(tmp_path):
  report.write(tmp_path, _results())
  text = (tmp_path / 'results.json').read_text()
  assert json.loads(text) == _results()
  assert 'Übersee' in text  # for people, too
  assert text.endswith('}\n')


def test_the_report_holds_all_results(tmp_path):
  report.write(tmp_path, _results())
  text = (tmp_path / 'report.md').read_text()
  lines = text.splitlines()
  assert lines[0] == '# birds, seed 3'
  assert 'Objective: default. Labels: Ara, Übersee.' in lines
  assert report.results_table(_results()) in text
  assert '* low: after block 2; L_d^1 = 0.5000, L_d^2 = 0.2500' in lines
  assert '* high: after block 1; L_d^1 = 0.1250, L_d^2 = 1.0000' in lines
  assert 'Seconds: pretrain 12, evaluate 5.' in lines
  assert 'Versions: python 3.11.7, jax 0.10.2.' in lines
  assert report.label_table(_results()) in text
  assert 'oracle' not in text


def test_labels_by_hand():
  _, _, *rows = _cells(report.label_table(_results()))
  assert rows == [
    ['Ara', '0.7500', '0.8750', '1.25%', '0.00%'],
    ['Übersee', '–', '–', '0.00%', '50.00%'],
  ]


def test_the_page_holds_text_and_needs_nothing_else(tmp_path):
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
  assert '<td>0.8750</td>' in page
  # The page draws its curves itself, and writes the labels of images.
  assert '<img' not in page
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


def test_the_report_says_how_long_students_and_baselines_trained(tmp_path):
  report.write(tmp_path, _results())
  text = (tmp_path / 'report.md').read_text()
  assert '4,000 training steps, on 512,000 generated images' in text
  assert 'each baseline 3,000 steps.' in text


def test_the_report_describes_routing(tmp_path):
  report.write(tmp_path, _results())
  text = (tmp_path / 'report.md').read_text()
  assert 'belongs to one teacher' in text
  assert '1.75 (low), 1.50 (high)' in text
  report.write(tmp_path, _results(routed=False, misfits={}))
  text = (tmp_path / 'report.md').read_text()
  assert 'judged by all teachers.\n' in text


def test_results_of_earlier_versions_still_have_a_report(tmp_path):
  results = _results()
  for entry in ('per_label', 'student_steps', 'generated_images'):
    del results[entry]
  report.write(tmp_path, results)
  assert json.loads((tmp_path / 'results.json').read_text()) == results
  assert 'training steps' not in (tmp_path / 'report.md').read_text()
  page = (tmp_path / 'report.html').read_text()
  assert 'Verdict' not in page and 'Calibration' not in page


def test_the_report_names_an_oracle(tmp_path):
  report.write(tmp_path, _results(oracle=True, objective='paper'))
  text = (tmp_path / 'report.md').read_text()
  assert 'Objective: paper, its weights chosen by accuracy on real' in text
  assert '(oracle)' in text


def test_a_second_report_replaces_the_first(tmp_path):
  report.write(tmp_path, _results(experiment='a much longer name than that'))
  report.write(tmp_path, _results())
  assert json.loads((tmp_path / 'results.json').read_text()) == _results()
  assert '# birds' in (tmp_path / 'report.md').read_text()


def test_labels_and_names_may_hold_anything(tmp_path):
  labels = ('cat|dog', '![b](http://y/c.png)', '[x](http://y)', '`*<b>&amp;')
  labels += ('_x_', '__x__', '~~x~~', '# x', '\\', '> x', 'a_b_c')
  labels += ('1. x', '- x', '+ x', '2) x')
  scores = _results()['per_label']['Ara']
  results = _results(labels=labels, per_label=dict.fromkeys(labels, scores))
  metrics = results['metrics']
  results['metrics'] = {**metrics, **dict.fromkeys(labels, metrics['compact'])}
  results['experiment'] = '<b>_x_'
  report.write(tmp_path, results)
  page = (tmp_path / 'report.html').read_text()
  for label in labels:
    cell = f'<td>{html.escape(label)}</td>'
    # As a model in two tables, and as a label in one.
    assert page.replace('&#34;', '&quot;').count(cell) == 3, label
  for tag in ('<img', '<a ', '<em', '<strong', '<b>', '<s>', '<blockquote'):
    assert tag not in page.partition('</style>')[2], tag


def test_the_backend_of_matplotlib_stays_as_it_is():
  program = (
    'import matplotlib; matplotlib.use("svg"); import dualgan_jax; '
    'assert matplotlib.get_backend() == "svg"; import sys; '
    'assert "matplotlib.pyplot" not in sys.modules'
  )
  subprocess.run([sys.executable, '-c', program], check=True)
