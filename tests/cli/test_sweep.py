"""Several seeds and fields of one config, each run in its folder."""

import pathlib
import subprocess
import sys

import pytest

from dualgan_jax.config import schema, stage_fields
from dualgan_jax.errors import TrainingError, UserError
from dualgan_jax.experiment import stage_records, sweep, workdir
from dualgan_jax.presets import digits
from tests.paths import ROOT


def test_a_grid_has_every_combination():
  arms = sweep.parse_grid(
    'objective.bn_prior_weight=0.3,1;dual.filter_start=stage1,fresh'
  )
  assert len(arms) == 4
  assert arms['objective.bn_prior_weight=0.3,dual.filter_start=fresh'] == {
    'objective.bn_prior_weight': 0.3,
    'dual.filter_start': 'fresh',
  }


def test_values_are_literals_or_texts():
  arms = sweep.parse_grid('student.widths=(8, 8, 16),(4, 4, 8)')
  widths = [fields['student.widths'] for fields in arms.values()]
  assert widths == [(8, 8, 16), (4, 4, 8)]
  assert sweep.parse_grid('objective.never_empty=True,False') == {
    'objective.never_empty=True': {'objective.never_empty': True},
    'objective.never_empty=False': {'objective.never_empty': False},
  }
  assert sweep.parse_grid('') == {'': {}}


@pytest.mark.parametrize(
  'text', ['steps', '=3', 'steps=', 'a=1;b', 'seed=5', 'a=1; a =2']
)
def test_another_form_of_grid_is_refused(text):
  with pytest.raises(UserError, match='--grid'):
    sweep.parse_grid(text)


def test_a_changed_config_is_a_copy():
  config = digits.get_config('smoke')
  other = sweep.change_fields(config, 7, {'generator.steps': 3})
  assert (other.seed, other.generator.steps) == (7, 3)
  assert (config.seed, config.generator.steps) == (0, 20)


@pytest.mark.parametrize(
  'fields', [{'generator.stepz': 3}, {'generator.steps': 'many'}]
)
def test_a_field_that_does_not_fit_is_named(fields):
  with pytest.raises(UserError, match='--grid: .*step'):
    sweep.change_fields(digits.get_config('smoke'), 0, fields)


def test_the_table_has_mean_and_spread_per_arm_and_model():
  def results(seed, top1):
    row = {'top1': top1, 'mAP': 0.5, 'exact_match': 0.25}
    return {'seed': seed, 'config': {}, 'metrics': {'compact': row}}

  text = sweep.results_table({'': [results(0, 0.9), results(1, 0.7)]})
  assert '0.8000 ± 0.1414' in text
  assert '0 1' in text
  assert '| compact' in text
  assert 'mean nothing' not in text
  short = {**results(0, 0.9), 'config': {'generator.steps': 5}}
  short['config']['refine.steps'] = 5
  arms = {'a=1': [results(0, 0.9)], 'a=2': [short, results(1, 0.7)]}
  text = sweep.results_table(arms)
  assert text.endswith('\n\nToo short, their figures mean nothing: a=2.')


def test_without_real_images_the_table_has_the_agreement():
  no_scores = dict.fromkeys(('top1', 'mAP', 'exact_match'))
  metrics = {
    'teachers': no_scores,
    'compact': {**no_scores, 'agreement': 0.75},
  }
  text = sweep.results_table(
    {'': [{'seed': 0, 'config': {}, 'metrics': metrics}]}
  )
  head, _, teachers, compact = text.splitlines()
  assert 'agreement' in head and 'top-1' not in head
  assert '–' in teachers and '0.7500' in compact


def test_a_value_that_is_a_path_is_one_folder():
  config = digits.get_config('smoke')
  folder = sweep._run_folder(pathlib.Path('x'), 'experiment=../y', config)
  assert folder == pathlib.Path('x', 'experiment=..%2Fy', 'seed-0')


@pytest.fixture
def plan():
  """Arms that differ in what is made of the same teachers, and one in those."""
  arms = {
    'a': {'generator.steps': 5},
    'b': {'generator.steps': 6},
    'c': {'generator.steps': 6, 'dual.steps': 3},
    'd': {'pretrain.steps': 6},
  }
  config = digits.get_config('smoke')
  return [
    (name, sweep.change_fields(config, seed, fields))
    for name, fields in arms.items()
    for seed in (0, 1)
  ]


def test_equal_stages_are_shared(tmp_path, plan, monkeypatch):
  monkeypatch.setattr(stage_records, 'is_finished', lambda folder, stage: True)
  donors = [sweep.find_donor(tmp_path, config, plan) for _, config in plan]
  folders_of_a, folders_of_b = (
    [str(tmp_path / arm / f'seed-{seed}') for seed in (0, 1)] for arm in 'ab'
  )
  # `b` has the teachers of `a`; `c` also has the generator of `b`.
  assert donors == [None, None, *folders_of_a, *folders_of_b, None, None]


