"""A run's folder: its lock, its records, and what is set aside or copied."""

import contextlib
import errno
import json
import pathlib
import shutil
import signal
import subprocess
import sys

import ml_collections
import pytest

from dualgan_jax.config import schema, stage_fields, stage_table
from dualgan_jax.errors import TrainingError, UserError
from dualgan_jax.experiment.stage_records import (
  batches,
  check_same_fields,
  is_at_hand,
  is_finished,
)
from dualgan_jax.experiment.workdir import Workdir
from dualgan_jax.presets import digits


def _config(**changes):
  """The digits config, fields like `generator__steps` changed."""
  config = digits.get_config()
  # What the tests below name; the config itself may be tuned.
  config.generator.features = (16, 32)
  config.generator.widths = (64, 32, 16)
  config.generator.steps = 1000
  config.pretrain.steps = 600
  config.objective.entropy = 'normalised'
  config.update_from_flattened_dict(
    {name.replace('__', '.'): value for name, value in changes.items()}
  )
  return schema.check(config)


def _fields(**changes):
  """By stage, the fields of that config."""
  return stage_fields.by_stage(_config(**changes))


def _finish(folder, *stages, seconds=1.0, **changes):
  """Leaves a run's folder with finished stages."""
  fields = _fields(**changes)
  with Workdir(folder) as workdir:
    for stage in stages:
      workdir.begin(stage, fields[stage])
      (workdir.stage(stage) / 'weights').write_text(f'{folder.name} {stage}')
      workdir.finish(stage, fields[stage], seconds)


def _snapshot(folder):
  return {
    str(path.relative_to(folder)): path.read_bytes()
    for path in folder.rglob('*')
    if path.is_file()
  }


@contextlib.contextmanager
def _holder(folder):
  """Another process that has the folder open."""
  code = (
    'import sys; from dualgan_jax.experiment.workdir import Workdir; '
    'run = Workdir(sys.argv[1]); print("open", flush=True); sys.stdin.read()'
  )
  with subprocess.Popen(
    [sys.executable, '-c', code, str(folder)],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
  ) as process:
    try:
      assert process.stdout.readline() == 'open\n'
      yield process
    finally:
      process.kill()


def test_the_folder_is_made_and_may_be_there(tmp_path):
  for _ in range(2):
    with Workdir(tmp_path / 'runs' / 'digits') as workdir:
      assert workdir.path == tmp_path / 'runs' / 'digits'
      assert workdir.path.is_dir()
      assert workdir.stage('dual') == workdir.path / 'dual'


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
  monkeypatch.setenv('HOME', str(tmp_path))
  with Workdir('~/run') as workdir:
    assert workdir.path == tmp_path / 'run'


def test_another_process_is_kept_out_until_it_is_killed(tmp_path):
  with _holder(tmp_path) as process:
    with pytest.raises(UserError, match='another process') as error:
      Workdir(tmp_path)
    assert str(tmp_path) in str(error.value)
    process.send_signal(signal.SIGKILL)  # no chance to tidy up
    process.wait()
    with Workdir(tmp_path) as workdir:
      assert workdir.path == tmp_path


def test_closing_frees_the_folder(tmp_path):
  with Workdir(tmp_path):
    with pytest.raises(UserError, match='another process'):
      Workdir(tmp_path)
    # Being refused does not free it.
    with pytest.raises(UserError, match='another process'):
      Workdir(tmp_path)
    with Workdir(tmp_path.with_name('another')):
      pass
  with contextlib.suppress(ZeroDivisionError), Workdir(tmp_path):
    raise ZeroDivisionError
  with Workdir(tmp_path):
    pass


@pytest.mark.parametrize('path', ['/proc/dualgan', 'file', 'file/inside'])
def test_a_folder_that_cannot_be_written_is_refused(tmp_path, path):
  (tmp_path / 'file').write_text('')
  path = tmp_path / path  # /proc/... stays what it is
  with pytest.raises(UserError) as error:
    Workdir(path)
  assert str(error.value).startswith(f'workdir: {path} cannot be written (')
  assert '\n' not in str(error.value)


