"""Tables of all pages, and docstrings of configs, show the stored results."""

import json
import re
import sys

import pytest

from dualgan_jax.config import (
  builders,
  renamed_fields,
  stage_fields,
  stage_table,
)
from dualgan_jax.reporting import shipped_runs
from dualgan_jax.reporting.spread import mean_and_std
from experiments import overview, tabulate
from tests.experiments.all_configs import checked_configs, config_modules
from tests.paths import ROOT


@pytest.mark.parametrize(
  'page', [*tabulate.PAGES, *tabulate.NOTES], ids=lambda path: path.name
)
def test_pages_show_the_stored_results(page):
  text = page.read_text()
  assert tabulate.rewrite_tables(text) == text


def test_the_chart_shows_the_stored_results():
  assert tabulate.CHART.read_text() == tabulate.draw_chart()


def test_reports_are_compared_with_the_stored_results():
  assert shipped_runs.FILE.read_text() == tabulate.format_shipped_runs()


def _experiments_on(page):
  """Returns the experiments that the markers of a page name."""
  marked_experiments = re.findall(
    r'<!-- (?:results|summary|overview): ([\w. -]+) -->', page.read_text()
  )
  return {name for names in marked_experiments for name in names.split()}


def test_every_stored_experiment_has_its_table():
  readme, details, *_ = map(_experiments_on, tabulate.PAGES)
  stored = {folder.name for folder in tabulate.RESULTS_FOLDER.iterdir()}
  assert stored == details
  # A newcomer reads a few rows, of experiments that are explained in words.
  assert readme < stored
  assert readme < overview.TASKS.keys() <= stored
  assert stored == set().union(*map(_experiments_on, tabulate.NOTES))


def _effective_fields(fields):
  """Leaves out the baselines', and those of refinement where there is none.

  A run of few teachers fills in that all of them are asked.
  """
  ignored_prefixes = (
    'baselines.',
    *(() if fields['refine.steps'] else ('refine.',)),
  )
  return {
    name: value
    for name, value in fields.items()
    if not name.startswith(ignored_prefixes)
    and (name != 'teachers_per_step' or value)
  }


@pytest.mark.parametrize(
  'path',
  sorted(tabulate.RESULTS_FOLDER.glob('*/*.json')),
  ids=lambda path: f'{path.parent.name}-{path.stem}',
)
def test_a_stored_run_had_a_config_of_ours(path):
  run = json.loads(path.read_text())
  # Before there were these fields, replayed images were left as they were.
  old_defaults = {
    'augmentation.shift': 0,
    'augmentation.flip': False,
    'augmentation.mixup': 0.0,
  }
  # ... and each data set had default values.
  data_sets = {
    name.split('.')[1] for name in run['config'] if name.startswith('data.')
  }
  for data_set in data_sets:
    old_defaults |= {
      f'data.{data_set}.{name}': value
      for name, value in builders.data_set('').items()
      if name != 'path'
    }
  fields_of_run = renamed_fields.rename_flat(run['config'])
  # ... and no branched net was refined, as the note of its row says.
  default = stage_table.Refine().branched_steps
  fields_of_run.setdefault('refine.branched_steps', default)
  run_fields = _effective_fields({**old_defaults, **fields_of_run})
  differences = []
  for config in checked_configs():
    fields = {}
    for fields_of_stage in stage_fields.by_stage(config).values():
      fields |= fields_of_stage
    fields = _effective_fields(fields)
    if config.experiment == run['experiment'] and (
      config.objective.name == run['objective']
    ):
      differences.append(
        stage_fields.differing(run_fields, {**fields, 'seed': run['seed']})
      )
  assert [] in differences, differences


def _docstring(name):
  """Returns a config's docstring on one line."""
  # The file may only import a preset, which then has the docstring.
  module = sys.modules[config_modules()[name].get_config.__module__]
  return ' '.join(module.__doc__.split())


# Configs that nobody has run to the end.
_CONFIGS_WITHOUT_RESULTS = (
  'pytorch_cifar10',
  'voc2007',
)
# `cifar10` itself has no results, and states those of its variant.
_STATED_EXPERIMENTS = {'cifar10': 'cifar10_laptop'}


@pytest.mark.parametrize('name', sorted(config_modules()))
def test_a_config_names_its_page_of_notes(name):
  link = f'experiments/notes/{name}.md'
  assert _docstring(name).endswith(link)
  assert (ROOT / link).exists()


