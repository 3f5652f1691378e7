"""Where several processes meet, as the environment says it."""

import pytest

from dualgan_jax.errors import UserError
from dualgan_jax.multihost import cluster


def test_the_environment_says_where_processes_meet(monkeypatch):
  monkeypatch.setenv('JAX_COORDINATOR_ADDRESS', '[::1]:1234')
  monkeypatch.setenv('JAX_NUM_PROCESSES', '2')
  monkeypatch.setenv('JAX_PROCESS_ID', '1')
  place = cluster.find()
  assert place == ('[::1]:1234', 2, 1)
  assert place.host_and_port() == ('::1', 1234)


@pytest.mark.parametrize(
  ('variable', 'value'),
  [
    ('JAX_COORDINATOR_ADDRESS', 'localhost'),
    ('JAX_NUM_PROCESSES', 'two'),
    ('JAX_PROCESS_ID', '2'),
    ('JAX_PROCESS_ID', '-1'),
  ],
)
def test_an_environment_that_says_nonsense(monkeypatch, variable, value):
  monkeypatch.setenv('JAX_COORDINATOR_ADDRESS', 'localhost:1234')
  monkeypatch.setenv('JAX_NUM_PROCESSES', '2')
  monkeypatch.setenv('JAX_PROCESS_ID', '1')
  monkeypatch.setenv(variable, value)
  with pytest.raises(UserError, match=f'multihost: .*{value}.*; on one host'):
    cluster.find()