@pytest.mark.parametrize('names', [['thesis.tex'], ['lock', 'notes.txt']])
def test_a_folder_of_something_else_is_refused(tmp_path, names):
  for name in names:
    (tmp_path / name).write_text('mine')
  with pytest.raises(UserError, match='holds files, and no run; name a new'):
    Workdir(tmp_path)
  assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_hidden_files_are_not_in_the_way(tmp_path):
  (tmp_path / '.DS_Store').touch()
  with Workdir(tmp_path):
    pass


def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
  (tmp_path / 'precious').write_text('mine')
  (tmp_path / 'run').mkdir()
  (tmp_path / 'run' / 'lock').symlink_to(tmp_path / 'precious')
  with pytest.raises(UserError, match='cannot be written'):
    Workdir(tmp_path / 'run')
  assert (tmp_path / 'precious').read_text() == 'mine'


def test_a_lock_keeps_what_is_in_it(tmp_path):
  (tmp_path / 'lock').write_text('mine')
  with Workdir(tmp_path):
    pass
  assert (tmp_path / 'lock').read_text() == 'mine'


@pytest.mark.parametrize('change', ['move', 'delete', 'replace'])
def test_a_folder_that_is_not_where_it_was_is_named(tmp_path, change):
  folder = tmp_path / 'run'
  with Workdir(folder) as workdir:
    workdir.begin('dual', _fields()['dual'])
    workdir.check_in_place()
    if change == 'delete':
      shutil.rmtree(folder)
    else:
      folder.rename(tmp_path / 'elsewhere')
    if change == 'replace':
      Workdir(folder).__exit__()
    for look in (
      workdir.check_in_place,
      lambda: workdir.begin('refine', _fields()['refine']),
      lambda: workdir.finish('dual', _fields()['dual'], 1.0),
    ):
      with pytest.raises(TrainingError, match=r'^workdir: .*run was moved or'):
        look()
    # Nothing is made anew where it was.
    assert change == 'replace' or not folder.exists()


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
  def refuse(*_):
    raise OSError(errno.ENOLCK, 'No locks available')

  monkeypatch.setattr('fcntl.flock', refuse)
  with pytest.raises(UserError, match=r'cannot be locked \(No locks'):
    Workdir(tmp_path)


def test_a_stage_is_begun_then_finished(tmp_path):
  fields = _fields()
  with Workdir(tmp_path) as workdir:
    assert not workdir.finished('dual')
    assert workdir.seconds('dual') is None
    assert workdir.begin('dual', fields['dual']) is None
    assert workdir.stage('dual').is_dir()
    assert not workdir.finished('dual')
    assert workdir.seconds('dual') is None
    workdir.finish('dual', fields['dual'], 12.345)
    assert workdir.finished('dual')
    assert workdir.seconds('dual') == 12.3
    assert not workdir.finished('pretrain')
  # It is on disk, for the next process.
  with Workdir(tmp_path) as workdir:
    assert workdir.finished('dual')
    assert workdir.seconds('dual') == 12.3


def test_going_on_with_the_same_fields_touches_nothing(tmp_path):
  with Workdir(tmp_path) as workdir:
    workdir.begin('dual', _fields()['dual'])
    (workdir.stage('dual') / 'metrics.jsonl').write_text('rows')
    before = _snapshot(tmp_path)
    # Neither a field of another stage nor one that no stage reads counts.
    for changes in ({}, {'generator__steps': 7}, {'save_every': 3}):
      assert workdir.begin('dual', _fields(**changes)['dual']) is None
      assert _snapshot(tmp_path) == before


def test_an_unfinished_attempt_with_other_fields_is_set_aside(tmp_path):
  with Workdir(tmp_path) as workdir:
    for number, steps in enumerate((10, 20, 30)):
      aside = workdir.begin('dual', _fields(dual__steps=steps)['dual'])
      assert aside == (tmp_path / f'dual.aside-{number}' if number else None)
      # A new attempt finds no checkpoint of the one before.
      assert [path.name for path in workdir.stage('dual').iterdir()] == [
        'stage.json'
      ]
      (workdir.stage('dual') / 'steps').write_text(str(steps))
  steps_by_folder = {
    path.name: (path / 'steps').read_text() for path in tmp_path.glob('dual*')
  }
  assert steps_by_folder == {
    'dual.aside-1': '10',
    'dual.aside-2': '20',
    'dual': '30',
  }


