"""Fields are selected by stage, and those of two runs compared."""

import pytest

from dualgan_jax.config import builders, schema, stage_fields, stage_table
from dualgan_jax.presets import digits
from tests.config.configs import config_with_weights, make_config


def test_data_to_be_tested_on_change_no_teacher():
  config = config_with_weights()
  tested = config_with_weights()
  tested.data = {'more': builders.data_set('ylecun/mnist')}
  tested.teachers.one.data = 'more'
  one, two = map(schema.check, (config, tested))
  for stage in ('pretrain', 'generator'):
    assert (
      stage_fields.by_stage(one)[stage] == stage_fields.by_stage(two)[stage]
    )
  assert 'data.more.source' in stage_fields.by_stage(two)['evaluate']
  measured = stage_fields.by_stage(two)['baselines']
  assert measured['teachers.one.data'] == 'more'
  # What a teacher is trained on here does.
  trained = schema.check(make_config())
  assert 'data.digits.source' in stage_fields.by_stage(trained)['pretrain']


def test_a_reference_changes_nothing_that_is_learned():
  one, two = (
    stage_fields.by_stage(schema.check(config_with_weights(reference=path)))[
      'generator'
    ]
    for path in (None, 'a.npz')
  )
  assert one == two


def test_the_content_of_a_weight_file_matters_and_its_path_does_not():
  first, second = (
    schema.check(config_with_weights(weights=path, sha256='x'))
    for path in ('a.pt', 'b.pt')
  )
  third = schema.check(config_with_weights(weights='a.pt', sha256='y'))
  one, two, three = (
    stage_fields.by_stage(config)['generator']
    for config in (first, second, third)
  )
  assert stage_fields.differing(one, two) == []
  assert stage_fields.differing(one, three) == [
    "teachers.one.sha256 ('x' there, 'y' now: the teacher, its file or what "
    'that reads, has changed)'
  ]
  # Nothing is trained there that another file would change.
  assert (
    stage_fields.by_stage(first)['pretrain']
    == stage_fields.by_stage(third)['pretrain']
  )


def test_an_objectives_name_is_the_evaluations():
  one, other = (
    schema.check(make_config(objective__name=name)) for name in ('a', 'b')
  )
  for stage in stage_table.NAMES:
    differences = stage_fields.differing(
      stage_fields.by_stage(one)[stage], stage_fields.by_stage(other)[stage]
    )
    assert bool(differences) == (stage == 'evaluate')
  assert stage_fields.by_stage(one)['evaluate']['objective.name'] == 'a'


def test_fields_are_those_the_stage_reads():
  config = schema.check(digits.get_config())
  fields = stage_fields.by_stage(config)['dual']
  assert fields['student.widths'] == (16, 32, 64)
  assert fields['dual.filter_start'] == 'stage1'
  assert fields['seed'] == 0
  parts = {field.split('.')[0] for field in fields}
  assert parts == {'seed', 'student_seed', 'labels', 'student', 'dual'}


def test_fields_of_the_generator_leave_out_the_customised_labels():
  # One trained generator serves every Y_cst.
  fields = stage_fields.by_stage(schema.check(digits.get_config()))['generator']
  assert 'labels' not in fields
  assert fields['teachers.low.labels'] == ('0', '1', '2', '3', '4')


def test_fields_leave_out_where_a_data_set_lies():
  # Another machine's folder holds the same images.
  for stage in ('pretrain', 'baselines', 'evaluate'):
    here = stage_fields.by_stage(schema.check(make_config()))[stage]
    config = make_config(data__digits__path='/elsewhere')
    assert stage_fields.by_stage(schema.check(config))[stage] == here
    assert here['data.digits.source'] == 'scikit-learn/digits'
    assert here['data.digits.overlay'] == 0


@pytest.mark.parametrize(
  ('field', 'value', 'readers'),
  [
    ('refine__steps', 5, {'refine'}),
    ('objective__routing', 'on', {'generator'}),
    ('pretrain__teacher_data', 'own', {'pretrain'}),
    ('data__digits__flip', True, {'pretrain', 'baselines', 'evaluate'}),
    ('teachers__low__widths', (8, 8, 8), {'pretrain', 'generator'}),
    (
      'student__widths',
      (8, 8, 8),
      {'generator', 'dual', 'targetnet', 'refine', 'baselines'},
    ),
    (
      'student__depths',
      (2, 2, 2),
      {'dual', 'targetnet', 'refine', 'baselines'},
    ),
  ],
)
def test_a_change_outdates_the_stages_that_read_it(field, value, readers):
  one, other = (
    schema.check(config)
    for config in (make_config(), make_config(**{field: value}))
  )
  differ = {
    stage
    for stage in stage_table.NAMES
    if stage_fields.by_stage(one)[stage] != stage_fields.by_stage(other)[stage]
  }
  assert differ == readers


@pytest.mark.parametrize('stage', stage_table.NAMES)
def test_no_stage_depends_on_how_it_is_executed(stage):
  # How often to log must not make a finished stage look outdated.
  fields = stage_fields.by_stage(schema.check(digits.get_config()))[stage]
  assert fields
  assert not {'devices', 'log_every', 'save_minutes', 'save_every'} & set(
    fields
  )


def test_differing_gives_both_values_in_order():
  old = {'seed': 0, 'dual.steps': 10, 'same': 'x'}
  new = {'seed': 1, 'dual.steps': 20, 'same': 'x'}
  assert stage_fields.differing(old, new) == [
    'dual.steps (10 there, 20 now)',
    'seed (0 there, 1 now)',
  ]


def test_differing_takes_a_list_for_the_tuple_it_was():
  # A config that was stored as JSON has lists.
  assert (
    stage_fields.differing(
      {'image_shape': [8, 8, 1]}, {'image_shape': (8, 8, 1)}
    )
    == []
  )
  assert stage_fields.differing(
    {'image_shape': [8, 8, 3]}, {'image_shape': (8, 8, 1)}
  ) == ['image_shape ((8, 8, 3) there, (8, 8, 1) now)']


def test_differing_sees_fields_that_only_one_has():
  # A field that is None is there.
  one, other = {'a': None, 'both': None}, {'both': None, 'z': 3}
  gone, added = stage_fields.differing(one, other)
  assert gone.startswith('a (None there, ')
  assert added.startswith('z (')
  assert 'nothing' in gone
  assert 'nothing' in added


def test_a_field_that_came_later_is_as_it_was_in_an_old_record():
  new = {'teachers.a.stem_pool': None, 'seed': 0}
  assert stage_fields.differing({'seed': 0}, new) == []
  assert stage_fields.differing(new, {'seed': 0}) == []
  new['teachers.a.stem_pool'] = True
  assert stage_fields.differing({'seed': 0}, new) == [
    'teachers.a.stem_pool (None there, True now)'
  ]
