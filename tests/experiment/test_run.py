"""A whole run, through the launcher, and what happens to its folder."""

import errno
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

import dualgan_jax
from dualgan_jax import run
from dualgan_jax.config import builders, schema, stage_table
from dualgan_jax.data import sources
from dualgan_jax.errors import TrainingError, UserError
from dualgan_jax.experiment import evaluation
from dualgan_jax.presets import digits
from dualgan_jax.reporting.scores import COLUMN_TITLES
from dualgan_jax.student import generated_images
from dualgan_jax.training.metrics_log import read_metrics
from tests import state_dicts
from tests.paths import ROOT
from tests.trials import kills

_CONFIG = 'experiments/configs/digits.py:smoke'
# A teacher of three blocks for 16×16 images, of labels that no data have.
_SIDES = """
import jax.numpy as jnp
from dualgan_jax import Teacher

def get_teacher():
  half = lambda variables, x: x[:, ::2, ::2]
  same = lambda variables, x: x
  def head(variables, x):
    side = (x[:, :, :2] - x[:, :, 2:]).mean(axis=(1, 2, 3))
    return variables['params']['w'] * jnp.stack([side, -side], axis=1)
  variables = ({}, {}, {}, {'params': {'w': jnp.float32(3)}})
  blocks = (half, half, same)
  return Teacher('sides', ('left', 'right'), blocks, head, variables)
"""
# Importing real data, or scikit-learn's, is an error in such a process.
_NO_DATA = """
import importlib.util, sys
for name in (
  'dualgan_jax.data.sources', 'dualgan_jax.reporting.metrics', 'sklearn'
):
  assert importlib.util.find_spec(name), name
  sys.modules[name] = None
from dualgan_jax.cli import main
sys.exit(main.main(['train', *sys.argv[1:]]))
"""


def _launch(
  workdir, *flags, program=('-m', 'experiments.main'), config=_CONFIG, env=()
):
  return subprocess.run(
    [sys.executable, *program, f'--config={config}', f'--workdir={workdir}']
    + list(flags),
    cwd=ROOT,
    env={**os.environ, **dict(env)},
    capture_output=True,
    text=True,
    check=False,
  )


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  """A finished smoke run, and its process."""
  workdir = tmp_path_factory.mktemp('runs') / 'smoke'
  return workdir, _launch(workdir)


@pytest.fixture
def copy(finished, tmp_path):
  """A copy of the finished run to change."""
  return shutil.copytree(finished[0], tmp_path / 'copy')


def _modification_times(folder):
  return {
    path: path.stat().st_mtime_ns
    for path in folder.glob('*/**/*')
    if path.is_file()
  }


def _width(path):
  with Image.open(path) as image:
    return image.size[0]


def _undo(workdir, *stages):
  for stage in stages:
    shutil.rmtree(workdir / stage)


def test_a_smoke_run_ends_well_and_prints_the_table(finished):
  _, done = finished
  assert done.returncode == 0, done.stderr
  assert done.stdout.startswith('| model')
  for name in ('teachers', 'low', 'high', 'compact', 'branched', 'noise'):
    assert f'| {name} ' in done.stdout
  assert '\r' not in done.stderr  # plain lines, not a bar, into a pipe
  assert ' left' in done.stderr


def test_the_folder_holds_everything(finished):
  workdir, _ = finished
  config = json.loads((workdir / 'config.json').read_text())
  assert config['generator']['steps'] == 20
  for stage in stage_table.NAMES[:-1]:
    checkpoints = list(
      (workdir / stage).glob('checkpoints/**/_CHECKPOINT_METADATA')
    )
    assert checkpoints, stage
    assert read_metrics(workdir / stage), stage
    assert list((workdir / stage).glob('tensorboard/**/events*')), stage
    assert _width(workdir / stage / 'curves.png') > 500
  for stage in ('generator', 'evaluate'):
    assert _width(workdir / stage / 'samples.png') > 300
  report = (workdir / 'report.md').read_text()
  assert 'Objective: default.' in report
  card = (workdir / 'student' / 'README.md').read_text()
  assert re.search(r'\| top-1 accuracy +\| +0\.\d+ \| +0\.\d+ to 0\.\d+', card)
  generated = generated_images.read(
    workdir / 'evaluate' / generated_images.NAME, (16, 16, 1), 10
  )
  # Of one image, all pixels would be the same.
  assert len(generated.images) == 256 and generated.images.std() > 0
  page = (workdir / 'report.html').read_text()
  results = json.loads((workdir / 'results.json').read_text())
  # Generated and real images of each label, those of errors, and four of two
  # stages' courses.
  num_images = 2 * 10 + len(results['worst_errors']) + 2 * 4
  assert page.count('data:image/png;base64,') == num_images
  assert page.count('<svg') > 5
  blocks = read_metrics(workdir / 'dual')
  assert set(blocks) == {'dual/block_1', 'dual/block_2', 'dual/block_3'}


