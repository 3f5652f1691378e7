import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dualgan_jax.networks import bilinear_resize

_SIZES = [
  ((4, 4), (8, 8)),
  ((14, 5), (32, 14)),  # sizes of LeNet's features
  ((3, 1), (3, 7)),
  ((9, 8), (4, 3)),  # to fewer
]


def _features(size, channels=2):
  return jax.random.normal(jax.random.PRNGKey(0), (3, *size, channels))


def _jax_resize(features, size):
  return jax.image.resize(
    features, (len(features), *size, features.shape[-1]), 'bilinear'
  )


class BilinearResizeTest(chex.TestCase):
  @chex.all_variants
  def test_by_hand(self):
    # A row of two pixels becomes one of four: the outer ones see one pixel.
    row = jnp.array([0.0, 8.0]).reshape(1, 1, 2, 1)
    resized, gradient = self.variant(
      lambda row: jax.value_and_grad(
        lambda row: jnp.sum(
          bilinear_resize.resize(row, (1, 4))
          * jnp.array([1.0, 10.0, 100.0, 1000.0]).reshape(1, 1, 4, 1)
        )
      )(row)
    )(row)
    # The pixels are 0, 2, 6 and 8.
    np.testing.assert_allclose(resized, 20 + 600 + 8000, rtol=1e-6)
    np.testing.assert_allclose(
      jnp.ravel(gradient), [1 + 7.5 + 25, 2.5 + 75 + 1000], rtol=1e-6
    )


@pytest.mark.parametrize(('old_size', 'new_size'), _SIZES)
def test_values_and_gradients_are_those_of_jax(old_size, new_size):
  def value_and_gradient(resize):
    return jax.value_and_grad(
      lambda features: jnp.sum(jnp.sin(resize(features, new_size)))
    )(_features(old_size))

  actual = value_and_gradient(bilinear_resize.resize)
  expected = value_and_gradient(_jax_resize)
  chex.assert_trees_all_close(actual, expected, rtol=1e-5, atol=1e-5)


def test_half_precision_stays():
  features = _features((4, 4)).astype(jnp.bfloat16)
  resized = bilinear_resize.resize(features, (8, 8))
  assert resized.dtype == jnp.bfloat16
  np.testing.assert_allclose(
    resized.astype(jnp.float32),
    _jax_resize(features.astype(jnp.float32), (8, 8)),
    atol=0.02,
  )


@pytest.mark.parametrize('value', [0.0, 1e-30, 1e30])
def test_equal_pixels_stay_as_they_are(value):
  features = jnp.full((1, 3, 5, 1), value)
  np.testing.assert_allclose(
    bilinear_resize.resize(features, (8, 11)), value, rtol=1e-6
  )


@pytest.mark.parametrize(('platform', 'num_products'), [('cpu', 0), ('tpu', 4)])
def test_only_cpus_add_neighbours(platform, num_products):
  compute = jax.jit(
    jax.value_and_grad(
      lambda features: jnp.sum(bilinear_resize.resize(features, (8, 8)))
    )
  )
  lowered = compute.trace(_features((4, 4))).lower(
    lowering_platforms=(platform,)
  )
  # Both axes, forwards and back.
  assert lowered.as_text().count('stablehlo.dot_general') == num_products
