"""Names of version 0.1 are still taken, with a warning."""

import pytest

from dualgan_jax.config import builders, renamed_fields, schema, stage_fields
from dualgan_jax.presets import digits

_FORMER = {
  'image': 'image_shape',
  'generator.noise': 'generator.latent_dim',
  'teachers.low.deviation': 'teachers.low.std',
  'teachers.low.size': 'teachers.low.image_shape',
  'objective.prior': 'objective.bn_prior_weight',
  'refine.shift': 'augmentation.shift',
}


@pytest.mark.parametrize(('former', 'present'), _FORMER.items())
def test_a_former_path_has_a_present_one(former, present):
  assert renamed_fields.present_path(former) == present
  assert renamed_fields.present_path(present) == present


def test_names_of_other_groups_stay():
  for path in ('data.image.size', 'dual.noise', 'seed', 'teachers.noise'):
    assert renamed_fields.present_path(path) == path


def test_a_users_config_may_have_a_former_name():
  config = digits.get_config()
  config.generator.noise = 7
  with pytest.warns(DeprecationWarning, match=r'generator\.noise is now gen'):
    checked = schema.check(config)
  assert checked.generator.latent_dim == 7


def test_a_field_may_have_moved_to_another_group():
  config = digits.get_config()
  del config.augmentation
  with config.unlocked():
    config.refine.shift = 3
  with pytest.warns(DeprecationWarning, match=r'refine\.shift is now augment'):
    checked = schema.check(config)
  assert checked.augmentation.shift == 3


def test_a_teacher_may_have_a_former_name():
  config = digits.get_config()
  config.teachers.low = builders.weights('lenet5', 'x.pt', deviation=(0.5,))
  config.teachers.low.labels = tuple('01234')
  with pytest.warns(DeprecationWarning, match=r'teachers\.low\.std'):
    assert schema.check(config).teachers['low'].std == (0.5,)


def test_a_flag_may_have_a_former_name():
  words = ['train', '--config=digits', '--config.generator.noise=7', '--x=1']
  with pytest.warns(DeprecationWarning, match='is now generator.latent_dim'):
    renamed = list(renamed_fields.rename_flags(words))
  assert renamed == [*words[:2], '--config.generator.latent_dim=7', '--x=1']


def test_a_grid_may_have_a_former_name():
  config = builders.changed(digits.get_config(), {'generator.noise': 7})
  assert config.generator.latent_dim == 7


def test_a_record_with_former_names_is_of_the_same_run():
  old = {'generator.noise': 64, 'objective.prior': 1.0}
  new = {'generator.latent_dim': 64, 'objective.bn_prior_weight': 1.0}
  assert stage_fields.differing(old, new) == []


def test_a_removed_field_that_changed_nothing_is_of_the_same_run():
  assert stage_fields.differing({'refine.reward': 'probabilities'}, {}) == []
  assert stage_fields.differing({'refine.reward': 'logits'}, {}) != []
