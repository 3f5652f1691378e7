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
  # 0.99259, 0.98333 and the first again.
  assert '<td>0.9895 ± 0.0053</td><td>0 1 0</td>' in text


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
