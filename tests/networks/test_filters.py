import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dualgan_jax.networks.filters import TeacherFilter

KEY = jax.random.PRNGKey(0)


@pytest.mark.parametrize('channels', [3, 5])
def test_gives_the_width_of_the_teacher(channels):
  x = jnp.ones((2, 7, 4, 3))
  y, _ = TeacherFilter(channels).init_with_output(KEY, x)
  assert y.shape == (2, 7, 4, channels)


def test_projects_only_where_widths_differ():
  x = jnp.ones((1, 2, 2, 3))
  same = TeacherFilter(3).init(KEY, x)['params']
  wider = TeacherFilter(5).init(KEY, x)['params']
  assert set(same) == {'Dense_0', 'Dense_1'}
  assert set(wider) == {'Dense_0', 'Dense_1', 'projection'}
  # The gate is on the features' own channels, before the projection.
  assert wider['Dense_1']['kernel'].shape == (3, 3)
  assert wider['projection']['kernel'].shape == (1, 1, 3, 5)


def test_gates_by_hand():
  # One channel, two places: the mean is 2.
  x = jnp.array([1.0, 3.0]).reshape(1, 1, 2, 1)
  params = {
    'Dense_0': {'kernel': jnp.array([[2.0]]), 'bias': jnp.array([-1.0])},
    'Dense_1': {'kernel': jnp.array([[-1.0]]), 'bias': jnp.array([3.0])},
  }
  # relu(2 · 2 - 1) = 3, -1 · 3 + 3 = 0, σ(0) = 1/2
  y = TeacherFilter(1).apply({'params': params}, x)
  np.testing.assert_allclose(y.ravel(), [0.5, 1.5])


def test_relu_stands_between_the_dense_layers():
  x = jnp.array([1.0, 3.0]).reshape(1, 1, 2, 1)
  params = {
    'Dense_0': {'kernel': jnp.array([[-1.0]]), 'bias': jnp.array([0.0])},
    'Dense_1': {'kernel': jnp.array([[5.0]]), 'bias': jnp.array([0.0])},
  }
  # relu(-2) = 0 leaves σ(0) = 1/2.
  y = TeacherFilter(1).apply({'params': params}, x)
  np.testing.assert_allclose(y.ravel(), [0.5, 1.5])


def test_weakens_and_never_amplifies_or_turns():
  x = jax.random.normal(KEY, (4, 3, 3, 2))
  y, _ = TeacherFilter(2).init_with_output(KEY, x)
  share = y / x
  assert jnp.min(share) > 0
  assert jnp.max(share) < 1
  # One gate per image and channel, the same at all places.
  np.testing.assert_allclose(jnp.ptp(share, axis=(1, 2)), 0, atol=1e-5)
  assert jnp.min(jnp.ptp(share[:, 0, 0], axis=0)) > 1e-4


def test_looks_at_one_sample_at_a_time():
  x = jax.random.normal(KEY, (2, 3, 3, 2))
  module = TeacherFilter(4)
  variables = module.init(KEY, x)
  together = module.apply(variables, x)
  np.testing.assert_allclose(
    together[:1], module.apply(variables, x[:1]), 1e-5, 1e-6
  )
