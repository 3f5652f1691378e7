"""The benchmark's figures mean what their names say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl import app

from dualgan_jax import plan, settings
from dualgan_jax.stages.phase import Phase
from experiments import benchmark
from experiments.configs import digits


def _product(frozen, state):
  return state @ frozen, {}


def test_flops_memory_and_steps_of_a_matrix_product():
  phase = Phase(
    'toy', 3, lambda key: jnp.eye(64), _product, lambda: 2 * jnp.eye(64)
  )
  state, row = benchmark.measure(
    phase, jax.random.PRNGKey(0), jax.local_devices()[:1], 8, repeats=2
  )
  np.testing.assert_array_equal(state, 8 * np.eye(64))  # 1 + 2 steps
  assert row['gflop'] == pytest.approx(2 * 64**3 / 1e9, rel=1e-5)
  # Two matrices come in; the product stands where the first stood.
  assert row['mb'] >= 2 * 4 * 64**2 / 1e6
  seconds = row['ms'] / 1e3
  assert row['images'] == pytest.approx(8 / seconds)
  assert row['gflops'] == pytest.approx(row['gflop'] / seconds)


def test_every_phase_of_an_experiment_has_its_row():
  config = digits.get_config('smoke')
  rows = benchmark.experiment(config, jax.local_devices()[:1], repeats=1)
  assert [row['phase'] for row in rows] == [
    'pretrain/high',
    'pretrain/low',
    'generator/train',
    'dual/block_1',
    'dual/block_2',
    'dual/block_3',
    'targetnet/branch_points',
    'targetnet/compact',
    'targetnet/branched',
    'refine',
  ]
  assert all(row['gflop'] > 0 and row['ms'] > 0 for row in rows)
  text = benchmark._table(rows)
  assert len(text.splitlines()) == 2 + len(rows)


@pytest.mark.parametrize(('many', 'blocks'), [(1, 3), (8, 3), (2, 2), (2, 4)])
def test_sizes_are_teachers_and_blocks(many, blocks):
  config = benchmark._sized(many, blocks)
  config.generator.features = config.student.widths[:-1]
  design = plan.make(settings.check(config))
  assert len(design.teachers) == many
  assert len(design.student.blocks) == blocks
  assert len(design.label_map.union) == 2 * many


@pytest.mark.torch
@pytest.mark.parametrize('name', ['cifar10', 'overlap', 'mnist:plain'])
def test_what_has_no_peer_is_one_sentence(name):
  configs = {name: benchmark._config(name)}
  with pytest.raises(app.UsageError, match=f'{name}: --peer takes teachers'):
    benchmark._peers(configs)


def test_without_pytorch_there_is_no_peer(monkeypatch):
  monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
  with pytest.raises(app.UsageError, match='--peer: needs PyTorch'):
    benchmark._peers({})