def test_setting_aside_never_meets_an_older_one(tmp_path):
  with Workdir(tmp_path) as workdir:
    for steps in (10, 20, 30):
      workdir.begin('dual', _fields(dual__steps=steps)['dual'])
      (workdir.stage('dual') / 'steps').write_text(str(steps))
    (tmp_path / 'dual.aside-x').mkdir()  # of the user
    # The user has no more need of the first attempt.
    for file in (tmp_path / 'dual.aside-1').iterdir():
      file.unlink()
    (tmp_path / 'dual.aside-1').rmdir()
    aside = workdir.begin('dual', _fields(dual__steps=40)['dual'])
  assert (aside / 'steps').read_text() == '30'
  assert (tmp_path / 'dual.aside-2' / 'steps').read_text() == '20'


def test_the_same_fields_are_not_refused(tmp_path):
  _finish(tmp_path, *stage_table.NAMES)
  check_same_fields(tmp_path, _fields())
  check_same_fields(tmp_path, _fields(log_every=1, save_every=1, devices=1))


def test_each_differing_field_is_named_with_both_values(tmp_path):
  _finish(tmp_path, 'pretrain', 'generator')
  changed = _fields(
    generator__steps=50,
    generator__widths=(8, 8, 8),
    objective__entropy='bernoulli',
  )
  with pytest.raises(UserError) as error:
    check_same_fields(tmp_path, changed)
  for part in (
    'generator.steps (1000 there, 50 now)',
    'generator.widths ((64, 32, 16) there, (8, 8, 8) now)',
    "objective.entropy ('normalised' there, 'bernoulli' now)",
    'stage generator',
    str(tmp_path),
  ):
    assert part in str(error.value)
  assert 'batch' not in str(error.value)
  assert '\n' not in str(error.value)


def test_a_teacher_more_or_less_is_named(tmp_path):
  _finish(tmp_path, 'pretrain')
  values = _config().model_dump()
  values['teachers']['other'] = values['teachers'].pop('high')
  other = schema.check(ml_collections.ConfigDict(values))
  with pytest.raises(UserError) as error:
    check_same_fields(tmp_path, stage_fields.by_stage(other))
  assert "teachers.high.kind ('conv' there, " in str(error.value)
  assert "'conv' now), teachers.other.labels (" in str(error.value)


def test_fields_of_unfinished_stages_may_change(tmp_path):
  _finish(tmp_path, 'pretrain')
  with Workdir(tmp_path) as workdir:
    workdir.begin('generator', _fields()['generator'])
    check_same_fields(tmp_path, _fields(generator__steps=50, dual__steps=50))
    with pytest.raises(UserError, match=r'^seed \(0 there, 1 now\):'):
      check_same_fields(tmp_path, _fields(seed=1))


def test_the_batches_that_stages_were_begun_with(tmp_path):
  run_path, other_path = (str(tmp_path / name) for name in ('own', 'other'))
  _finish(tmp_path / 'other', 'pretrain', 'dual', pretrain__batch=64)
  assert batches(run_path, None) == {}
  assert batches(run_path, other_path) == {'pretrain': 64}
  assert batches(other_path, None) == {'pretrain': 64, 'dual': 128}


def test_deleting_a_stage_lets_all_that_comes_after_it_change(tmp_path):
  _finish(tmp_path, *stage_table.NAMES)
  changed = _fields(temperature=2.0)  # targetnet and refine read it
  with pytest.raises(UserError, match='stage targetnet in'):
    check_same_fields(tmp_path, changed)
  shutil.rmtree(tmp_path / 'targetnet')
  check_same_fields(tmp_path, changed)
  with Workdir(tmp_path) as workdir:
    aside = workdir.set_aside_stale(changed, stage_table.NAMES)
  assert {path.stem for path in aside} == {'refine', 'baselines', 'evaluate'}


