"""Batches that devices and teachers can share equally."""

import pytest

from dualgan_jax.config import schema
from dualgan_jax.errors import UserError
from dualgan_jax.experiment import batch_sizes
from dualgan_jax.presets import digits, federated

# As of three devices, and two teachers where images are routed.
PARTS = {'pretrain': 3, 'generator': 6, 'dual': 6, 'targetnet': 6, 'refine': 6}


def _config(**batches):
  config = digits.get_config()
  for stage, batch in batches.items():
    config[stage].batch = batch
  return schema.check(config)


def _check(**batches):
  config = batch_sizes.fill_in(_config(**batches), PARTS)
  batch_sizes.check(config, PARTS, list(PARTS), 3)
  return {stage: getattr(config, stage).batch for stage in PARTS}


def test_devices_share_and_on_each_teachers_where_images_are_routed():
  config = digits.get_config()
  config.objective.routing = 'auto'
  parts = batch_sizes.equal_parts(schema.check(config), 3, 1)
  # Only one of the two teachers is asked for a label.
  assert parts == {
    'pretrain': 3,
    'generator': 6,
    'dual': 3,
    'targetnet': 3,
    'refine': 6,
    'baselines': 3,
  }
  config.objective.routing = 'off'
  parts = batch_sizes.equal_parts(schema.check(config), 3, 1)
  assert set(parts.values()) == {3}


def test_teachers_of_the_same_labels_share_no_batch_unless_routed():
  config = federated.get_config()
  for routing, factor in (('off', 1), ('auto', 1), ('on', 5)):
    config.objective.routing = routing
    parts = batch_sizes.equal_parts(schema.check(config), 3, 5)
    assert parts['generator'] == parts['refine'] == 3 * factor


def test_zero_takes_the_largest_that_fits():
  filled = _check(**dict.fromkeys(PARTS, 0))
  assert filled.pop('pretrain') == 126
  assert set(filled.values()) == {126}
  config = _config(dual=0, refine=12)
  large = batch_sizes.fill_in(config, {'dual': 200, 'refine': 5})
  assert (large.dual.batch, large.refine.batch) == (200, 12)


def test_zero_goes_on_with_what_a_stage_was_begun_with():
  filled = batch_sizes.fill_in(_config(dual=0), PARTS, {'dual': 64})
  assert filled.dual.batch == 64


def test_all_that_do_not_fit_are_named_with_what_suits_every_stage():
  with pytest.raises(UserError) as error:
    _check(pretrain=127, generator=120, dual=63, targetnet=6, refine=6)
  assert str(error.value) == (
    'pretrain.batch (127), dual.batch (63): cannot be shared equally by 3 '
    'devices and the teachers on each, as routing needs it; 126 and 132 suit '
    'every stage, and 0 takes the largest up to 128 that fits.'
  )


def test_a_batch_smaller_than_the_devices():
  batches = dict.fromkeys(PARTS, 6)
  with pytest.raises(UserError, match=r'^pretrain.batch \(2\): .*; 6 suits ev'):
    _check(**{**batches, 'pretrain': 2})


def test_stages_that_train_nothing_are_not_looked_at():
  config = _config(pretrain=126, dual=127)
  batch_sizes.check(config, PARTS, ['pretrain'], 3)


def test_a_stage_begun_on_other_devices_is_not_begun_anew_without_a_word():
  config = batch_sizes.fill_in(_config(dual=0), PARTS, {'dual': 64})
  with pytest.raises(
    UserError, match='dual.batch: .* begun with batches of 64'
  ):
    batch_sizes.check(config, PARTS, ['dual'], 3, {'dual': 64})


@pytest.mark.parametrize(
  ('num_cores', 'batches', 'num_devices'),
  [
    (1, {}, 1),
    (2, {}, 2),
    (6, {}, 4),
    (64, {}, 8),  # shares of 16 images
    (8, {'generator': 124}, 2),  # two teachers on each device
    (8, {'generator': 126}, 1),
    (8, {'baselines': 33}, 1),
  ],
)
def test_cores_share_batches_as_far_as_they_can(
  num_cores, batches, num_devices
):
  config = _config(**batches)
  assert batch_sizes.most_devices(config, num_cores) == num_devices


def test_a_stage_goes_on_with_the_batch_that_it_was_begun_with():
  # Three devices began it, elsewhere.
  config = _config(generator=0)
  assert batch_sizes.most_devices(config, 4, {'generator': 126}) == 1