def test_unfinished_stages_are_not_shared(tmp_path, plan):
  assert {sweep.find_donor(tmp_path, config, plan) for _, config in plan} == {
    None
  }


def test_runs_are_checked_against_their_own_folders(
  tmp_path, plan, monkeypatch
):
  def begin(folder, config, stage):
    fields = stage_fields.by_stage(schema.check(config))[stage]
    with workdir.Workdir(str(folder)) as run_folder:
      run_folder.begin(stage, fields)
      run_folder.finish(stage, fields, 1.0)

  monkeypatch.setattr(sweep, 'run', None)  # nothing comes to be trained
  # What lies beside the sweep's own folders is no part of it.
  begin(tmp_path, sweep.change_fields(plan[0][1], 7, {}), 'pretrain')
  name, config = plan[3]
  old_config = sweep.change_fields(config, config.seed, {'pretrain.steps': 9})
  begin(tmp_path / name / f'seed-{config.seed}', old_config, 'pretrain')
  with pytest.raises(UserError, match=r'9 there.*/b/seed-1 was made'):
    sweep.run_all(tmp_path, plan)


def test_the_others_are_done_where_one_cannot_go_on(
  tmp_path, plan, monkeypatch
):
  class FakeRun:
    """A run that raises the errors of some calls, by their numbers."""

    def __init__(self, *numbered_errors):
      self.errors, self.num_calls = dict(numbered_errors), 0

    def __call__(self, config, folder, *, init_from):
      self.num_calls += 1
      if self.num_calls in self.errors:
        raise self.errors[self.num_calls]
      row = dict.fromkeys(('top1', 'mAP', 'exact_match'), 0.5)
      return {'seed': config.seed, 'config': {}, 'metrics': {'compact': row}}

  def sweep_with(*numbered_errors):
    fake_run = FakeRun(*numbered_errors)
    monkeypatch.setattr(sweep, 'run', fake_run)
    return fake_run, lambda: sweep.run_all(tmp_path, plan)

  monkeypatch.setattr(sweep, 'dry_run', lambda *_: '')
  fake_run, run_sweep = sweep_with(
    (1, TrainingError('diverged')), (5, UserError('damaged'))
  )
  results, (first_failure, second_failure) = run_sweep()
  assert fake_run.num_calls == len(plan)
  assert first_failure.endswith('a/seed-0: diverged')
  assert second_failure.endswith('c/seed-0: damaged')
  assert '| d compact |' in sweep.results_table(results)
  # An error of the first run most likely is one of all runs.
  fake_run, run_sweep = sweep_with((1, UserError('no data')))
  with pytest.raises(UserError, match='^no data$'):
    run_sweep()
  assert fake_run.num_calls == 1


def _launch(*flags):
  """Starts a sweep as a checkout does, and returns how it ended."""
  return subprocess.run(
    [sys.executable, '-m', 'experiments.sweep', *flags],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )


@pytest.mark.parametrize(
  ('flags', 'message'),
  [
    (['--seeds=0,x'], '--seeds'),
    (['--seeds=1,1'], 'different whole numbers'),
    (['--seeds=²'], 'different whole numbers'),
    (['--grid=generator.stepz=1'], '--grid: no such field: generator.stepz.'),
    (['--grid=generator.steps.x=1'], 'no such field: generator.steps.x.'),
    (['--grid=generator.steps=few'], '--grid: '),
    (['--grid=pretrain.steps=0'], 'pretrain.steps: 0'),
    (['--grid=generator.batch=7'], 'generator.batch (7): '),
    (['--grid=student={}'], 'student.'),
    ([f'--grid=labels={("0",) * 90}'], 'too long for the name of a folder'),
  ],
)
def test_a_wrong_flag_is_an_error_before_anything_is_trained(
  tmp_path, flags, message
):
  process = _launch(
    '--config=experiments/configs/digits.py:smoke',
    f'--workdir={tmp_path}/x',
    *flags,
  )
  assert process.returncode == 2
  assert message in process.stderr
  assert 'Traceback' not in process.stderr
  assert not (tmp_path / 'x').exists()


@pytest.mark.slow
def test_a_sweep_runs_all_and_a_second_start_only_shows(tmp_path):
  flags = [
    '--config=experiments/configs/digits.py:smoke',
    f'--workdir={tmp_path}',
    '--seeds=0',
    '--grid=refine.adversarial_weight=0.0,1.0',
  ]
  first_start = _launch(*flags)
  assert first_start.returncode == 0, first_start.stderr
  assert 'refine.adversarial_weight=1.0 compact ' in first_start.stdout
  # The second arm took teachers and generator from the first.
  assert first_start.stderr.count('pretrain: done') == 1
  assert first_start.stderr.count('generator: done') == 1
  second_start = _launch(*flags)
  assert second_start.stdout == first_start.stdout
  assert 'done already' in second_start.stderr
  folder = tmp_path / 'refine.adversarial_weight=0.0' / 'seed-0'
  with workdir.Workdir(str(folder)) as run_folder:
    assert run_folder.finished('evaluate')