@pytest.mark.parametrize('there', [('pretrain',), ('pretrain', 'generator')])
def test_takes_over_what_another_run_has_finished(tmp_path, there):
  source = tmp_path / 'source'
  _finish(source, *there, 'dual')
  before = _snapshot(source)
  with Workdir(tmp_path / 'own') as workdir:
    assert workdir.take_over(str(source), _fields()) == (list(there), [])
    for stage in ('pretrain', 'generator', 'dual'):
      taken = stage in there  # and nothing of the student's
      assert workdir.finished(stage) == taken
      assert workdir.stage(stage).exists() == taken
      if taken:
        text = (workdir.stage(stage) / 'weights').read_text()
        assert text == f'source {stage}'
    check_same_fields(tmp_path / 'own', _fields())
  assert _snapshot(source) == before


def test_takes_over_from_a_run_that_still_works(tmp_path):
  _finish(tmp_path / 'source', 'pretrain')
  with Workdir(tmp_path / 'source') as source:
    source.begin('generator', _fields()['generator'])
    with Workdir(tmp_path / 'own') as workdir:
      workdir.take_over(str(tmp_path / 'source'), _fields())
      assert workdir.finished('pretrain')
      assert not workdir.stage('generator').exists()


def test_own_stages_are_not_overwritten(tmp_path):
  _finish(tmp_path / 'source', 'pretrain', 'generator')
  _finish(tmp_path / 'own', 'pretrain', 'generator')
  before = _snapshot(tmp_path / 'own')
  with Workdir(tmp_path / 'own') as workdir:
    workdir.take_over(str(tmp_path / 'source'), _fields())
    workdir.take_over(str(tmp_path / 'own'), _fields())
  assert _snapshot(tmp_path / 'own') == before


def test_another_generator_stays_where_it_is(tmp_path):
  _finish(tmp_path / 'source', 'pretrain', 'generator', generator__steps=10)
  with Workdir(tmp_path / 'own') as workdir:
    taken, other = workdir.take_over(str(tmp_path / 'source'), _fields())
    assert taken == ['pretrain']
    assert other == ['generator.steps (10 there, 1000 now)']
    assert workdir.finished('pretrain')
    assert not workdir.stage('generator').exists()


def test_other_teachers_are_refused(tmp_path):
  _finish(tmp_path / 'source', 'pretrain', 'generator', pretrain__steps=10)
  with Workdir(tmp_path / 'own') as workdir, pytest.raises(UserError) as error:
    workdir.take_over(str(tmp_path / 'source'), _fields())
  assert 'pretrain.steps (10 there, 600 now)' in str(error.value)
  assert '\n' not in str(error.value)
  assert [path.name for path in (tmp_path / 'own').iterdir()] == ['lock']


def test_a_generator_comes_with_the_teachers_it_was_trained_on(tmp_path):
  # No field of stage generator tells these teachers from those.
  _finish(tmp_path / 'source', 'pretrain', 'generator', pretrain__steps=10)
  _finish(tmp_path / 'own', 'pretrain')
  with Workdir(tmp_path / 'own') as workdir:
    assert workdir.take_over(str(tmp_path / 'source'), _fields()) == ([], [])
    assert not workdir.stage('generator').exists()


def test_teachers_that_were_only_begun_are_set_aside(tmp_path):
  _finish(tmp_path / 'source', 'pretrain', 'generator')
  _finish(tmp_path / 'own', 'dual')  # of a generator that was deleted
  with Workdir(tmp_path / 'own') as workdir:
    workdir.begin('pretrain', _fields()['pretrain'])
    workdir.take_over(str(tmp_path / 'source'), _fields())
    assert not workdir.finished('dual')
    for stage in ('pretrain', 'generator'):
      text = (workdir.stage(stage) / 'weights').read_text()
      assert text == f'source {stage}'
    assert (tmp_path / 'own' / 'pretrain.aside-1').exists()


