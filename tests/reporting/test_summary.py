"""What a run prints at its end."""

import pathlib

from dualgan_jax.reporting import summary


def _results(num_steps=1000, name='low', top1=0.5):
  scores = {'top1': top1, 'mAP': top1, 'params': 1_234_567, 'flops': 200}
  metrics = {'teachers': scores, name: {**scores, 'flops': 100}}
  metrics['compact'] = {**scores, 'agreement': 0.25, 'flops': 10}
  fields = {'generator.steps': num_steps, 'refine.steps': 0}
  return {'metrics': metrics, 'config': fields}


def test_the_summary_by_hand():
  text = summary.format_summary(_results(), pathlib.Path('/runs/my run'))
  assert text.splitlines() == [
    '| model    |  top-1 |    mAP | parameters | FLOPs |',
    '| ---      |   ---: |   ---: |       ---: |  ---: |',
    '| teachers | 0.5000 | 0.5000 |  1,234,567 |  100% |',
    '| low      | 0.5000 | 0.5000 |  1,234,567 |   50% |',
    '| compact  | 0.5000 | 0.5000 |  1,234,567 |    5% |',
    '',
    'student: /runs/my run/student',
    "use it:  dualgan predict '/runs/my run/student' IMAGE.png",
    'report:  /runs/my run/report.html',
  ]


def test_a_short_run_says_that_its_figures_mean_nothing():
  text = summary.format_summary(_results(num_steps=20), pathlib.Path('/x'))
  assert 'its figures mean nothing' in text
  assert '20 steps only' in text


def test_without_real_images_there_is_the_agreement():
  table = summary.format_table(_results(top1=None))
  assert table.splitlines()[0].startswith('| model    | agreement | parameters')
  assert '|    0.2500 |' in table.splitlines()[-1]


def test_images_of_several_labels_have_no_column_of_top_1():
  results = _results()
  for row in results['metrics'].values():
    row['top1'] = None
  header, *_ = summary.format_table(results).splitlines()
  assert header.split() == [
    '|',
    'model',
    '|',
    'mAP',
    '|',
    'parameters',
    '|',
    'FLOPs',
    '|',
  ]


def test_a_long_name_is_cut_and_the_table_fits():
  lines = summary.format_table(_results(name='a' * 99)).splitlines()
  assert {len(line) for line in lines} == {80}
  assert 'a… |' in lines[3]
