"""Every stage's step is the same on one device and on eight."""

import re
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.experimental import multihost_utils

from dualgan_jax.errors import PeerError, UserError
from dualgan_jax.training import parallel
from tests import tiny
from tests.paths import ROOT
from tests.phases import NAMES, PHASES


@pytest.mark.parametrize('name', NAMES)
def test_eight_devices_do_what_one_does(name):
  # In double precision, so that only what is wrong can differ, not what is
  # summed in another order.
  with jax.enable_x64(True):
    one, one_metrics = tiny.run(PHASES[name](), devices=1)
    eight, eight_metrics = tiny.run(PHASES[name](), devices=8)

  largest = max(
    [float(np.max(np.abs(x))) for x in jax.tree.leaves(one.opt_state)],
    default=0,
  )
  assert largest > 0 or name in ('branch losses', 'routing probe')
  jax.tree.map(
    lambda x, y: np.testing.assert_allclose(x, y, rtol=0, atol=1e-6 * largest),
    one.opt_state,
    eight.opt_state,
  )
  for part in ('params', 'batch_stats'):
    jax.tree.map(
      lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-6),
      getattr(one, part),
      getattr(eight, part),
    )
  for key, value in one_metrics.items():
    np.testing.assert_allclose(
      value, eight_metrics[key], rtol=1e-6, atol=1e-6, err_msg=key
    )


@pytest.mark.parametrize('name', NAMES)
def test_a_gradient_is_one_reduction(name):
  phase, devices = PHASES[name](), jax.local_devices()
  step = parallel.compile_step(phase.step, devices)
  program = step.lower(
    parallel.replicate(phase.frozen(), devices),
    parallel.replicate(phase.init(jax.random.PRNGKey(0)), devices),
  ).compile()
  reduced = re.findall(
    r'= (.*) all-reduce(?:-start)?\(', program.as_text()
  )  # XLA may put several into one
  shapes = [x for line in reduced for x in re.findall(r'\[([\d,]*)\]', line)]
  # A batch norm's two moments, forwards and backwards, are the only others.
  trees = [x for x in shapes if not re.fullmatch(r'2,\d+', x)]
  expected = 1
  if name.startswith('generator'):
    expected += 2  # the teachers' moments, forwards and backwards
  if name.startswith('refine'):
    expected += 2 + 2  # the same, and two steps of the student
  assert len(trees) == expected, shapes
  assert all(x.isdigit() for x in trees), shapes


def test_all_devices_hold_the_same_state_after_a_step():
  phase = tiny.generator_phase(optax.sgd(0.1))
  devices = jax.local_devices()
  step = parallel.compile_step(phase.step, devices)
  state = parallel.replicate(phase.init(jax.random.PRNGKey(0)), devices)
  state, _ = step(parallel.replicate(phase.frozen(), devices), state)
  for leaf in jax.tree.leaves(state):
    every = np.asarray(leaf)
    np.testing.assert_array_equal(
      every, np.broadcast_to(every[:1], every.shape)
    )


@pytest.mark.parametrize('name', NAMES)
def test_a_step_compiles_once(name):
  chex.clear_trace_counter()
  phase, devices = PHASES[name](), jax.local_devices()[:2]
  traced_once = chex.assert_max_traces(phase.step, n=1)
  step = parallel.compile_step(traced_once, devices)
  frozen = parallel.replicate(phase.frozen(), devices)
  state = parallel.replicate(phase.init(jax.random.PRNGKey(0)), devices)
  for _ in range(3):
    state, _ = step(frozen, state)
  assert parallel.first_replica(state.step) == 3


@pytest.mark.parametrize(
  ('wanted', 'platform', 'steps', 'done', 'found'),
  [
    (0, 'cpu', 1000, 0, 1),
    (0, 'gpu', 1000, 0, 10),
    (0, 'tpu', 1024, 0, 16),
    (7, 'cpu', 12, 0, 6),
    (7, 'cpu', 12, 6, 6),  # as before
    (7, 'gpu', 12, 4, 2),  # 4 steps were done one by one
    (50, 'gpu', 13, 0, 13),
    (12, 'gpu', 13, 0, 1),
  ],
)
def test_calls_end_with_the_training(wanted, platform, steps, done, found):
  steps_per_call = parallel.steps_per_call(wanted, platform, steps, done)
  assert steps_per_call == found
  assert (steps - done) % steps_per_call == 0


@pytest.mark.parametrize('platform', ['cpu', 'gpu'])
def test_repeated_steps_stack_their_metrics(platform):
  def step(frozen, state):
    return state * frozen, {'before': state}

  steps = parallel.repeat(step, 3, platform)
  state, metrics = jax.jit(steps)(2.0, 1.0)
  assert state == 8
  np.testing.assert_array_equal(metrics['before'], [1, 2, 4])
  # On a CPU there is no loop.
  assert ('while' in jax.jit(steps).lower(2.0, 1.0).as_text()) == (
    platform == 'gpu'
  )


def test_a_sample_has_its_key_whatever_the_number_of_devices():
  def keys(count):
    draw = parallel.compile_step(
      lambda _, key: (key, parallel.sample_keys(key, 8)),
      jax.local_devices()[:count],
    )
    key = parallel.replicate(jax.random.PRNGKey(1), jax.local_devices()[:count])
    return np.asarray(draw(key, key)[1]).reshape(8, -1)

  np.testing.assert_array_equal(keys(1), keys(8))
  assert len(np.unique(keys(4), axis=0)) == 8