@pytest.mark.parametrize(
  ('folder', 'model'), [('student', 'compact'), ('branched', 'branched')]
)
def test_both_students_can_be_taken_away(finished, tmp_path, folder, model):
  workdir, _ = finished
  folder = shutil.copytree(workdir / folder, tmp_path / 'mine')
  loaded = dualgan_jax.load(folder)
  assert loaded.labels == tuple('0123456789')
  assert loaded.config['origin']['experiment'] == 'digits'
  images = sources.load(
    'digits',
    digits.get_config().data.digits,
    'test',
    (16, 16, 1),
    seed=0,
  )
  right = loaded.predict(images.images).argmax(1) == images.targets.argmax(1)
  results = json.loads((workdir / 'results.json').read_text())
  top1 = results['metrics'][model]['top1']
  assert abs(float(right.mean()) - top1) < 0.01


def test_the_students_have_the_temperatures_of_the_results(finished):
  workdir, _ = finished
  results = json.loads((workdir / 'results.json').read_text())
  for model, folder in (('compact', 'student'), ('branched', 'branched')):
    config = json.loads((workdir / folder / 'config.json').read_text())
    temperature = results['temperatures'][model]
    assert 1 / 3 <= temperature <= 1
    assert config['origin']['temperature'] == temperature
  # The answers to all test images, before and after.
  for name in ('uncalibrated', 'calibration'):
    assert sum(one_bin['count'] for one_bin in results[name]) == 540


def test_the_worst_errors_have_their_images(finished):
  workdir, _ = finished
  errors = json.loads((workdir / 'results.json').read_text())['worst_errors']
  probabilities = [error['probability'] for error in errors]
  assert probabilities == sorted(probabilities, reverse=True)
  for error in errors:
    assert error['label'] not in error['truth']
    with Image.open(workdir / error['image']) as image:
      assert image.size == (8, 8)


def test_pictures_show_the_course_of_the_generator(finished):
  for stage in ('generator', 'refine'):
    pictures = {
      path.name for path in (finished[0] / stage / 'pictures').iterdir()
    }
    assert pictures == {f'train-{step}.png' for step in (1, 4, 10, 20)}


def test_results_have_every_model_and_metric(finished):
  results = json.loads((finished[0] / 'results.json').read_text())
  assert results['experiment'] == 'digits'
  assert results['objective'] == 'default'
  assert results['seed'] == 0
  assert results['labels'] == list('0123456789')
  assert set(results['branch_points']) == {'low', 'high'}
  assert results['images'] == {'digits': {'train': 1257, 'test': 540}}
  assert set(results['seconds']) == set(stage_table.NAMES)
  assert 'jax' in results['versions']
  assert results['config']['generator.steps'] == 20
  assert 'data.digits.path' not in results['config']
  # The teachers have no label in common that could be combined in other ways.
  ensembles = {'fedavg', 'mean_logits', 'entropy_weights'}
  assert set(results['metrics']) == {
    *set(schema.MODEL_ROWS) - ensembles,
    'low',
    'high',
  }
  for name, row in results['metrics'].items():
    # Teachers agree with themselves.
    answered = set() if name in ('teachers', 'low', 'high') else {'agreement'}
    assert set(row) == answered | {
      'top1',
      'mAP',
      'mAP_11',
      'f1_macro',
      'f1_micro',
      'exact_match',
      'params',
      'flops',
    }
    assert 0 <= row['top1'] <= 1
    assert row['params'] > 0
    assert row['flops'] > 0
  assert list(results['per_label']) == results['labels']
  costs = results['metrics']
  precisions = [row['student_ap'] for row in results['per_label'].values()]
  assert costs['compact']['mAP'] == pytest.approx(np.mean(precisions))
  assert costs['teachers']['params'] == 2 * costs['low']['params']


