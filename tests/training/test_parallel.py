"""Every stage's step is the same on one device and on eight."""

import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.experimental import multihost_utils

from dualgan_jax.errors import PeerError, UserError
from dualgan_jax.method import branched
from dualgan_jax.stages import branch_points, distillation, dual, pretrain
from dualgan_jax.training import parallel
from dualgan_jax.training.image_batches import RealImages
from tests import tiny
from tests.paths import ROOT
from tests.stages import test_refine


def _dual(block_number, **changes):
  return tiny.dual_phase(
    block_number, tiny.keep_gradient(), lambda_generated=0.5, **changes
  )


def _pretrain():
  targets = np.eye(3, dtype=np.float32)[np.arange(40) % 3]
  return pretrain.phase(
    'pretrain/one',
    tiny.net((4, 6, 8), 3, kind='residual'),
    tiny.IMAGE,
    lambda: RealImages(tiny.images(), targets, shift=1, flip=True),
    steps=3,
    batch=tiny.BATCH,
    optimiser=tiny.keep_gradient(),
  )


def _real():
  targets = np.arange(80).reshape(40, 2) % 3 > 0
  return distillation.Real(
    (RealImages(tiny.images(), targets),), tiny.IMAGE[:2]
  )


def _distil(draw, origin, net=None):
  student = tiny.student()
  apply, variables = (
    student.apply,
    tiny.variables_of(student),
  )
  if net == 'branched':
    filters = [
      tiny.source().filters['one']['group_2'],
      tiny.source().filters['two']['group_1'],
    ]
    regrouped, variables = branched.create(
      student.blocks,
      variables,
      filters,
      tiny.both_teachers(),
      [1, 2],
      tiny.LABEL_MAP,
    )
    apply = regrouped.apply
  return distillation.phase(
    'targetnet/x',
    apply,
    lambda key: variables,
    draw,
    tiny.LABEL_MAP,
    lambda: distillation.Frozen(tiny.both_teachers(), origin),
    temperature=2.0,
    steps=3,
    batch=tiny.BATCH,
    optimiser=tiny.keep_gradient(),
  )


def _measure():
  student = tiny.student()
  variables = tiny.variables_of(student)
  frozen = dual.Frozen(tiny.both_teachers(), tiny.source(), variables)
  filters = {
    f'block_{block_number}': {
      name: group_filters[f'group_{3 - block_number}']
      for name, group_filters in tiny.source().filters.items()
    }
    for block_number in (1, 2)
  }
  return branch_points.branch_phase(
    student,
    tiny.LABEL_MAP,
    branch_points.Measured(frozen, filters),
    batches=3,
    batch=tiny.BATCH,
  )


PHASES = {
  'pretrain': _pretrain,
  'generator': lambda: tiny.generator_phase(tiny.keep_gradient()),
  'generator, routed, bernoulli entropy, image filter': lambda: (
    tiny.generator_phase(
      tiny.keep_gradient(), routed=True, entropy='bernoulli', image_filter=True
    )
  ),
  'dual, block 1': lambda: _dual(1),
  'dual, block 2': lambda: _dual(2),
  'dual, block 2 with an adapter': lambda: _dual(2, channels=(5, 3, 1)),
  'dual, block 2, routed': lambda: _dual(2, routed=True),
  'dual, block 3': lambda: _dual(3),
  'branch losses': _measure,
  'compact on generated images': lambda: _distil(
    distillation.generated, tiny.source()
  ),
  'branched on routed images': lambda: _distil(
    distillation.generated, tiny.source(routed=True), 'branched'
  ),
  'refine': lambda: test_refine.phase(optimiser=tiny.keep_gradient()),
  'refine, routed': lambda: test_refine.phase(
    optimiser=tiny.keep_gradient(), routed=True
  ),
  'noise': lambda: _distil(
    distillation.noise, np.zeros(tiny.IMAGE, np.float32)
  ),
  'real data': lambda: _distil(distillation.real, _real()),
}
# One of each kind is tried always, the others with the slow tests.
_ALWAYS = (
  'pretrain',
  'generator',
  'dual, block 2',
  'compact on generated images',
  'refine',
)
_NAMES = [
  pytest.param(name, marks=() if name in _ALWAYS else pytest.mark.slow)
  for name in PHASES
]


