import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from dualgan_jax.networks.generator import Generator, Group
from dualgan_jax.training import parallel
from tests import tiny

KEY = jax.random.PRNGKey(0)
SIZES = ((2, 2), (4, 4), (7, 7))


def _generator(**options):
  return Generator(
    **{'sizes': SIZES, 'channels': (3, 2, 1), 'widths': (4, 3, 2), **options}
  )


@functools.cache
def _trained():
  """Makes variables as if trained: none is 0 or 1."""
  shapes = jax.eval_shape(
    lambda: _generator().init(KEY, jnp.zeros((1, 5)), train=False)
  )
  generator = np.random.default_rng(0)

  def draw(path, leaf):
    if path[-1].key == 'var':
      return generator.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
    return generator.normal(0, 0.7, leaf.shape).astype(np.float32)

  return jax.tree_util.tree_map_with_path(draw, shapes)


def _noise(num_samples=4):
  return jax.random.normal(jax.random.PRNGKey(1), (num_samples, 5))


def _generate(noise, **options):
  return _generator(**options).apply(_trained(), noise, train=False)


@pytest.mark.parametrize(
  'sizes',
  [
    ((7, 7), (14, 14), (28, 28)),
    ((2, 2), (4, 4), (7, 7)),
    ((3, 2), (3, 2), (5, 4)),  # a block of stride 1, and no square
  ],
)
def test_groups_mirror_the_sizes(sizes):
  module = _generator(sizes=sizes)
  features, variables = jax.eval_shape(
    lambda: module.init_with_output(KEY, jnp.zeros((6, 5)), train=False)
  )
  assert [group_output.shape for group_output in features] == [
    (6, *size, channels)
    for size, channels in zip(sizes, (3, 2, 1), strict=True)
  ]
  assert set(variables['params']) == {'group_1', 'group_2', 'group_3'}


def test_image_is_within_0_and_1_and_features_are_not_negative():
  for scale in (1.0, 1e3):
    *features, image = _generate(scale * _noise())
    assert jnp.min(image) >= 0
    assert jnp.max(image) <= 1
    for group_features in features:
      assert jnp.min(group_features) == 0
      assert jnp.max(group_features) > 0


def test_pixels_can_be_darker_and_brighter_than_grey():
  # A ReLU before the sigmoid would keep all pixels above 1/2.
  params = _trained()['params']
  final = params['group_3']['Conv_1']
  for bias, brightness in ((-100.0, 0.0), (100.0, 1.0)):
    group = {
      **params['group_3'],
      'Conv_1': {**final, 'bias': jnp.array([bias])},
    }
    variables = {**_trained(), 'params': {**params, 'group_3': group}}
    *_, image = _generator().apply(variables, _noise(), train=False)
    np.testing.assert_allclose(image, brightness, atol=1e-3)


def test_a_last_batch_norm_gives_images_their_mean_and_std():
  statistics = ((0.5, 0.1, 0.4), (0.2, 0.3, 0.1))
  generator = _generator(channels=(3, 2, 3), image_statistics=statistics)
  variables = generator.init(KEY, _noise(), train=False)
  features, updated = generator.apply(
    variables, _noise(64), train=True, mutable=['batch_stats']
  )
  mean, std = (
    measure(features[-1], (0, 1, 2)) for measure in (np.mean, np.std)
  )
  np.testing.assert_allclose(mean, statistics[0], atol=1e-5)
  np.testing.assert_allclose(std, statistics[1], rtol=1e-2)
  # It has running averages, and nothing to learn.
  assert 'BatchNorm_1' not in variables['params']['group_3']
  assert set(updated['batch_stats']['group_3']['BatchNorm_1']) == {
    'mean',
    'var',
  }


def test_batch_norm_of_images_keeps_the_parameters_of_a_sigmoid():
  with_norm = _generator(image_statistics=((0.5,), (0.2,)))
  params, expected_params = (
    generator.init(KEY, _noise(), train=False)['params']
    for generator in (with_norm, _generator())
  )
  chex.assert_trees_all_equal(params, expected_params)


def test_each_group_takes_the_one_before():
  # Eq. 2: F_g^j = G^j(F_g^{j-1}).
  features = _generate(_noise())
  group_output = _noise()
  for group_number, (size, width, channels) in enumerate(
    zip(SIZES, (4, 3, 2), (3, 2, 1), strict=True), start=1
  ):
    group_variables = {
      name: collection[f'group_{group_number}']
      for name, collection in _trained().items()
    }
    group = Group(size, width, channels, is_image=group_number == 3)
    group_output = group.apply(group_variables, group_output, train=False)
    np.testing.assert_allclose(
      features[group_number - 1], group_output, 1e-5, 1e-6
    )


