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
  """Variables as if trained: no parameter or average is 0 or 1."""
  shapes = jax.eval_shape(
    lambda: _generator().init(KEY, jnp.zeros((1, 5)), train=False)
  )
  rng = np.random.default_rng(0)

  def draw(path, x):
    if path[-1].key == 'var':
      return rng.uniform(0.5, 1.5, x.shape).astype(np.float32)
    return rng.normal(0, 0.7, x.shape).astype(np.float32)

  return jax.tree_util.tree_map_with_path(draw, shapes)


def _noise(n=4):
  return jax.random.normal(jax.random.PRNGKey(1), (n, 5))


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
  assert [x.shape for x in features] == [
    (6, *size, channels)
    for size, channels in zip(sizes, (3, 2, 1), strict=True)
  ]
  assert set(variables['params']) == {'group_1', 'group_2', 'group_3'}


def test_image_is_within_0_and_1_and_features_are_not_negative():
  for scale in (1.0, 1e3):
    *features, image = _generate(scale * _noise())
    assert jnp.min(image) >= 0
    assert jnp.max(image) <= 1
    for x in features:
      assert jnp.min(x) == 0
      assert jnp.max(x) > 0


def test_pixels_can_be_darker_and_brighter_than_grey():
  # A ReLU before the sigmoid would keep all pixels above 1/2.
  params = _trained()['params']
  final = params['group_3']['Conv_1']
  for bias, wanted in ((-100.0, 0.0), (100.0, 1.0)):
    group = {
      **params['group_3'],
      'Conv_1': {**final, 'bias': jnp.array([bias])},
    }
    variables = {**_trained(), 'params': {**params, 'group_3': group}}
    *_, image = _generator().apply(variables, _noise(), train=False)
    np.testing.assert_allclose(image, wanted, atol=1e-3)


def test_each_group_takes_the_one_before():
  # Eq. 2: F_g^j = G^j(F_g^{j-1}).
  features = _generate(_noise())
  x = _noise()
  for j, (size, width, channels) in enumerate(
    zip(SIZES, (4, 3, 2), (3, 2, 1), strict=True), start=1
  ):
    variables = {name: tree[f'group_{j}'] for name, tree in _trained().items()}
    group = Group(size, width, channels, is_image=j == 3)
    x = group.apply(variables, x, train=False)
    np.testing.assert_allclose(features[j - 1], x, 1e-5, 1e-6)


def test_an_image_depends_on_its_own_noise_alone():
  noise = _noise()
  whole = _generate(noise)
  others = _generate(noise.at[1:].mul(5.0))
  first_only = _generate(noise[:1])
  for a, b, c in zip(whole, others, first_only, strict=True):
    np.testing.assert_allclose(a[0], b[0], 1e-4, 1e-6)
    np.testing.assert_allclose(a[:1], c, 1e-4, 1e-6)
  assert np.max(np.abs(whole[-1][1] - others[-1][1])) > 1e-3


def test_in_training_the_samples_of_a_batch_meet():
  def first(noise):
    features, _ = _generator().apply(
      _trained(), noise, train=True, mutable=['batch_stats']
    )
    return features[-1][0]

  noise = _noise()
  moved = np.abs(first(noise) - first(noise.at[1:].mul(5.0)))
  assert np.max(moved) > 1e-3


def test_training_moves_every_running_average():
  old = _trained()
  _, new = _generator().apply(
    old, _noise(), train=True, mutable=['batch_stats']
  )
  assert jax.tree.structure(new['batch_stats']) == jax.tree.structure(
    old['batch_stats']
  )
  for a, b in zip(jax.tree.leaves(old['batch_stats']), jax.tree.leaves(new)):
    assert np.any(a != b)


def test_generating_moves_no_running_average():
  # Nothing is written, though it could be.
  _, same = _generator().apply(
    _trained(), _noise(), train=False, mutable=['batch_stats']
  )
  for a, b in zip(
    jax.tree.leaves(_trained()['batch_stats']), jax.tree.leaves(same)
  ):
    np.testing.assert_array_equal(a, b)


def test_only_the_image_layer_has_a_bias_of_its_own():
  biased = {
    (group, layer)
    for group, layers in _trained()['params'].items()
    for layer, parameters in layers.items()
    if 'bias' in parameters and not layer.startswith('BatchNorm')
  }
  assert biased == {('group_3', 'Conv_1')}


def test_devices_share_their_batch_moments():
  noise = _noise()

  def generate(noise):
    return _generator().apply(
      _trained(), noise, train=True, mutable=['batch_stats']
    )

  whole, averages = generate(noise)
  halves, shared = jax.vmap(generate, axis_name=parallel.AXIS)(
    noise.reshape(2, 2, 5)
  )
  np.testing.assert_allclose(
    halves[-1].reshape(whole[-1].shape), whole[-1], 1e-3, 1e-4
  )
  for a, b in zip(jax.tree.leaves(shared), jax.tree.leaves(averages)):
    np.testing.assert_allclose(a[0], b, 1e-3, 1e-4)


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
  z = jax.random.normal(jax.random.PRNGKey(0), (4, tiny.LATENT_DIM))
  variables = full.init(jax.random.PRNGKey(1), z, train=False)
  *groups, image = half.apply(variables, z, train=False)
  assert {x.dtype for x in groups} == {jnp.dtype(jnp.bfloat16)}
  assert image.dtype == jnp.float32
  wanted = full.apply(variables, z, train=False)[-1]
  np.testing.assert_allclose(image, wanted, atol=0.02)
