"""README's tables are what the kept results say."""

import json

import pytest

from experiments import tabulate
from experiments.configs import digits


def test_readme_shows_the_kept_results():
  readme = tabulate.README.read_text()
  assert '<!-- results: digits -->' in readme
  assert tabulate.rewritten(readme) == readme


def test_the_digits_config_states_the_kept_results():
  runs = tabulate.load('digits')['default']
  for name in ('teachers', 'compact', 'branched'):
    top1 = [r['metrics'][name]['top1'] for r in runs]
    assert tabulate.mean_and_spread(top1, digits=3) in digits.__doc__


def test_mean_and_spread_by_hand():
  # Deviations -1, 0, 1: variance 2 / (3 - 1) = 1.
  assert tabulate.mean_and_spread([1, 2, 3]) == '2.0000 ± 1.0000'
  assert tabulate.mean_and_spread([0.98765], digits=3) == '0.988'
  assert tabulate.mean_and_spread([None, None]) == '–'


@pytest.fixture
def kept(monkeypatch, tmp_path):
  """A place of our own for results."""
  monkeypatch.setattr(tabulate, 'KEPT', tmp_path / 'results')
  return tmp_path / 'results'


def _results(objective, seed, top1):
  row = {'top1': top1, 'mAP': 1.0, 'f1_macro': 1.0, 'f1_micro': 1.0}
  return {
    'experiment': 'digits',
    'objective': objective,
    'oracle': objective == 'paper',
    'seed': seed,
    'metrics': {
      'teachers': {**row, 'params': 100, 'flops': 1000},
      'compact': {**row, 'params': 25, 'flops': 500},
      'branched': {**row, 'params': 90, 'flops': 900},
    },
    'seconds': {'generator': 10, 'dual': 5, 'targetnet': 1.4, 'evaluate': 9},
  }


def test_results_are_kept_by_experiment_objective_and_seed(kept, tmp_path):
  for objective, seed, top1 in (
    ('paper', 0, 0.5),
    ('default', 0, 0.8),
    ('default', 1, 0.9),
  ):
    results = _results(objective, seed, top1)
    (tmp_path / 'results.json').write_text(json.dumps(results))
    tabulate.keep(tmp_path)
  assert (kept / 'digits' / 'default-seed1.json').exists()
  text = tabulate.table('digits')
  lines = text.splitlines()
  assert lines[2].startswith('| teachers ')  # the default objective first
  compact = next(x for x in lines if x.startswith('| compact '))
  assert '0.8500 ± 0.0707' in compact  # deviations ±0.05: √(0.005 / 1)
  assert '25%' in compact
  assert '50%' in compact
  assert 'compact, `paper` objective, oracle weights' in text
  assert 'seeds 0, 1; generator + dual + targetnet took 16 ± 0 s' in text