def test_what_cannot_be_copied_is_named_and_leaves_nothing(tmp_path):
  _finish(tmp_path / 'source', 'pretrain', 'generator')
  lost = tmp_path / 'source' / 'pretrain' / 'lost'
  lost.symlink_to('nowhere')
  with (
    Workdir(tmp_path / 'own') as workdir,
    pytest.raises(UserError, match=f'^init_from: {lost} cannot be copied'),
  ):
    workdir.take_over(str(tmp_path / 'source'), _fields())
  assert not list((tmp_path / 'own').glob('*.part'))
  assert not workdir.finished('pretrain')


def test_what_will_not_be_trained(tmp_path):
  run_path, source_path = (str(tmp_path / name) for name in ('own', 'source'))
  _finish(tmp_path / 'source', 'pretrain', 'generator', 'dual')
  stages = ('pretrain', 'generator', 'dual')

  def at_hand(*paths, **changes):
    fields = _fields(**changes)
    return [is_at_hand(stage, fields, *paths) for stage in stages]

  assert at_hand(run_path, None) == [False, False, False]
  assert at_hand(run_path, source_path) == [True, True, False]
  assert at_hand(run_path, source_path, generator__steps=10) == [
    True,
    False,
    False,
  ]
  assert at_hand(source_path, None) == [True, True, True]
  # A generator of other teachers than those that are here is none of ours.
  _finish(tmp_path / 'own', 'pretrain')
  assert at_hand(run_path, source_path) == [True, False, False]


def test_a_killed_copy_is_not_taken_for_a_stage(tmp_path):
  _finish(tmp_path / 'source', 'pretrain')
  with Workdir(tmp_path / 'own') as workdir:
    part = tmp_path / 'own' / 'pretrain.part'
    part.mkdir()
    (part / 'half').write_text('')
    assert not workdir.finished('pretrain')
    workdir.take_over(str(tmp_path / 'source'), _fields())
    assert workdir.finished('pretrain')
    assert not (workdir.stage('pretrain') / 'half').exists()
    assert not part.exists()


@pytest.mark.parametrize('there', ['nothing', 'unfinished', 'only generator'])
def test_a_run_without_teachers_is_no_source(tmp_path, there):
  source = tmp_path / 'source'
  if there == 'unfinished':
    with Workdir(source) as other:
      other.begin('pretrain', _fields()['pretrain'])
  if there == 'only generator':
    _finish(source, 'generator')
  with Workdir(tmp_path / 'own') as workdir, pytest.raises(UserError) as error:
    workdir.take_over(str(source), _fields())
  assert str(error.value).startswith(f'init_from: {source} holds no finished')
  assert [path.name for path in (tmp_path / 'own').iterdir()] == ['lock']


@pytest.mark.parametrize(
  'content',
  [
    b'',
    b'{"fields": {"seed": 0',
    b'\x00' * 40,
    b'\xff\xfe\x80',
    b'[]',
    b'{"finished": true}',
    b'{"fields": [], "finished": true}',
    b'{"fields": {}, "finished": 1}',
    b'{"fields": {}, "finished": true, "seconds": "3"}',
    b'[' * 100_000,
  ],
)
def test_a_damaged_record_is_named(tmp_path, content):
  _finish(tmp_path, 'pretrain', 'generator')
  file = tmp_path / 'generator' / 'stage.json'
  file.write_bytes(content)
  with Workdir(tmp_path) as workdir:
    for look in (
      lambda: workdir.finished('generator'),
      lambda: workdir.seconds('generator'),
      lambda: workdir.begin('generator', _fields()['generator']),
      lambda: check_same_fields(tmp_path, _fields()),
    ):
      with pytest.raises(UserError) as error:
        look()
      assert str(file) in str(error.value)
      assert '\n' not in str(error.value)
    assert workdir.finished('pretrain')  # the others are whole


def test_a_record_that_may_not_be_read_is_named(tmp_path, monkeypatch):
  def forbidden(path):
    raise PermissionError(errno.EACCES, 'Permission denied', str(path))

  # Those who run tests may be root, who may read all.
  monkeypatch.setattr(pathlib.Path, 'exists', forbidden)
  with pytest.raises(UserError, match=r'stage\.json: you may not read it; ask'):
    is_finished(tmp_path, 'pretrain')


