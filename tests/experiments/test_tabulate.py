"""Tables of all pages, and configs' docstrings, are what kept results say."""

import functools
import importlib
import itertools
import json
import pkgutil
import re
import sys

import pytest

from dualgan_jax.config import builders, schema, stage_fields
from dualgan_jax.reporting.spread import mean_and_std
from experiments import configs, tabulate
from tests.paths import ROOT


@pytest.mark.parametrize(
  'page', [*tabulate.PAGES, *tabulate.NOTES], ids=lambda p: p.name
)
def test_pages_show_the_kept_results(page):
  text = page.read_text()
  assert tabulate.rewritten(text) == text


def _shown(page):
  """The experiments that the markers of a page name."""
  found = re.findall(
    r'<!-- (?:results|summary): ([\w. -]+) -->', page.read_text()
  )
  return {name for names in found for name in names.split()}


def test_every_kept_experiment_has_its_table():
  readme, details = map(_shown, tabulate.PAGES)
  kept = {folder.name for folder in tabulate.KEPT.iterdir()}
  assert kept == details
  # The arms of the ablation are no experiments of their own.
  assert kept - {'ablation'} == readme
  assert kept == set().union(*map(_shown, tabulate.NOTES))


@functools.cache
def _config_modules():
  """By name, the modules of our configs."""
  modules = {
    x.name: importlib.import_module(f'{configs.__name__}.{x.name}')
    for x in pkgutil.iter_modules(configs.__path__)
  }
  return {k: v for k, v in modules.items() if hasattr(v, 'VARIANTS')}


@functools.cache
def _configs():
  """Every config of ours, with none, one or two of its variants."""
  found = []
  for ours in _config_modules().values():
    for many in range(3):
      for variants in itertools.combinations(ours.VARIANTS, many):
        try:
          own = ours.get_config(','.join(variants))
        except ValueError:  # they exclude one another
          assert many == 2
          continue
        found.append(schema.check(own))
  return found


def _read(fields):
  """Those fields that a run reads: without refinement, none of its."""
  left_out = () if fields['refine.steps'] else ('refine.',)
  return {k: v for k, v in fields.items() if not k.startswith(left_out)}


@pytest.mark.parametrize(
  'path',
  sorted(tabulate.KEPT.glob('*/*.json')),
  ids=lambda p: f'{p.parent.name}-{p.stem}',
)
def test_a_kept_run_had_a_config_of_ours(path):
  run = json.loads(path.read_text())
  # Before there were these fields, replayed images were left as they were.
  earlier = {'refine.shift': 0, 'refine.flip': False, 'refine.mixup': 0.0}
  # ... and each data set was of the usual form.
  for name in {k.split('.')[1] for k in run['config'] if k.startswith('data.')}:
    usual = builders.data_set('').items()
    earlier |= {f'data.{name}.{k}': v for k, v in usual if k != 'path'}
  kept = _read({**earlier, **run['config'], 'generator.features': None})
  left = []
  for config in _configs():
    fields = {}
    for stage in stage_fields.by_stage(config).values():
      fields |= stage
    fields = _read(fields)
    if config.experiment == run['experiment'] and (
      config.objective.name == run['objective']
    ):
      left.append(stage_fields.differing(kept, {**fields, 'seed': run['seed']}))
  assert [] in left, left


def _docstring(name):
  """The text of a config's docstring, on one line."""
  # The file may only import a preset, which then has the docstring.
  module = sys.modules[_config_modules()[name].get_config.__module__]
  return ' '.join(module.__doc__.split())


# Configs that nobody has run to the end, so that no results are kept.
_WITHOUT_RESULTS = ('pytorch_cifar10', 'voc2007')
# `cifar10` itself has no results, and states those of its variant.
_STATED_RUN = {'cifar10': 'cifar10_laptop'}


@pytest.mark.parametrize('name', sorted(_config_modules()))
def test_a_config_names_its_page_of_notes(name):
  link = f'experiments/notes/{name}.md'
  assert _docstring(name).endswith(link)
  assert (ROOT / link).exists()


@pytest.mark.parametrize(
  'name', sorted(_config_modules().keys() - set(_WITHOUT_RESULTS))
)
def test_a_config_states_its_kept_results(name):
  runs = tabulate.load(_STATED_RUN.get(name, name))['default']
  stated = _docstring(name)
  for model, title in (
    ('teachers', 'teachers together'),
    ('compact', 'compact TargetNet'),
    ('branched', 'branched'),
  ):
    rows = [r['metrics'][model] for r in runs]
    # Where an image has several labels, none of them is the top one.
    measure = 'mAP' if rows[0]['top1'] is None else 'top1'
    figure = mean_and_std([row[measure] for row in rows], digits=3)
    assert re.search(f'{title} {figure}[.,]', stated), (title, figure)


@pytest.fixture
def kept(monkeypatch, tmp_path):
  """A place of our own for results."""
  monkeypatch.setattr(tabulate, 'KEPT', tmp_path / 'results')
  return tmp_path / 'results'