@pytest.mark.parametrize(
  'name', sorted(config_modules().keys() - set(_CONFIGS_WITHOUT_RESULTS))
)
def test_a_config_states_its_stored_results(name):
  runs = tabulate.load_results(_STATED_EXPERIMENTS.get(name, name))['default']
  docstring = _docstring(name)
  for model, title in (
    ('teachers', 'teachers together'),
    ('compact', 'compact TargetNet'),
    ('branched', 'branched'),
  ):
    # Without blocks that were trained one by one there are no branches.
    if model not in runs[0]['metrics']:
      continue
    rows = [run['metrics'][model] for run in runs]
    # Where an image has several labels, none of them is the top one.
    measure = 'mAP' if rows[0]['top1'] is None else 'top1'
    score = mean_and_std([row[measure] for row in rows], digits=3)
    assert re.search(f'{title} {score}[.,]', docstring), (title, score)


@pytest.fixture
def results_folder(monkeypatch, tmp_path):
  """Returns a results folder for one test."""
  monkeypatch.setattr(tabulate, 'RESULTS_FOLDER', tmp_path / 'results')
  return tmp_path / 'results'


def _results(objective, seed, top1, steps=10):
  """Makes the `results.json` of a run."""
  names = ('mAP', 'f1_macro', 'f1_micro', 'exact_match')
  row = {'top1': top1, **dict.fromkeys(names, 1.0)}
  return {
    'experiment': 'digits',
    'objective': objective,
    'oracle': objective == 'paper',
    'seed': seed,
    'config': {
      'seed': seed,
      'generator.steps': steps,
      'student.widths': [4, 8],
      'dual.steps': 20,
      'dual.batch': 64,
      'targetnet.compact_steps': 100,
      'targetnet.batch': 128,
      'refine.steps': 10,
      'refine.batch': 32,
      'refine.replay_steps': 4,
      'refine.branched_steps': 5,
    },
    'metrics': {
      'teachers': {**row, 'params': 100, 'flops': 1000},
      'compact': {**row, 'params': 25, 'flops': 500},
      'branched': {**row, 'params': 90, 'flops': 900},
    },
    'seconds': {'generator': 10, 'dual': 5, 'targetnet': 1.4, 'evaluate': 9},
  }


def test_results_are_stored_by_experiment_objective_and_seed(
  results_folder, tmp_path
):
  for objective, seed, top1 in (
    ('paper', 0, 0.5),
    ('default', 0, 0.8),
    ('default', 1, 0.9),
  ):
    results = _results(objective, seed, top1)
    (tmp_path / 'results.json').write_text(json.dumps(results))
    tabulate.store_results(tmp_path)
  assert (results_folder / 'digits' / 'default-seed1.json').exists()
  text = tabulate.format_table('digits')
  lines = text.splitlines()
  assert lines[2].startswith('| teachers ')  # the default objective first
  compact = next(line for line in lines if line.startswith('| compact '))
  assert '0.8500 ± 0.0707' in compact  # deviations ±0.05: √(0.005 / 1)
  assert '25%' in compact
  assert '50%' in compact
  assert 'compact, `paper` objective, oracle weights' in text
  assert 'dual + targetnet + refine took 16 ± 0 s' in text
  # 20 + 100 + 10 · 5 steps; 2 · 20 · 64 + 100 · 128 + 10 · 32 images.
  assert 'The student took 170 steps, on 15,680 generated images.' in text
  default, paper = tabulate.format_summary(['digits']).splitlines()[2:]
  assert '| 0.850 ± 0.071 |' in default
  assert default.startswith('| `digits` ')
  assert '`digits`, `paper` (oracle weights)' in paper


def test_sizes_that_differ_by_seed_are_a_range(results_folder, tmp_path):
  for seed, size in ((0, 90), (1, 110), (2, 86)):
    results = _results('default', seed, 0.5)
    results['metrics']['branched']['params'] = size
    (tmp_path / 'results.json').write_text(json.dumps(results))
    tabulate.store_results(tmp_path)
  *_, branched = tabulate.format_table('digits').split('| branched ')
  cells = [cell.strip() for cell in branched.splitlines()[0].split('|')]
  assert cells[-3:-1] == ['86–110%', '90%']


def test_an_unfinished_run_is_refused_before_any_is_stored(
  results_folder, tmp_path
):
  (tmp_path / 'results.json').write_text(json.dumps(_results('dafl', 0, 0.5)))
  damaged = tmp_path / 'damaged'
  damaged.mkdir()
  (damaged / 'results.json').write_text('{"metrics": ')
  for name in ('nowhere', 'damaged'):
    with pytest.raises(SystemExit, match=f'{name}: no results.json, or dam'):
      tabulate.main([tmp_path, tmp_path / name])
  assert not results_folder.exists()


@pytest.fixture
def make_run(results_folder, tmp_path):
  """Returns a function that makes the folder of a finished run."""

  def make_run(name, *arguments):
    folder = tmp_path / name
    folder.mkdir()
    (folder / 'results.json').write_text(json.dumps(_results(*arguments)))
    return folder

  return make_run


