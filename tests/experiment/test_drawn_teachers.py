"""How many teachers a step asks follows from the config and the teachers."""

import json

import ml_collections
import pytest

from dualgan_jax.config import builders, schema
from dualgan_jax.errors import UserError
from dualgan_jax.experiment import drawn_teachers
from dualgan_jax.experiment.nets import build_nets
from dualgan_jax.experiment.run import dry_run

_LETTERS = tuple('abcdefghijklmnopqrstuvwxyz')


def _config(num_teachers, *, label_sets=None, **changes):
  """Makes a config of teachers that answer the same labels, or others."""
  config = builders.get_config()
  config.experiment = 'many'
  config.image_shape = (8, 8, 1)
  config.data = {'digits': builders.data_set('scikit-learn/digits')}
  net = builders.conv((2, 3), (2, 2))
  label_sets = label_sets or [_LETTERS[:2]] * num_teachers
  config.labels = tuple(dict.fromkeys(sum(label_sets, ())))
  config.teachers = {
    f'teacher_{number}': builders.teacher(teacher_labels, 'digits', net)
    for number, teacher_labels in enumerate(label_sets)
  }
  config.student = builders.conv((2, 3), (2, 2))
  config.generator.widths = (4, 4)
  config.dual.steps = 0
  return builders.changed(config, changes)


def _fill_in(config, recorded_number=None):
  checked = schema.check(config)
  nets = build_nets(checked)
  filled = drawn_teachers.fill_in(checked, nets, recorded_number)
  return filled.teachers_per_step


def test_all_of_up_to_eight_are_asked_and_eight_of_more():
  assert _fill_in(_config(8)) == 0
  assert _fill_in(_config(9)) == 8
  assert _fill_in(_config(9, teachers_per_step=0)) == 0
  assert _fill_in(_config(9, teachers_per_step=2)) == 2


def test_a_draw_of_all_asks_all():
  for number in (3, 4):
    assert _fill_in(_config(3, teachers_per_step=number)) == 0


def test_a_run_goes_on_as_it_was_begun():
  assert _fill_in(_config(9), recorded_number=0) == 0
  assert _fill_in(_config(9), recorded_number=3) == 3
  assert _fill_in(_config(9, teachers_per_step=2), recorded_number=0) == 2


def test_a_record_without_the_field_asked_all(tmp_path):
  assert drawn_teachers.read_record(str(tmp_path), None) is None
  folder = tmp_path / 'generator'
  folder.mkdir()
  record = {'fields': {}, 'finished': False}
  (folder / 'stage.json').write_text(json.dumps(record))
  assert drawn_teachers.read_record(str(tmp_path), None) == 0
  record['fields']['teachers_per_step'] = 5
  (folder / 'stage.json').write_text(json.dumps(record))
  assert drawn_teachers.read_record(str(tmp_path), None) == 5
  assert drawn_teachers.read_record(str(tmp_path / 'new'), str(tmp_path)) == 5


_PAIRS = [_LETTERS[2 * m : 2 * m + 2] for m in range(10)]


@pytest.mark.parametrize(
  ('config', 'cure'),
  [
    (_config(9, **{'objective.routing': 'on'}), 'objective.routing'),
    (_config(9, **{'dual.steps': 5}), 'dual.steps'),
    (_config(9, label_sets=[*_PAIRS[:8], ('a', 'z')]), 'no other answers'),
    (_config(9, label_sets=[*_PAIRS[:8], ('z',)]), 'equally many'),
    (_config(9, label_sets=[('a', 'b')] * 8 + [('b', 'a')]), 'same order'),
    (_config(9, label_sets=_PAIRS[:9], labels=('a',)), 'ask for all'),
    (
      _config(9, label_sets=_PAIRS[:9], **{'objective.one_hot': 'class'}),
      'one_hot',
    ),
    (
      _config(9, **{'teachers.teacher_3.batch_norm': False}),
      'teachers of one net',
    ),
  ],
)
def test_teachers_that_cannot_be_drawn_are_all_asked(config, cure):
  assert _fill_in(config) == 0
  with pytest.raises(UserError, match=rf'^teachers_per_step: .*{cure}.*, or'):
    _fill_in(builders.changed(config, {'teachers_per_step': 2}))


def test_a_single_label_is_no_draw():
  singles = [(letter,) for letter in _LETTERS[:9]]
  assert _fill_in(_config(9, label_sets=singles, teachers_per_step=2)) == 2
  with pytest.raises(UserError, match='draw 2 teachers or more'):
    _fill_in(_config(9, label_sets=singles, teachers_per_step=1))


def test_a_dry_run_counts_the_teachers_of_a_draw(tmp_path):
  def plan(**changes):
    config = ml_collections.ConfigDict(_config(9, **changes))
    return dry_run(config, str(tmp_path / 'run'))

  drawn, everyone = plan(teachers_per_step=3), plan(teachers_per_step=0)
  assert 'each step draws 3 of 9' in drawn
  assert 'each step asks all 9 of them' in everyone
  assert 'teacher_0 and 8 others (conv) each answer a, b' in drawn
  assert 'a, b are what teacher_0 and 8 others answer together' in drawn

  def gflops(text):
    (row,) = (line for line in text.splitlines() if '| generator ' in line)
    return float(row.split('|')[3])

  assert gflops(drawn) < gflops(everyone)