def test_an_image_depends_on_its_own_noise_only():
  noise = _noise()
  outputs = _generate(noise)
  outputs_beside_others = _generate(noise.at[1:].mul(5.0))
  single_outputs = _generate(noise[:1])
  for output, output_beside_others, single_output in zip(
    outputs, outputs_beside_others, single_outputs, strict=True
  ):
    np.testing.assert_allclose(output[0], output_beside_others[0], 1e-4, 1e-6)
    np.testing.assert_allclose(output[:1], single_output, 1e-4, 1e-6)
  assert np.max(np.abs(outputs[-1][1] - outputs_beside_others[-1][1])) > 1e-3


def test_in_training_the_samples_of_a_batch_meet():
  def first_image(noise):
    features, _ = _generator().apply(
      _trained(), noise, train=True, mutable=['batch_stats']
    )
    return features[-1][0]

  noise = _noise()
  difference = np.abs(first_image(noise) - first_image(noise.at[1:].mul(5.0)))
  assert np.max(difference) > 1e-3


def test_training_moves_every_running_average():
  old_variables = _trained()
  _, new_averages = _generator().apply(
    old_variables, _noise(), train=True, mutable=['batch_stats']
  )
  assert jax.tree.structure(new_averages['batch_stats']) == jax.tree.structure(
    old_variables['batch_stats']
  )
  for old_leaf, new_leaf in zip(
    jax.tree.leaves(old_variables['batch_stats']), jax.tree.leaves(new_averages)
  ):
    assert np.any(old_leaf != new_leaf)


def test_generating_moves_no_running_average():
  # Nothing is written, though it could be.
  _, new_averages = _generator().apply(
    _trained(), _noise(), train=False, mutable=['batch_stats']
  )
  for old_leaf, new_leaf in zip(
    jax.tree.leaves(_trained()['batch_stats']), jax.tree.leaves(new_averages)
  ):
    np.testing.assert_array_equal(old_leaf, new_leaf)


def test_only_the_image_layer_has_a_bias_of_its_own():
  biased = {
    (group, layer)
    for group, layers in _trained()['params'].items()
    for layer, layer_params in layers.items()
    if 'bias' in layer_params and not layer.startswith('BatchNorm')
  }
  assert biased == {('group_3', 'Conv_1')}


def test_devices_share_their_batch_moments():
  noise = _noise()

  def generate(noise):
    return _generator().apply(
      _trained(), noise, train=True, mutable=['batch_stats']
    )

  outputs, averages = generate(noise)
  half_outputs, shared_averages = jax.vmap(generate, axis_name=parallel.AXIS)(
    noise.reshape(2, 2, 5)
  )
  np.testing.assert_allclose(
    half_outputs[-1].reshape(outputs[-1].shape), outputs[-1], 1e-3, 1e-4
  )
  for shared_leaf, leaf in zip(
    jax.tree.leaves(shared_averages), jax.tree.leaves(averages)
  ):
    np.testing.assert_allclose(shared_leaf[0], leaf, 1e-3, 1e-4)


class ForwardPassTest(chex.TestCase):
  """A user's own transformations do what a step on one device does."""

  @chex.all_variants
  @parameterized.parameters(True, False)
  def test_the_forward_pass_needs_no_device_axis(self, train):
    def generate(noise):
      return _generator().apply(
        _trained(), noise, train=train, mutable=['batch_stats']
      )

    chex.assert_trees_all_close(
      self.variant(generate)(_noise()),
      tiny.on_one_device(generate, _noise()),
      rtol=1e-4,
      atol=1e-5,
    )


@pytest.mark.parametrize('part', ['sizes', 'channels', 'widths'])
def test_refuses_a_description_of_different_lengths(part):
  options = {'sizes': SIZES, 'channels': (3, 2, 1), 'widths': (4, 3, 2)}
  module = _generator(**{part: options[part][:2]})
  with pytest.raises(ValueError, match='zip'):
    jax.eval_shape(lambda: module.init(KEY, jnp.zeros((1, 5)), train=False))


def test_half_precision_is_inside_only():
  full = tiny.generator()
  half = full.clone(dtype=jnp.bfloat16)
  latents = jax.random.normal(jax.random.PRNGKey(0), (4, tiny.LATENT_DIM))
  variables = full.init(jax.random.PRNGKey(1), latents, train=False)
  *groups, image = half.apply(variables, latents, train=False)
  assert {group_features.dtype for group_features in groups} == {
    jnp.dtype(jnp.bfloat16)
  }
  assert image.dtype == jnp.float32
  expected = full.apply(variables, latents, train=False)[-1]
  np.testing.assert_allclose(image, expected, atol=0.02)
