"""Teachers in memory, and callbacks for metrics."""

import json

import jax
import ml_collections
import numpy as np
import pytest

from dualgan_jax import dry_run, run
from dualgan_jax.config import builders, schema
from dualgan_jax.errors import UserError
from dualgan_jax.experiment import external_teachers
from tests import tiny
from tests.student.folders import LABELS, write_student


def _config():
  config = builders.get_config()
  config.experiment = 'in_memory'
  config.devices = 1
  config.log_every = 1
  config.image_shape = tiny.IMAGE
  config.labels = tiny.ASKED
  config.student = builders.conv(tiny.STUDENT_WIDTHS, (2, 2, 1))
  config.generator.widths = (6, 5, 4)
  config.generator.steps = 4
  config.generator.batch = tiny.BATCH
  config.objective.routing = 'off'
  return config


def _teachers():
  return dict(zip(('one', 'two'), tiny.both_teachers(), strict=True))


def _generator(workdir, **options):
  options = {'teachers': _teachers(), **options}
  return run(_config(), str(workdir), stage='generator', **options)


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  """A run with a finished generator, and its rows of metrics."""
  workdir, rows = tmp_path_factory.mktemp('runs') / 'x', []
  _generator(workdir, on_metrics=lambda *row: rows.append(row))
  return workdir, rows


def test_each_row_of_metrics_is_reported(finished):
  _, rows = finished
  assert [(phase, step) for phase, step, _ in rows] == [
    ('generator/train', step) for step in range(1, 5)
  ]
  metrics = rows[-1][2]
  assert isinstance(metrics['loss'], float)
  arrays = [value for value in metrics.values() if not isinstance(value, float)]
  assert arrays
  assert all(
    isinstance(array, np.ndarray) and array.ndim == 1 for array in arrays
  )


def test_a_run_goes_on_with_the_same_teachers_only(finished, capsys):
  workdir, _ = finished
  record = json.loads((workdir / 'generator' / 'stage.json').read_text())
  assert len(record['fields']['teachers.one.sha256']) == 64
  _generator(workdir)
  assert 'done already' in capsys.readouterr().err
  one, two = tiny.both_teachers()
  other = one.replace(
    variables=jax.tree.map(lambda leaf: leaf + 1, one.variables)
  )
  with pytest.raises(UserError) as error:
    _generator(workdir, teachers={'one': other, 'two': two})
  assert 'stage generator in' in str(error.value)
  assert 'was made otherwise' in str(error.value)
  assert str(error.value).startswith('teachers.one.sha256')


@pytest.mark.parametrize('start', [run, dry_run])
def test_a_second_start_without_them_says_so(finished, start):
  workdir, _ = finished
  one, _ = tiny.both_teachers()
  for teachers, missing in (({}, 'one'), ({'one': one}, 'two')):
    with pytest.raises(
      UserError,
      match=f'^teachers.{missing}: this teacher .* has to be passed again; ',
    ):
      start(_config(), str(workdir), teachers=teachers)


def test_what_listens_may_fail_and_nothing_is_lost(finished, tmp_path):
  # An OSError of the run itself would be worded as one of its disk.
  failure, steps = OSError('no network'), []

  def listen(phase, step, metrics):
    steps.append(step)
    if step == 2:
      raise failure

  with pytest.raises(OSError, match='no network') as error:
    _generator(tmp_path / 'x', on_metrics=listen)
  assert error.value is failure
  assert failure.__cause__ is None
  assert failure.__context__ is None
  assert steps == [1, 2]
  rows = []
  _generator(tmp_path / 'x', on_metrics=lambda *row: rows.append(row))
  assert rows[0][1] > 2
  assert rows[-1][1] == 4
  expected = finished[1][-1][2]
  jax.tree.map(np.testing.assert_array_equal, rows[-1][2], expected)


def test_a_dry_run_shows_them():
  text = dry_run(_config(), 'unused', teachers=_teachers())
  assert 'one (in memory) answers a, b, c: ' in text


def test_a_config_may_have_no_teachers_or_name_their_data():
  config = _config()
  assert 'teachers' not in config
  added = external_teachers.add(config, _teachers())
  assert added.teachers.one.given
  assert 'teachers' not in config
  config.teachers = {'one': builders.given(data='digits')}
  added = external_teachers.add(config, _teachers())
  assert added.teachers.one.data == 'digits'
  assert added.teachers.two.data is None


def _trained(name):
  net = builders.conv((4, 6, 8), (2, 2, 1))
  return {name: builders.teacher(('a',), 'digits', net)}


def _labelled(labels):
  return {'one': {**builders.given(), 'labels': labels}}


@pytest.mark.parametrize(
  ('configured', 'teachers', 'message'),
  [
    ({}, [1], 'teachers: a list, but it should be a dict of teachers by'),
    ({}, {'one': 3}, 'teachers.one: the teacher that is passed must be a dual'),
    (_trained('one'), None, 'teachers.one: the config has another teacher of'),
    (
      _labelled(('a',)),
      None,
      'teachers.one.labels: the teacher that is passed',
    ),
    ({}, {'a/b': 3}, "teachers: the name 'a/b' has a '/'"),
    ({}, {}, 'teachers: name at least one teacher'),
  ],
)
def test_what_is_passed_wrongly_is_one_sentence(configured, teachers, message):
  config = _config()
  config.teachers = ml_collections.ConfigDict(configured)
  teachers = _teachers() if teachers is None else teachers
  with pytest.raises(UserError, match=f'^{message}'):
    dry_run(config, 'unused', teachers=teachers)


def _config_of_student(folder, **changes):
  """Makes a config whose one teacher was a student."""
  config = _config()
  config.teachers = {'earlier': builders.student(str(folder), **changes)}
  config.labels = LABELS[:2]
  config.student = builders.conv((4, 6), (2, 2))
  config.generator.widths = (6, 5)
  return config


def test_a_students_folder_is_a_teacher(tmp_path):
  folder = write_student(tmp_path / 'student', single_label=True)
  text = dry_run(_config_of_student(folder), 'unused')
  assert f'earlier (the student of {folder}) answers one of a, b, c: ' in text


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'labels': ('x',)}, r'earlier\.labels: .* has the labels a, b, c; leave'),
    ({'sha256': '0' * 64}, r'earlier\.sha256: .*student has the sum'),
    ({'student': 'nowhere'}, 'nowhere: no folder of a student'),
  ],
)
def test_a_students_folder_that_is_not_meant_is_refused(
  tmp_path, changes, message
):
  config = _config_of_student(write_student(tmp_path / 'student'))
  config.teachers.earlier.update(changes)
  with pytest.raises(UserError, match=message):
    dry_run(config, 'unused')


def test_half_precision_is_widened_and_the_protocol_is_checked():
  one, two = tiny.both_teachers()
  half = jax.tree.map(lambda leaf: leaf.astype(np.float16), one.variables)
  config = _config()
  added = external_teachers.add(config, {'one': one})
  _, made = external_teachers.read(
    schema.check(added), {'one': one.replace(variables=half)}
  )
  assert {leaf.dtype for leaf in jax.tree.leaves(made['one'].variables)} == {
    np.dtype(np.float32)
  }
  wrong = two.replace(labels=('c', 'd', 'e'))
  with pytest.raises(UserError, match='^teachers.two: its head gives'):
    dry_run(config, 'unused', teachers={'one': one, 'two': wrong})