@pytest.mark.parametrize('name', _NAMES)
def test_eight_devices_do_what_one_does(name):
  # In double precision, so that only what is wrong can differ, not what is
  # summed in another order.
  with jax.enable_x64(True):
    on_one, one_metrics = tiny.run(PHASES[name](), devices=1)
    on_eight, eight_metrics = tiny.run(PHASES[name](), devices=8)

  largest_moment = max(
    [
      float(np.max(np.abs(actual)))
      for actual in jax.tree.leaves(on_one.opt_state)
    ],
    default=0,
  )
  assert largest_moment > 0 or name == 'branch losses'
  jax.tree.map(
    lambda actual, expected: np.testing.assert_allclose(
      actual, expected, rtol=0, atol=1e-6 * largest_moment
    ),
    on_one.opt_state,
    on_eight.opt_state,
  )
  for field in ('params', 'batch_stats'):
    jax.tree.map(
      lambda actual, expected: np.testing.assert_allclose(
        actual, expected, rtol=1e-6, atol=1e-6
      ),
      getattr(on_one, field),
      getattr(on_eight, field),
    )
  for metric_name, value in one_metrics.items():
    np.testing.assert_allclose(
      value,
      eight_metrics[metric_name],
      rtol=1e-6,
      atol=1e-6,
      err_msg=metric_name,
    )


@pytest.mark.parametrize('name', _NAMES)
def test_a_gradient_is_one_reduction(name):
  phase, devices = PHASES[name](), jax.local_devices()
  step = parallel.compile_step(phase.step, devices)
  program = step.lower(
    parallel.replicate(phase.frozen(), devices),
    parallel.replicate(phase.init(jax.random.PRNGKey(0)), devices),
  ).compile()
  reductions = re.findall(
    r'= (.*) all-reduce(?:-start)?\(', program.as_text()
  )  # XLA may put several into one
  shapes = [
    shape
    for reduction in reductions
    for shape in re.findall(r'\[([\d,]*)\]', reduction)
  ]
  # A batch norm's two moments, forwards and backwards, are the only others.
  tree_shapes = [shape for shape in shapes if not re.fullmatch(r'2,\d+', shape)]
  num_expected = 1
  if name.startswith('generator'):
    num_expected += 2  # the teachers' moments, forwards and backwards
  if name.startswith('refine'):
    num_expected += 2 + 2  # the same, and two steps of the student
  assert len(tree_shapes) == num_expected, shapes
  assert all(shape.isdigit() for shape in tree_shapes), shapes


def test_all_devices_hold_the_same_state_after_a_step():
  phase = tiny.generator_phase(optax.sgd(0.1))
  devices = jax.local_devices()
  step = parallel.compile_step(phase.step, devices)
  state = parallel.replicate(phase.init(jax.random.PRNGKey(0)), devices)
  state, _ = step(parallel.replicate(phase.frozen(), devices), state)
  for leaf in jax.tree.leaves(state):
    copies = np.asarray(leaf)
    np.testing.assert_array_equal(
      copies, np.broadcast_to(copies[:1], copies.shape)
    )


def test_a_step_compiles_once():
  traces = []

  def step(frozen, state):
    traces.append(1)
    return state + frozen, {}

  devices = jax.local_devices()[:2]
  compiled = parallel.compile_step(step, devices)
  frozen = parallel.replicate(jnp.ones(3), devices)
  state = parallel.replicate(jnp.zeros(3), devices)
  for _ in range(3):
    state, _ = compiled(frozen, state)
  assert len(traces) == 1
  np.testing.assert_array_equal(parallel.first_replica(state), [3, 3, 3])