def test_runs_of_another_config_share_no_row(make_run):
  first = make_run('first', 'default', 0, 0.5)
  tabulate.store_results(first)
  longer = make_run('longer', 'default', 1, 0.6, 20)
  message = r'longer: generator.steps \(10 with seed 0, 20 here\), but one row'
  with pytest.raises(SystemExit, match=message):
    tabulate.check_same_config([longer])
  # All seeds together may have another, and so may other rows.
  tabulate.check_same_config([longer, make_run('again', 'default', 0, 0.6, 20)])
  tabulate.check_same_config([make_run('named', 'longer', 1, 0.6, 20)])
  # Not if they are unlike among themselves.
  with pytest.raises(SystemExit, match='generator.steps'):
    tabulate.check_same_config(
      [longer, make_run('third', 'default', 2, 0.6, 30)]
    )


def test_fields_that_there_were_not_yet_are_not_compared(make_run):
  tabulate.store_results(make_run('first', 'default', 0, 0.5))
  results = _results('default', 1, 0.5)
  results['config']['refine.mixup'] = 0.0
  folder = make_run('second', 'default', 1, 0.5)
  (folder / 'results.json').write_text(json.dumps(results))
  tabulate.check_same_config([folder])


def test_a_page_may_ask_for_an_experiment_of_any_name(results_folder, tmp_path):
  results = {**_results('default', 0, 0.5), 'experiment': 'my-own.2'}
  (tmp_path / 'results.json').write_text(json.dumps(results))
  tabulate.store_results(tmp_path)
  page = '<!-- results: my-own.2 -->\n<!-- end -->'
  assert '| compact ' in tabulate.rewrite_tables(page)


def test_replacing_a_stored_run_is_reported(results_folder, tmp_path, capsys):
  for top1, is_replaced in ((0.5, False), (0.5, False), (0.6, True)):
    results = json.dumps(_results('dafl', 0, top1))
    (tmp_path / 'results.json').write_text(results)
    tabulate.store_results(tmp_path)
    message = 'digits/dafl-seed0.json: another run stood there'
    assert (message in capsys.readouterr().out) == is_replaced


def test_an_objective_without_branches_has_its_row(results_folder, tmp_path):
  results = _results('dafl', 0, 0.5)
  del results['metrics']['branched']
  (tmp_path / 'results.json').write_text(json.dumps(results))
  tabulate.store_results(tmp_path)
  assert 'compact, `dafl` objective' in tabulate.format_table('digits')


def test_without_top1_the_summary_shows_map(results_folder, tmp_path):
  results = _results('default', 0, None)
  (tmp_path / 'results.json').write_text(json.dumps(results))
  tabulate.store_results(tmp_path)
  assert (
    '| `digits` (mAP) |             1.000 |   1.000 |'
    in tabulate.format_summary(['digits'])
  )


def test_the_share_of_the_right_data_set_is_shown(results_folder, tmp_path):
  results = _results('default', 0, 0.5)
  for name, share in (('teachers', 0.7), ('compact', 0.9)):
    results['metrics'][name]['right_world'] = share
  (tmp_path / 'results.json').write_text(json.dumps(results))
  tabulate.store_results(tmp_path)
  text = tabulate.format_table('digits')
  assert 'own data set: teachers 0.7000, compact 0.9000.' in text


def test_an_overview_is_in_plain_words(results_folder, tmp_path):
  for objective, top1 in (('default', 0.9), ('dafl', 0.5)):
    results = _results(objective, 0, top1)
    (tmp_path / 'results.json').write_text(json.dumps(results))
    tabulate.store_results(tmp_path)
  page = '<!-- overview: digits -->\n<!-- end -->'
  *_, row, _ = tabulate.rewrite_tables(page).splitlines()
  cells = [cell.strip() for cell in row.strip('|').split('|')]
  # No column for real data, which nobody used; 16.4 seconds are no minute.
  task = f'[{overview.TASKS["digits"]}](docs/results.md#digits)'
  assert cells == [task, '0.900', '0.900', '0.500', '0']


def test_a_part_is_worth_what_its_arm_lacks_with_the_same_seeds():
  runs = {
    'ablation': {
      'default': [_results('default', seed, 0.9) for seed in (0, 1, 2)],
      'both_streams': [_results('both_streams', 1, 0.88)],
    }
  }
  table = overview.format_parts(lambda experiment: runs.get(experiment, {}))
  row = next(line for line in table.splitlines() if 'second stream' in line)
  assert row.endswith('| `dual.lambda_generated=0.0` | −2.0 | −2.0 |')
  prior = next(line for line in table.splitlines() if 'prior' in line)
  assert prior.endswith('| – | – |')
