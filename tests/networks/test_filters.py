import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dualgan_jax.networks.filters import TeacherFilter

KEY = jax.random.PRNGKey(0)


@pytest.mark.parametrize('channels', [3, 5])
def test_gives_the_width_of_the_teacher(channels):
  features = jnp.ones((2, 7, 4, 3))
  filtered, _ = TeacherFilter(channels).init_with_output(KEY, features)
  assert filtered.shape == (2, 7, 4, channels)


def test_projects_only_where_widths_differ():
  features = jnp.ones((1, 2, 2, 3))
  same_width = TeacherFilter(3).init(KEY, features)['params']
  wider = TeacherFilter(5).init(KEY, features)['params']
  assert set(same_width) == {'Dense_0', 'Dense_1'}
  assert set(wider) == {'Dense_0', 'Dense_1', 'projection'}
  # The gate is on the features' own channels, before the projection.
  assert wider['Dense_1']['kernel'].shape == (3, 3)
  assert wider['projection']['kernel'].shape == (1, 1, 3, 5)


def test_gates_by_hand():
  # One channel, two places: the mean is 2.
  features = jnp.array([1.0, 3.0]).reshape(1, 1, 2, 1)
  params = {
    'Dense_0': {'kernel': jnp.array([[2.0]]), 'bias': jnp.array([-1.0])},
    'Dense_1': {'kernel': jnp.array([[-1.0]]), 'bias': jnp.array([3.0])},
  }
  # relu(2 · 2 - 1) = 3, -1 · 3 + 3 = 0, σ(0) = 1/2
  filtered = TeacherFilter(1).apply({'params': params}, features)
  np.testing.assert_allclose(filtered.ravel(), [0.5, 1.5])


def test_relu_stands_between_the_dense_layers():
  features = jnp.array([1.0, 3.0]).reshape(1, 1, 2, 1)
  params = {
    'Dense_0': {'kernel': jnp.array([[-1.0]]), 'bias': jnp.array([0.0])},
    'Dense_1': {'kernel': jnp.array([[5.0]]), 'bias': jnp.array([0.0])},
  }
  # relu(-2) = 0 leaves σ(0) = 1/2.
  filtered = TeacherFilter(1).apply({'params': params}, features)
  np.testing.assert_allclose(filtered.ravel(), [0.5, 1.5])


def test_weakens_and_never_amplifies_or_turns():
  features = jax.random.normal(KEY, (4, 3, 3, 2))
  filtered, _ = TeacherFilter(2).init_with_output(KEY, features)
  gates = filtered / features
  assert jnp.min(gates) > 0
  assert jnp.max(gates) < 1
  # One gate per image and channel, the same at all places.
  np.testing.assert_allclose(jnp.ptp(gates, axis=(1, 2)), 0, atol=1e-5)
  assert jnp.min(jnp.ptp(gates[:, 0, 0], axis=0)) > 1e-4


def test_looks_at_one_sample_at_a_time():
  features = jax.random.normal(KEY, (2, 3, 3, 2))
  module = TeacherFilter(4)
  variables = module.init(KEY, features)
  filtered = module.apply(variables, features)
  np.testing.assert_allclose(
    filtered[:1], module.apply(variables, features[:1]), 1e-5, 1e-6
  )