def _results(objective, seed, top1, steps=10):
  names = ('mAP', 'f1_macro', 'f1_micro', 'exact_match')
  row = {'top1': top1, **dict.fromkeys(names, 1.0)}
  return {
    'experiment': 'digits',
    'objective': objective,
    'oracle': objective == 'paper',
    'seed': seed,
    'config': {'seed': seed, 'generator.steps': steps},
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
  assert 'dual + targetnet + refine took 16 ± 0 s' in text
  default, paper = tabulate.summary(['digits']).splitlines()[2:]
  assert '| 0.850 ± 0.071 |' in default
  assert default.startswith('| `digits` ')
  assert '`digits`, `paper` (oracle weights)' in paper


def test_sizes_that_differ_by_seed_are_a_range(kept, tmp_path):
  for seed, size in ((0, 90), (1, 110), (2, 86)):
    results = _results('default', seed, 0.5)
    results['metrics']['branched']['params'] = size
    (tmp_path / 'results.json').write_text(json.dumps(results))
    tabulate.keep(tmp_path)
  *_, branched = tabulate.table('digits').split('| branched ')
  cells = [cell.strip() for cell in branched.splitlines()[0].split('|')]
  assert cells[-3:-1] == ['86–110%', '90%']


def test_an_unfinished_run_is_refused_before_any_is_kept(kept, tmp_path):
  (tmp_path / 'results.json').write_text(json.dumps(_results('dafl', 0, 0.5)))
  damaged = tmp_path / 'damaged'
  damaged.mkdir()
  (damaged / 'results.json').write_text('{"metrics": ')
  for other in ('nowhere', 'damaged'):
    with pytest.raises(SystemExit, match=f'{other}: no results.json, or dam'):
      tabulate.main([tmp_path, tmp_path / other])
  assert not kept.exists()


@pytest.fixture
def made(kept, tmp_path):
  """Makes the folder of a finished run."""

  def make(name, *args):
    folder = tmp_path / name
    folder.mkdir()
    (folder / 'results.json').write_text(json.dumps(_results(*args)))
    return folder

  return make


def test_runs_of_another_config_get_no_place_in_a_row(made):
  first = made('first', 'default', 0, 0.5)
  tabulate.keep(first)
  longer = made('longer', 'default', 1, 0.6, 20)
  said = r'longer: generator.steps \(10 with seed 0, 20 here\), but one row'
  with pytest.raises(SystemExit, match=said):
    tabulate.refuse_unlike([longer])
  # All seeds together may have another, and so may other rows.
  tabulate.refuse_unlike([longer, made('again', 'default', 0, 0.6, 20)])
  tabulate.refuse_unlike([made('named', 'longer', 1, 0.6, 20)])
  # Not if they are unlike among themselves.
  with pytest.raises(SystemExit, match='generator.steps'):
    tabulate.refuse_unlike([longer, made('third', 'default', 2, 0.6, 30)])


def test_fields_that_there_were_not_yet_are_not_compared(made):
  tabulate.keep(made('first', 'default', 0, 0.5))
  results = _results('default', 1, 0.5)
  results['config']['refine.mixup'] = 0.0
  folder = made('second', 'default', 1, 0.5)
  (folder / 'results.json').write_text(json.dumps(results))
  tabulate.refuse_unlike([folder])


def test_a_page_may_ask_for_an_experiment_of_any_name(kept, tmp_path):
  results = {**_results('default', 0, 0.5), 'experiment': 'my-own.2'}
  (tmp_path / 'results.json').write_text(json.dumps(results))
  tabulate.keep(tmp_path)
  page = '<!-- results: my-own.2 -->\n<!-- end -->'
  assert '| compact ' in tabulate.rewritten(page)


def test_a_run_that_takes_anothers_place_is_told(kept, tmp_path, capsys):
  for top1, told in ((0.5, False), (0.5, False), (0.6, True)):
    results = json.dumps(_results('dafl', 0, top1))
    (tmp_path / 'results.json').write_text(results)
    tabulate.keep(tmp_path)
    said = 'digits/dafl-seed0.json: another run stood there'
    assert (said in capsys.readouterr().out) == told


def test_an_objective_without_branches_has_its_row(kept, tmp_path):
  results = _results('dafl', 0, 0.5)
  del results['metrics']['branched']
  (tmp_path / 'results.json').write_text(json.dumps(results))
  tabulate.keep(tmp_path)
  assert 'compact, `dafl` objective' in tabulate.table('digits')


def test_without_top1_the_summary_shows_map(kept, tmp_path):
  results = _results('default', 0, None)
  (tmp_path / 'results.json').write_text(json.dumps(results))
  tabulate.keep(tmp_path)
  assert '|     mAP |             1.000 |   1.000 |' in tabulate.summary(
    ['digits']
  )


def test_the_share_of_the_right_world_is_told(kept, tmp_path):
  results = _results('default', 0, 0.5)
  for name, share in (('teachers', 0.7), ('compact', 0.9)):
    results['metrics'][name]['right_world'] = share
  (tmp_path / 'results.json').write_text(json.dumps(results))
  tabulate.keep(tmp_path)
  text = tabulate.table('digits')
  assert 'own data set: teachers 0.7000, compact 0.9000.' in text