@pytest.mark.parametrize(
  ('max_steps', 'platform', 'num_steps', 'steps_done', 'expected'),
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
def test_calls_end_with_the_training(
  max_steps, platform, num_steps, steps_done, expected
):
  call_steps = parallel.steps_per_call(
    max_steps, platform, num_steps, steps_done
  )
  assert call_steps == expected
  assert (num_steps - steps_done) % call_steps == 0


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
  def keys(num_devices):
    draw = parallel.compile_step(
      lambda _, key: (key, parallel.sample_keys(key, 8)),
      jax.local_devices()[:num_devices],
    )
    key = parallel.replicate(
      jax.random.PRNGKey(1), jax.local_devices()[:num_devices]
    )
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


@pytest.mark.parametrize('num_devices', [1, 2, 8])
def test_gathered_shares_are_the_batch_in_its_order(num_devices):
  devices = jax.local_devices()[:num_devices]
  batch = jnp.arange(16 * 3, dtype=jnp.float32).reshape(16, 3)

  def step(batch, state):
    share_size = 16 // num_devices
    first = jax.lax.axis_index(parallel.AXIS) * share_size
    device_share = jax.lax.dynamic_slice_in_dim(batch, first, share_size)
    return state, parallel.gather(device_share)

  _, gathered = parallel.compile_step(step, devices)(
    parallel.replicate(batch, devices),
    parallel.replicate(jnp.zeros(()), devices),
  )
  # All devices have all of it.
  np.testing.assert_array_equal(gathered, np.stack([batch] * num_devices))


def test_gathered_samples_stand_at_their_numbers():
  # Drawn by number: sample i is the same, and at the same place, on any number
  # of devices.
  def gathered(num_devices):
    def step(key, state):
      keys = parallel.sample_keys(key, 8)
      return state, parallel.gather(jax.vmap(jax.random.uniform)(keys))

    devices = jax.local_devices()[:num_devices]
    key = parallel.replicate(jax.random.PRNGKey(1), devices)
    outputs = parallel.compile_step(step, devices)(
      key, parallel.replicate(jnp.zeros(()), devices)
    )
    return parallel.first_replica(outputs[1])

  np.testing.assert_array_equal(gathered(1), gathered(8))
  assert len(np.unique(gathered(4))) == 8


@pytest.mark.parametrize(
  ('value', 'dtype'), [(255, np.uint8), (65504, np.float16), (-1e4, np.float32)]
)
def test_gathered_numbers_stay_as_they_are(value, dtype):
  devices = jax.local_devices()
  share = np.full((2, 1), value, dtype)
  _, gathered = parallel.compile_step(
    lambda local, state: (state, parallel.gather(local)), devices
  )(
    parallel.replicate(share, devices),
    parallel.replicate(jnp.zeros(()), devices),
  )
  assert gathered.dtype == dtype
  np.testing.assert_array_equal(gathered, np.full((8, 16, 1), value))


def test_replicate_and_first_replica_are_inverse():
  tree = {'a': np.arange(3.0), 'b': (np.int32(7),)}
  copied = parallel.replicate(tree, jax.local_devices())
  assert copied['a'].shape == (8, 3)
  restored = parallel.first_replica(copied)
  np.testing.assert_array_equal(restored['a'], tree['a'])
  assert restored['b'][0] == 7


def test_too_many_devices_are_refused():
  with pytest.raises(UserError, match='devices: 9 asked for'):
    parallel.choose_devices(9)
  assert len(parallel.choose_devices(3)) == 3
  assert len(parallel.choose_devices()) == 8


def test_a_failure_of_the_first_process_reaches_the_others(monkeypatch):
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
  digests = {'teachers.a': '00' * 32, 'teachers.b': 'ff' * 32}
  parallel.check_same_files(digests)  # one process has nothing to compare
  monkeypatch.setattr(jax, 'process_count', lambda: 3)
  allgather = 'process_allgather'
  monkeypatch.setattr(
    multihost_utils, allgather, lambda local: np.stack([local, local, local])
  )
  parallel.check_same_files(digests)
  changed = np.array([[[0], [0]], [[0], [0]], [[0], [1]]], np.uint8)
  monkeypatch.setattr(multihost_utils, allgather, lambda local: local ^ changed)
  with pytest.raises(UserError, match='teachers.b: the file of process 2 '):
    parallel.check_same_files(digests)


def test_no_other_file_uses_pmap():
  files = (ROOT / 'dualgan_jax').rglob('*.py')
  file_names = [path.name for path in files if 'pmap(' in path.read_text()]
  assert file_names == ['parallel.py']