def test_a_second_start_does_nothing(copy):
  before = _modification_times(copy)
  again = _launch(copy)
  assert again.returncode == 0
  assert 'done already' in again.stderr
  assert again.stdout.startswith('| model')
  after = _modification_times(copy)
  assert before == after


def test_lost_or_damaged_results_are_reported_and_written_again(copy, capsys):
  model = copy / 'student' / 'model.safetensors'
  model.write_bytes(model.read_bytes()[:-1])
  (copy / 'results.json').write_text('{"metrics": {')
  (copy / 'evaluate.aside-x').mkdir()  # of somebody's own
  again = run(digits.get_config('smoke'), str(copy))
  stderr = capsys.readouterr().err
  assert f'evaluate: {copy}/results.json is lost or damaged' in stderr
  assert f'evaluate: {copy}/student: ' in stderr
  assert 'evaluate: done again' in stderr
  assert again['metrics'].keys() >= {'compact', 'branched'}
  assert dualgan_jax.load(copy / 'student').labels == tuple('0123456789')
  # Nothing but the evaluation, and no longer damaged.
  assert 'refine: done' not in stderr
  run(digits.get_config('smoke'), str(copy))
  assert 'done again' not in capsys.readouterr().err


def test_files_are_the_same_in_any_locale(copy):
  _undo(copy, 'evaluate')
  ascii_only = {
    'LC_ALL': 'C',
    'PYTHONUTF8': '0',
    'PYTHONCOERCECLOCALE': '0',
  }
  again = _launch(copy, env=ascii_only)
  assert again.returncode == 0, again.stderr
  report = (copy / 'report.md').read_text(encoding='utf-8')
  assert 'a teacher’s last blocks' in report
  assert _launch(copy, '--dry_run', env=ascii_only).returncode == 0


def test_another_config_is_refused_with_the_fields(copy):
  refused = _launch(
    copy, '--config.generator.steps=21', '--config.objective.beta=2'
  )
  assert refused.returncode == 2
  assert 'generator.steps (20 there, 21 now)' in refused.stderr
  assert 'objective.beta' in refused.stderr
  assert 'Traceback' not in refused.stderr


def test_fields_that_change_no_outcome_are_not_refused(copy):
  assert _launch(copy, '--config.log_every=7').returncode == 0


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(finished, copy):
  # Killed between the second block and the third.
  shutil.rmtree(copy / 'dual' / 'checkpoints' / 'block_3')
  record = copy / 'dual' / 'stage.json'
  fields = json.loads(record.read_text())['fields']
  record.write_text(json.dumps({'fields': fields, 'finished': False}))
  _undo(copy, 'targetnet', 'refine', 'baselines', 'evaluate')
  done = _launch(copy)
  assert done.returncode == 0, done.stderr
  assert 'dual/block_3: step 20' in done.stderr
  assert 'dual/block_2' not in done.stderr
  assert 'generator/' not in done.stderr

  def metrics(workdir):
    return json.loads((workdir / 'results.json').read_text())['metrics']

  assert metrics(copy) == metrics(finished[0])


@pytest.mark.slow
@pytest.mark.parametrize('stage', stage_table.NAMES[:-1])
def test_a_killed_stage_ends_with_the_same_bits(finished, copy, stage):
  _undo(copy, *stage_table.NAMES[stage_table.NAMES.index(stage) :])
  step = random.randrange(1, 20)
  process = kills.start_run(copy, f'--stage={stage}')
  log = copy / stage / 'metrics.jsonl'
  while not (log.exists() and f'"step": {step},' in log.read_text()):
    assert process.poll() is None, process.stderr.read()
    time.sleep(0.01)
  process.kill()
  process.communicate()
  again = kills.start_run(copy, f'--stage={stage}')
  _, stderr = again.communicate()
  assert again.returncode == 0, stderr
  expected = kills.read_last_states(finished[0])
  states = kills.read_last_states(copy)
  assert any(phase.startswith(stage) for phase in states)
  assert states == {phase: expected[phase] for phase in states}, step


