"""`dualgan report` compares runs of folders, and names what is wrong."""

import json

import pytest

from dualgan_jax.cli import main
from tests.paths import ROOT


@pytest.fixture
def sweep_folder(tmp_path):
  """The results of two seeds, as a sweep leaves them."""
  for seed in (0, 1):
    folder = tmp_path / 'sweep' / f'seed-{seed}'
    folder.mkdir(parents=True)
    path = ROOT / f'experiments/results/digits/default-seed{seed}.json'
    (folder / 'results.json').write_text(path.read_text())
  return tmp_path / 'sweep'


def test_seeds_and_runs_stand_in_one_page(sweep_folder, tmp_path, capsys):
  page = tmp_path / 'all.html'
  folders = [str(sweep_folder), str(sweep_folder / 'seed-0')]
  assert main.main(['report', *folders, '--output', str(page)]) == 0
  assert capsys.readouterr().out == f'{page}\n'
  text = page.read_text()
  assert '<h1>3 runs</h1>' in text
  assert text.count('<circle') == 3
  assert '<td>0.9926</td>' in text and '<td>0.9833</td>' in text
  # 0.99259 and 0.98333: the first again is no second sample.
  assert '<td>0.9880 ± 0.0065</td><td>0 1</td>' in text


def _write_run(folder, results, **changes):
  folder.mkdir()
  (folder / 'results.json').write_text(json.dumps({**results, **changes}))
  return str(folder)


def test_seeds_of_a_config_are_found_in_any_folders(sweep_folder, tmp_path):
  folders = []
  for seed in (0, 1):
    path = sweep_folder / f'seed-{seed}' / 'results.json'
    results = json.loads(path.read_text())
    folders.append(_write_run(tmp_path / f'run{seed}', results))
  other_config = {**results['config'], 'refine.steps': 1}
  other = _write_run(tmp_path / 'other', results, config=other_config)
  page = tmp_path / 'all.html'
  main.main(['report', *folders, other, '--output', str(page)])
  expected = '<td>digits</td><td>0.9880 ± 0.0065</td><td>0 1</td>'
  assert expected in page.read_text()


def test_a_run_without_data_or_without_training_leaves_the_score_of_others(
  sweep_folder, tmp_path
):
  results = json.loads((sweep_folder / 'seed-0' / 'results.json').read_text())
  unmeasured = {
    model: row | {'top1': None, 'mAP': None}
    for model, row in results['metrics'].items()
  }
  short = {**results['config'], 'generator.steps': 9, 'refine.steps': 9}
  folders = [
    str(sweep_folder),
    _write_run(tmp_path / 'no_data', results, metrics=unmeasured),
    _write_run(tmp_path / 'short', results, config=short),
  ]
  page = tmp_path / 'all.html'
  main.main(['report', *folders, '--output', str(page)])
  text = page.read_text()
  assert 'Each dot is the top-1 accuracy' in text
  assert 'no_data, seed 0</td><td>usable</td><td>–</td><td>–</td>' in text
  assert '<td>0.9880 ± 0.0065</td><td>0 1</td>' in text
  assert 'short, seed 0</td><td>too short</td><td>0.9926</td>' in text
  warning = 'their figures mean nothing: '
  assert warning in text and 'short, seed 0.</p>' in text
  main.main(['report', *folders[:2], '--output', str(page)])
  assert warning not in page.read_text()


def test_a_copy_of_a_run_is_no_sample_and_a_repetition_is_one(
  sweep_folder, tmp_path
):
  path = sweep_folder / 'seed-1' / 'results.json'
  results = json.loads(path.read_text())
  copy = _write_run(tmp_path / 'copy', results)
  student = {**results['metrics']['compact'], 'top1': 0.5}
  metrics = {**results['metrics'], 'compact': student}
  again = _write_run(tmp_path / 'again', results, metrics=metrics)
  page = tmp_path / 'all.html'
  main.main(['report', str(sweep_folder), copy, again, '--output', str(page)])
  assert '<td>0 1 1</td>' in page.read_text()


def test_a_label_that_is_html_is_shown_as_text(sweep_folder, tmp_path):
  path = sweep_folder / 'seed-0' / 'results.json'
  results = {**json.loads(path.read_text()), 'experiment': '<b>irds'}
  path.write_text(json.dumps(results))
  page = tmp_path / 'all.html'
  main.main(['report', str(sweep_folder), '--output', str(page)])
  assert '<td>&lt;b&gt;irds</td>' in page.read_text()


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    (None, 'no results.json there; name the folder of a finished run'),
    ('{"metrics": ', 'results.json is damaged'),
    ('{"metrics": {"teachers": {"params": 1, "flops": 1}}}', 'no experiment'),
  ],
)
def test_a_folder_without_results_is_one_sentence(
  tmp_path, capsys, content, message
):
  if content is not None:
    (tmp_path / 'results.json').write_text(content)
  output = tmp_path / 'page.html'
  code = main.main(['report', str(tmp_path), '--output', str(output)])
  assert code == 2
  assert message in capsys.readouterr().err
  assert not output.exists()