def test_a_record_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
  with Workdir(tmp_path) as workdir:
    workdir.begin('dual', _fields()['dual'])
    before = json.loads((tmp_path / 'dual' / 'stage.json').read_text())

    def cut(path, text):
      with path.open('w') as file:
        file.write(text[:10])
      raise OSError('no space')

    with monkeypatch.context() as patches:
      patches.setattr('pathlib.Path.write_text', cut)
      with pytest.raises(OSError, match='no space'):
        workdir.finish('dual', _fields()['dual'], 1.0)
    after = json.loads((tmp_path / 'dual' / 'stage.json').read_text())
    assert after == before
    assert not workdir.finished('dual')


def test_measurements_are_made_again_where_they_are_stale(tmp_path):
  def stale(damaged=(), **changes):
    with Workdir(tmp_path) as workdir:
      fields = _fields(**changes)
      aside_folders = workdir.set_aside_stale(
        fields, stage_table.NAMES, damaged
      )
      measured = [
        workdir.finished(stage) for stage in ('baselines', 'evaluate')
      ]
      return [path.name for path in aside_folders], measured

  def finish():
    _finish(tmp_path, *stage_table.NAMES)

  assert stale() == ([], [False, False])
  finish()
  assert stale(log_every=3) == ([], [True, True])
  # An evaluation does not outlast the baselines that it was of.
  aside = ['baselines.aside-1', 'evaluate.aside-1']
  assert stale(baselines__steps=3) == (aside, [False, False])
  finish()
  assert stale(experiment='x') == (['evaluate.aside-2'], [True, False])
  finish()
  assert stale(['evaluate']) == (['evaluate.aside-3'], [True, False])


def test_results_go_with_their_evaluation(tmp_path):
  _finish(tmp_path, *stage_table.NAMES)
  result_names = {'results.json', 'report.md', 'student', 'branched'}
  for name in result_names:
    (tmp_path / name).write_text(name)
  with Workdir(tmp_path) as workdir:
    workdir.set_aside_stale(_fields(baselines__steps=3), stage_table.NAMES)
  assert not result_names & {path.name for path in tmp_path.iterdir()}
  aside_names = {
    path.name for path in (tmp_path / 'evaluate.aside-1').iterdir()
  }
  assert result_names <= aside_names


def test_what_was_built_on_a_stage_is_made_again_with_it(tmp_path):
  _finish(tmp_path, *stage_table.NAMES)
  shutil.rmtree(tmp_path / 'targetnet')
  later = ['refine', 'baselines', 'evaluate']
  with Workdir(tmp_path) as workdir:
    aside_folders = workdir.set_aside_stale(_fields(), stage_table.NAMES)
    assert [path.name for path in aside_folders] == [
      f'{stage}.aside-1' for stage in later
    ]
    # One that is begun is gone on with.
    workdir.begin('targetnet', _fields()['targetnet'])
    assert workdir.set_aside_stale(_fields(), stage_table.NAMES) == []
    assert workdir.stage('targetnet').exists()
    assert workdir.finished('dual')


def test_a_chosen_stage_moves_nothing_that_it_does_not_make(tmp_path):
  _finish(tmp_path, *stage_table.NAMES)
  other = _fields(baselines__steps=3)
  before = _snapshot(tmp_path)
  with Workdir(tmp_path) as workdir:
    assert workdir.set_aside_stale(other, ['refine']) == []
    with pytest.raises(UserError, match='evaluate needs baselines, which is'):
      workdir.set_aside_stale(other, ['evaluate'])
    assert _snapshot(tmp_path) == before
    # What is built on it is stale from then on.
    shutil.rmtree(tmp_path / 'refine')
    aside_folders = workdir.set_aside_stale(other, ['refine'])
  later = ('baselines', 'evaluate')
  assert [path.name for path in aside_folders] == [
    f'{stage}.aside-1' for stage in later
  ]