def test_no_sample_is_left_to_no_device():
  devices = jax.local_devices()[:3]
  draw = parallel.compile_step(
    lambda _, key: (key, parallel.sample_keys(key, 8)), devices
  )
  key = parallel.replicate(jax.random.PRNGKey(1), devices)
  with pytest.raises(ValueError, match='a batch of 8 leaves 2 samples'):
    draw(key, key)


@pytest.mark.parametrize('count', [1, 2, 8])
def test_gathered_shares_are_the_batch_in_its_order(count):
  devices = jax.local_devices()[:count]
  batch = jnp.arange(16 * 3, dtype=jnp.float32).reshape(16, 3)

  def step(batch, state):
    share = 16 // count
    first = jax.lax.axis_index(parallel.AXIS) * share
    rows = jax.lax.dynamic_slice_in_dim(batch, first, share)
    return state, parallel.gather(rows)

  _, whole = parallel.compile_step(step, devices)(
    parallel.replicate(batch, devices),
    parallel.replicate(jnp.zeros(()), devices),
  )
  # All devices have all of it.
  np.testing.assert_array_equal(whole, np.stack([batch] * count))


def test_gathered_samples_stand_at_their_numbers():
  # Drawn by number: sample i is the same, and at the same place, on any number
  # of devices.
  def gathered(count):
    def step(key, state):
      keys = parallel.sample_keys(key, 8)
      return state, parallel.gather(jax.vmap(jax.random.uniform)(keys))

    devices = jax.local_devices()[:count]
    key = parallel.replicate(jax.random.PRNGKey(1), devices)
    found = parallel.compile_step(step, devices)(
      key, parallel.replicate(jnp.zeros(()), devices)
    )
    return parallel.first_replica(found[1])

  np.testing.assert_array_equal(gathered(1), gathered(8))
  assert len(np.unique(gathered(4))) == 8


@pytest.mark.parametrize(
  ('value', 'dtype'), [(255, np.uint8), (65504, np.float16), (-1e4, np.float32)]
)
def test_gathered_numbers_stay_as_they_are(value, dtype):
  devices = jax.local_devices()
  share = np.full((2, 1), value, dtype)
  _, whole = parallel.compile_step(
    lambda x, state: (state, parallel.gather(x)), devices
  )(
    parallel.replicate(share, devices),
    parallel.replicate(jnp.zeros(()), devices),
  )
  assert whole.dtype == dtype
  np.testing.assert_array_equal(whole, np.full((8, 16, 1), value))


def test_replicate_and_first_replica_are_inverse():
  tree = {'a': np.arange(3.0), 'b': (np.int32(7),)}
  copied = parallel.replicate(tree, jax.local_devices())
  assert copied['a'].shape == (8, 3)
  back = parallel.first_replica(copied)
  np.testing.assert_array_equal(back['a'], tree['a'])
  assert back['b'][0] == 7


def test_too_many_devices_are_refused():
  with pytest.raises(UserError, match='devices: 9 asked for'):
    parallel.choose_devices(9)
  assert len(parallel.choose_devices(3)) == 3
  assert len(parallel.choose_devices()) == 8


def test_what_the_first_does_the_others_hear_of(monkeypatch):
  assert parallel.on_first(lambda: 3) == 3
  with pytest.raises(ZeroDivisionError):
    parallel.on_first(lambda: 1 / 0)
  # As another process sees it.
  monkeypatch.setattr(parallel, 'is_first', lambda: False)
  assert parallel.on_first(lambda: 1 / 0) is None
  monkeypatch.setattr(parallel, 'any_process', lambda flag: True)
  with pytest.raises(PeerError, match='the first process cannot go on'):
    parallel.on_first(lambda: 3)


class _Device(NamedTuple):
  process_index: int
  device_kind: str = 'cpu'


@pytest.mark.parametrize(
  ('devices', 'words'),
  [
    ([_Device(0), _Device(1), _Device(1)], '1 devices .cpu., but process 1'),
    ([_Device(0, 'TPU v4'), _Device(1)], 'TPU v4.*process 1 has 1 .cpu.'),
  ],
)
def test_processes_with_other_devices(devices, words):
  with pytest.raises(UserError, match=f'process 0 has .*{words}'):
    parallel.check_shares(devices)
  parallel.check_shares([_Device(0), _Device(1)])


def test_a_file_that_is_not_the_same_on_all_hosts(monkeypatch):
  sums = {'teachers.a': '00' * 32, 'teachers.b': 'ff' * 32}
  parallel.check_same_files(sums)  # alone there is nothing to compare with
  monkeypatch.setattr(jax, 'process_count', lambda: 3)
  allgather = 'process_allgather'
  monkeypatch.setattr(multihost_utils, allgather, lambda x: np.stack([x, x, x]))
  parallel.check_same_files(sums)
  changed = np.array([[[0], [0]], [[0], [0]], [[0], [1]]], np.uint8)
  monkeypatch.setattr(multihost_utils, allgather, lambda x: x ^ changed)
  with pytest.raises(UserError, match='teachers.b: that of process 2 '):
    parallel.check_same_files(sums)


def test_no_other_file_knows_of_pmap():
  files = (ROOT / 'dualgan_jax').rglob('*.py')
  knowing = [x.name for x in files if 'pmap(' in x.read_text()]
  assert knowing == ['parallel.py']
