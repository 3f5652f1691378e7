"""The benchmark's figures mean what their names say."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl import app

from dualgan_jax.config import schema
from dualgan_jax.experiment.nets import build_nets
from dualgan_jax.presets import digits
from dualgan_jax.training import parallel
from dualgan_jax.training.phase import Phase
from experiments import (
  benchmark,
  peer_comparison,
  phase_timing,
  student_timing,
)
from tests.paths import FILES


def _multiply(frozen, state):
  return state @ frozen, {}


def test_flops_memory_and_steps_of_a_matrix_product():
  phase = Phase(
    'toy', 3, lambda key: jnp.eye(64), _multiply, lambda: 2 * jnp.eye(64)
  )
  state, row = phase_timing.measure_phase(
    phase, jax.random.PRNGKey(0), jax.local_devices()[:1], 8, repeats=2
  )
  np.testing.assert_array_equal(state, 8 * np.eye(64))  # 1 + 2 steps
  assert row['gflop'] == pytest.approx(2 * 64**3 / 1e9, rel=1e-5)
  # Two matrices come in; the product stands where the first stood.
  assert row['mb'] >= 2 * 4 * 64**2 / 1e6
  seconds = row['ms'] / 1e3
  assert row['images'] == pytest.approx(8 / seconds)
  assert row['gflops'] == pytest.approx(row['gflop'] / seconds)


def test_a_students_answers_are_timed_beside_its_net():
  folder = FILES / 'format_1' / 'student'
  rows = student_timing.measure_student(folder, repeats=1)
  assert [row['images'] for row in rows] == [1, 8, 64]
  for row in rows:
    assert row['net'] > 0
    assert row['ratio'] == row['predict'] / row['net']


@pytest.mark.slow
def test_every_phase_of_an_experiment_has_its_row():
  config = digits.get_config('smoke')
  rows = phase_timing.measure_experiment(
    config, jax.local_devices()[:1], repeats=1
  )
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
    'refine/branched',
  ]
  assert all(row['gflop'] > 0 and row['ms'] > 0 for row in rows)
  text = benchmark._format_table(rows)
  assert len(text.splitlines()) == 2 + len(rows)
  chosen_rows = phase_timing.measure_experiment(
    config, jax.local_devices()[:1], repeats=1, stages=('generator', 'refine')
  )
  assert [row['phase'] for row in chosen_rows] == [
    *('generator/train', 'refine', 'refine/branched'),
  ]
  # Where the branched net branches off differs with the stages before.
  assert [row['gflop'] for row in chosen_rows[:2]] == [
    rows[2]['gflop'],
    rows[9]['gflop'],
  ]


@pytest.mark.parametrize(
  ('num_teachers', 'num_blocks'), [(1, 3), (8, 3), (2, 2), (2, 4)]
)
def test_sizes_are_teachers_and_blocks(num_teachers, num_blocks):
  config = benchmark._resize_digits(num_teachers, num_blocks)
  nets = build_nets(schema.check(config))
  assert len(nets.teachers) == num_teachers
  assert len(nets.student.blocks) == num_blocks
  assert len(nets.label_map.union) == 2 * num_teachers


@pytest.mark.torch
@pytest.mark.parametrize(
  'name',
  [
    'cifar10',  # kind
    'overlap',  # common labels
    'mnist:plain',  # no batch norm
    'mnist:paper',  # another objective
    'digits:single',  # a softmax
    'multi_mnist',  # 36 pixels, halved three times
  ],
)
def test_a_config_without_a_peer_is_one_sentence(name):
  configs = {name: benchmark._load_config(name)}
  with pytest.raises(app.UsageError, match=f'{name}: --peer takes the default'):
    benchmark._compare_with_peer(configs)


@pytest.mark.parametrize('name', ['digits', 'mnist', 'strangers'])
def test_configs_with_a_peer(name):
  assert peer_comparison.has_peer(benchmark._load_config(name))


@pytest.mark.parametrize('name', ['base', 'objectives', 'none', 'digits:none'])
def test_an_unknown_experiment_is_one_sentence(name):
  with pytest.raises(
    app.UsageError, match=f'--experiments={name}: no experiment '
  ):
    benchmark._load_config(name)


@pytest.mark.parametrize(
  ('flag', 'message'),
  [
    ('--experiments=pytorch_cifar10', 'there is no file'),
    ('--json=none/figures.json', 'none/figures.json: there is no such'),
  ],
)
def test_a_wrong_flag_is_an_error_before_anything_is_measured(flag, message):
  process = subprocess.run(
    [sys.executable, '-m', 'experiments.benchmark', flag],
    capture_output=True,
    text=True,
    check=False,
  )
  assert process.returncode == 2
  assert message in process.stderr
  assert 'Traceback' not in process.stderr


def test_without_pytorch_there_is_no_peer(monkeypatch):
  monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
  with pytest.raises(app.UsageError, match='--peer: needs PyTorch'):
    benchmark._compare_with_peer({})


def test_the_generators_step_costs_what_a_hand_count_says():
  config = digits.get_config()
  (device,) = jax.local_devices()[:1]
  context = phase_timing.build_phases(config, [device], last_stage='generator')
  phase, state = context.built_phases['generator/train']
  step = parallel.compile_step(phase.step, [device])
  lowered = step.lower(
    parallel.replicate(phase.frozen(), [device]),
    parallel.replicate(state, [device]),
  )

  # Products per image. The taps of a 3×3 kernel at an edge that lie outside
  # count nothing: at stride 1 one at each end, at stride 2 one at the far end.
  def taps(side, stride=1):
    return (3 * side - (2 if stride == 1 else 1)) ** 2

  # Forwards, and back to kernel and input: three times.
  generator_flops = 3 * (
    taps(4) * (64 * 64 + 64 * 32)
    + taps(8) * (32 * 32 + 32 * 16)
    + taps(16) * (16 * 16 + 16 * 1)
  )
  # Not back to the noise; a resize has no kernel.
  generator_flops += 2 * 64 * (4 * 4 * 64)
  generator_flops += 2 * (8 * 4 * 32 * (4 + 8) + 16 * 8 * 16 * (8 + 16))
  # Frozen: forwards, and back to the input. Of three rows per image that the
  # last block sees, two entered behind the first.
  teacher_flops = 2 * (
    taps(8, stride=2) * 1 * 24
    + 2 * taps(4, stride=2) * 24 * 48
    + 3 * (taps(4) * 48 * 96 + 4 * 4 * 96 * 5)
  )
  filter_flops = 3 * (2 * 32 * 32 + 16 * 32 * 48 + 2 * 16 * 16 + 64 * 16 * 24)
  image_flops = generator_flops + 2 * (teacher_flops + filter_flops)
  batch_flops = 2 * config.generator.batch * image_flops
  # The rest are sums, norms and the optimiser.
  assert batch_flops < lowered.cost_analysis()['flops'] < 1.05 * batch_flops