def test_a_lost_teacher_is_trained_again(finished, copy):
  # What the message about a damaged checkpoint advises, in a finished stage.
  shutil.rmtree(copy / 'pretrain' / 'checkpoints' / 'high')
  _undo(copy, 'evaluate')
  done = _launch(copy)
  assert done.returncode == 0, done.stderr
  assert 'pretrain/high: step 20' in done.stderr
  assert 'pretrain/low' not in done.stderr
  assert kills.read_last_states(copy) == kills.read_last_states(finished[0])


@pytest.mark.slow
def test_teachers_of_one_label_per_image_make_such_a_student(tmp_path):
  file = tmp_path / 'wrn.safetensors'
  save_file(state_dicts.tensors('wrn_16_1'), file)
  everything = tuple('abcdefghijklmz')
  done = _launch(
    tmp_path / 'run',
    '--config.teachers.one.single_label=True',
    '--config.teachers.two.single_label=True',
    f'--config.labels={everything}',
    config=f'tests/others.py:{file}',
  )
  assert done.returncode == 0, done.stderr
  assert 'routing is on; a teacher with one label per image' in done.stderr
  results = json.loads((tmp_path / 'run' / 'results.json').read_text())
  assert results['routed']
  student = dualgan_jax.load(tmp_path / 'run' / 'student')
  answers = student.predict(np.zeros((2, 32, 32, 3), np.uint8))
  np.testing.assert_allclose(answers.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.slow
def test_others_teachers_and_no_data(tmp_path):
  file = tmp_path / 'wrn.safetensors'
  save_file(state_dicts.tensors('wrn_16_1'), file)
  workdir = tmp_path / 'run'
  config = f'tests/others.py:{file}'
  # Where no teacher is trained, any stage may be the first.
  done = _launch(workdir, '--stage=generator', config=config)
  assert done.returncode == 0, done.stderr
  done = _launch(workdir, config=config)
  assert done.returncode == 0, done.stderr
  assert '| agreement |' in done.stdout
  results = json.loads((workdir / 'results.json').read_text())
  assert list(results['metrics']) == [
    *('teachers', 'one', 'two', 'compact', 'branched'),
    'compact_before_refine',
  ]
  assert results['metrics']['compact']['top1'] is None
  assert 0 <= results['metrics']['compact']['agreement'] <= 1
  assert 'says nothing of real images' in (workdir / 'report.md').read_text()
  assert _width(workdir / 'evaluate' / 'samples.png') > 300
  taken = dualgan_jax.load(workdir / 'branched')
  answers = taken.predict(np.zeros((2, 32, 32, 3), np.uint8))
  assert answers.shape == (2, 4)

  # Test images must have the labels, which is looked at before training.
  digits = "{'digits': builders.data_set('scikit-learn/digits')}"
  tested = tmp_path / 'tested.py'
  tested.write_text(
    (ROOT / 'tests' / 'others.py').read_text().replace('{}', digits)
  )
  done = _launch(tmp_path / 'new', config=f'{tested}:{file}')
  assert done.returncode == 2
  assert 'data.digits.test_fraction' in done.stderr
  done = _launch(
    tmp_path / 'new',
    '--config.data.digits.test_fraction=0.5',
    config=f'{tested}:{file}',
  )
  assert done.returncode == 2
  assert "labels: no data set has 'a', 'c', 'k', 'z'" in done.stderr
  assert not (tmp_path / 'new' / 'generator').exists()
  # They may come later: only what measures is done again, and looks, too.
  done = _launch(
    workdir,
    '--config.data.digits.test_fraction=0.5',
    '--config.baselines.enabled=False',
    config=f'{tested}:{file}',
  )
  assert done.returncode == 2
  assert 'baselines: done again; the earlier is kept' in done.stderr
  assert "labels: no data set has 'a', 'c', 'k', 'z'" in done.stderr

  # Other weights under the same name are other teachers.
  tensors = state_dicts.tensors('wrn_16_1')
  save_file({**tensors, 'fc.bias': tensors['fc.bias'] + 1}, file)
  done = _launch(workdir, config=config)
  assert done.returncode == 2
  assert 'teachers.one.sha256' in done.stderr
  done = _launch(workdir, '--config.teachers.two.sha256=00', config=config)
  assert done.returncode == 2
  assert 'has the sum' in done.stderr


@pytest.mark.slow
def test_what_no_data_have_is_measured_nowhere(tmp_path):
  file = tmp_path / 'sides.py'
  file.write_text(_SIDES)
  config = digits.get_config('smoke')
  config.teachers = {
    'low': config.teachers.low,
    'sides': builders.module(str(file)),
  }
  config.labels = ('0', 'left')
  config.objective.routing = 'off'
  config.dual.steps = config.refine.steps = 0
  metrics = run(config, str(tmp_path / 'run'))['metrics']
  low, sides, compact = (metrics[name] for name in ('low', 'sides', 'compact'))
  assert 0 <= low['top1'] <= 1
  assert {sides[column] for column in COLUMN_TITLES} == {None}
  assert 0 <= compact['top1'] <= 1
  assert 0 <= compact['mAP'] <= 1


@pytest.mark.slow
def test_an_interrupted_run_is_saved_and_says_so(copy):
  _undo(copy, *stage_table.NAMES[1:])
  with subprocess.Popen(
    [sys.executable, '-m', 'experiments.main', f'--config={_CONFIG}']
    + [f'--workdir={copy}', '--config.generator.steps=100000'],
    cwd=ROOT,
    stderr=subprocess.PIPE,
    text=True,
  ) as process:
    for line in process.stderr:
      if 'generator/train: step' in line:
        process.send_signal(signal.SIGINT)
        break
    rest = process.stderr.read()
  assert process.returncode == 75
  assert 'generator/train: stopped and saved at step' in rest
  assert 'Traceback' not in rest
  # What was begun with other values is kept aside, not lost.
  done = _launch(copy, '--stage=generator')
  assert done.returncode == 0, done.stderr
  assert 'kept as generator.aside-1' in done.stderr
  assert (copy / 'generator.aside-1' / 'checkpoints').exists()


@pytest.mark.parametrize('stage', ['generator', 'dual', 'targetnet', 'refine'])
def test_stages_after_pretrain_never_open_data(copy, stage):
  later = stage_table.NAMES[stage_table.NAMES.index(stage) :]
  _undo(copy, *later)
  done = _launch(copy, f'--stage={stage}', program=('-c', _NO_DATA))
  assert done.returncode == 0, done.stderr
  assert f'{stage}: done' in done.stderr


def test_the_block_on_data_does_block(copy):
  _undo(copy, *stage_table.NAMES)
  done = _launch(copy, '--stage=pretrain', program=('-c', _NO_DATA))
  assert done.returncode != 0
  assert 'dualgan_jax.data.sources' in done.stderr


@pytest.mark.slow
def test_another_y_cst_and_student_from_the_same_generator(finished, tmp_path):
  done = _launch(
    tmp_path / 'other',
    f'--init_from={finished[0]}',
    "--config.labels=('7', '1', '3')",
    '--config.student.widths=(6, 7, 9)',
    # Those that the generator has.
    '--config.generator.features=(8, 8)',
  )
  assert done.returncode == 0, done.stderr
  # Neither is trained again.
  first_line = f'init_from: pretrain and generator taken from {finished[0]}\n'
  assert done.stderr.startswith(first_line)
  assert 'pretrain: ' not in done.stderr
  assert 'generator: ' not in done.stderr
  results = json.loads((tmp_path / 'other' / 'results.json').read_text())
  assert results['labels'] == ['7', '1', '3']
  before = json.loads((finished[0] / 'results.json').read_text())
  assert results['metrics']['low'] == before['metrics']['low']


@pytest.mark.slow
def test_only_teachers_are_taken_for_another_objective(finished, tmp_path):
  done = _launch(
    tmp_path / 'gamma',
    f'--init_from={finished[0]}',
    '--config.objective.gamma=0.3',
    '--stage=generator',
  )
  assert done.returncode == 0, done.stderr
  assert 'objective.gamma (0.1 there, 0.3 now)' in done.stderr
  assert 'pretrain: ' not in done.stderr
  assert 'generator: done' in done.stderr


@pytest.mark.slow
def test_dafl_is_one_generator_and_one_student(finished, tmp_path):
  done = _launch(
    tmp_path / 'dafl', f'--init_from={finished[0]}', config=f'{_CONFIG},dafl'
  )
  assert done.returncode == 0, done.stderr
  # Only stage `refine` trains.
  for stage in ('generator', 'dual', 'targetnet'):
    assert not read_metrics(tmp_path / 'dafl' / stage)
  assert list(read_metrics(tmp_path / 'dafl' / 'refine')) == ['refine']
  results = json.loads((tmp_path / 'dafl' / 'results.json').read_text())
  assert results['objective'] == 'dafl'
  assert results['branch_points'] == {}
  names = set(results['metrics'])
  assert 'compact' in names
  assert not names & {'branched', 'compact_before_refine'}
  assert not (tmp_path / 'dafl' / 'branched').exists()


@pytest.mark.slow
def test_routed_students_take_the_world_of_an_image(finished, tmp_path):
  done = _launch(
    tmp_path / 'routed',
    f'--init_from={finished[0]}',
    '--config.objective.routing=on',
  )
  assert done.returncode == 0, done.stderr
  results = json.loads((tmp_path / 'routed' / 'results.json').read_text())
  assert results['routed']
  assert results['misfits'] == {}


@pytest.mark.parametrize('taken', [False, True])
def test_data_that_cannot_be_read_are_found_before_anything_is_trained(
  finished, tmp_path, monkeypatch, taken
):
  def broken(name, *_):
    raise UserError(f'data.{name}: row 3 of part test has no image.')

  monkeypatch.setattr(sources, 'check', broken)
  config, workdir = digits.get_config('smoke'), tmp_path / 'x'
  config.student.widths = (8, 8, 8)
  init_from = str(finished[0]) if taken else None
  with pytest.raises(UserError, match='^data.digits: row 3 of part test'):
    run(config, str(workdir), init_from=init_from)
  assert not (workdir / 'dual').exists()
  # A stage that opens no data does not ask for them.
  if taken:
    assert run(config, str(workdir), stage='generator') is None


def test_other_teachers_are_not_taken(finished, tmp_path):
  refused = _launch(
    tmp_path / 'x', f'--init_from={finished[0]}', '--config.pretrain.steps=9'
  )
  assert refused.returncode == 2
  assert 'pretrain.steps (20 there, 9 now)' in refused.stderr
  assert not (tmp_path / 'x' / 'pretrain').exists()


@pytest.mark.slow
def test_a_teacher_of_whom_nothing_is_asked_is_left_out(finished, tmp_path):
  done = _launch(
    tmp_path / 'low',
    f'--init_from={finished[0]}',
    "--config.labels=('4', '0')",
    '--config.baselines.enabled=False',
  )
  assert done.returncode == 0, done.stderr
  results = json.loads((tmp_path / 'low' / 'results.json').read_text())
  assert not {'noise', 'real_data'} & set(results['metrics'])
  assert 'noise' not in (tmp_path / 'low' / 'report.md').read_text()
  assert set(results['branch_points']) == {'low'}
  assert results['metrics']['teachers'] == {
    **results['metrics']['teachers'],
    'params': results['metrics']['low']['params'],
  }


def test_a_disk_that_fills_up_elsewhere_is_one_sentence(copy, monkeypatch):
  def full(*_):
    raise OSError(errno.ENOSPC, 'No space left on device')

  monkeypatch.setattr('dualgan_jax.reporting.report.write', full)
  _undo(copy, 'evaluate')
  with pytest.raises(TrainingError, match='copy: the disk is full; put that'):
    run(digits.get_config('smoke'), str(copy))


def test_a_file_that_may_not_be_written_is_one_sentence(copy, monkeypatch):
  def refuse(*_):
    raise PermissionError(errno.EACCES, 'Permission denied', 'results.json')

  monkeypatch.setattr('dualgan_jax.reporting.report.write', refuse)
  _undo(copy, 'evaluate')
  with pytest.raises(
    UserError, match=r'^workdir: results.json may not be used'
  ):
    run(digits.get_config('smoke'), str(copy))


def test_no_memory_is_one_sentence_and_less_of_it_goes_on(copy, monkeypatch):
  # What is known to be too much is refused; the rest shows when it is tried.
  monkeypatch.setattr(
    'dualgan_jax.experiment.memory.device_memory', lambda _: 2**63
  )
  _undo(copy, 'refine', 'baselines', 'evaluate')
  config = digits.get_config('smoke')
  # 524 TB: more than a process can address, whatever its system promises.
  config.refine.replay_buffer_batches, config.refine.batch = 2 * 10**9, 1024
  with pytest.raises(TrainingError) as error:
    run(config, str(copy), stage='refine')
  sentence = str(error.value)
  assert sentence.startswith('refine: there is not enough memory (RESOURCE_EXH')
  assert 'lower refine.batch, or take' in sentence and '\n' not in sentence
  run(digits.get_config('smoke'), str(copy), stage='refine')


def test_other_failures_of_a_device_keep_their_traceback(copy, monkeypatch):
  def broken(*_):
    raise jax.errors.JaxRuntimeError('INTERNAL: a cable was pulled')

  monkeypatch.setattr(evaluation, 'measure', broken)
  _undo(copy, 'evaluate')
  with pytest.raises(jax.errors.JaxRuntimeError, match='cable'):
    run(digits.get_config('smoke'), str(copy))


def test_a_batch_that_does_not_divide_matters_only_where_it_is_used(copy):
  config = digits.get_config('smoke')
  config.devices = 3
  with pytest.raises(UserError, match=r'^pretrain\.batch \(128\), gen'):
    run(config, str(copy / 'new'), stage='pretrain')
  assert run(config, str(copy))['seed'] == 0  # all is done already
  # What is trained after a stage that is done again is, too.
  shutil.rmtree(copy / 'targetnet')
  config.targetnet.batch = 126
  with pytest.raises(UserError, match=r'^refine\.batch \(128\), base'):
    run(config, str(copy))


def test_a_batch_that_nothing_uses_may_be_any(tmp_path):
  config = digits.get_config('smoke,paper')  # no refinement
  config.objective.groups = False
  config.dual.steps = 0  # no blocks
  config.devices = 3
  for stage in ('pretrain', 'generator', 'targetnet', 'baselines'):
    config[stage].batch = 129
  dualgan_jax.dry_run(config, str(tmp_path))
  config.baselines.batch = 128
  with pytest.raises(UserError, match=r'^baselines\.batch \(128\): can'):
    dualgan_jax.dry_run(config, str(tmp_path))


def test_a_stage_whose_forerunner_is_missing_is_refused(tmp_path):
  config = digits.get_config('smoke')
  with pytest.raises(UserError, match='dual needs pretrain'):
    run(config, str(tmp_path), stage='dual')
  with pytest.raises(UserError, match='stage: .teach. is none of pretrain'):
    run(config, str(tmp_path), stage='teach')


def test_a_dry_run_prints_and_leaves_nothing(tmp_path):
  done = _launch(tmp_path / 'x', '--dry_run')
  assert done.returncode == 0, done.stderr
  assert 'F_g^1' in done.stdout
  assert 'a pool of 38,400 images, 10 MB' in done.stdout
  assert not (tmp_path / 'x').exists()


def test_a_dry_run_refuses_what_a_run_would(finished, tmp_path):
  source = f'--init_from={tmp_path / "no"}'
  done = _launch(tmp_path / 'x', '--dry_run', source)
  assert done.returncode == 2
  assert 'holds no finished stage pretrain' in done.stderr
  done = _launch(finished[0], '--dry_run', '--config.dual.steps=3')
  assert done.returncode == 2
  assert 'dual.steps (20 there, 3 now)' in done.stderr
  done = _launch(finished[0], '--dry_run', source)
  assert done.returncode == 0, done.stderr
  done = _launch(finished[0], '--dry_run', '--stage=dual')
  assert done.returncode == 2
  assert done.stderr == (
    'error: --stage: --dry_run is of all stages; leave one out.\n'
  )


def test_seeds_change_the_data_split_and_the_nets(tmp_path):
  config = digits.get_config('smoke')
  params = []
  for seed in (0, 0, 1):
    config.seed = seed
    workdir = tmp_path / str(len(params))
    run(config, str(workdir), stage='pretrain')
    rows = read_metrics(workdir / 'pretrain')['pretrain/low']
    params.append([row['loss'] for row in rows])
  assert params[0] == params[1]
  assert not np.allclose(params[0], params[2])
