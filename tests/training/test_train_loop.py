import dataclasses
import functools
import signal
import threading
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dualgan_jax.errors import InterruptedRun, TrainingError, UserError
from dualgan_jax.training import health, parallel, train_loop
from dualgan_jax.training.checkpoints import Checkpoints
from dualgan_jax.training.phase import Phase, first_state

STEPS = 12
BATCH = 8
OPTIMISER = optax.adam(0.1)


class Rows:
  """A log that keeps its rows, and does something on some of them."""

  failure = None

  def __init__(self, acts=None):
    self.rows = []
    self._acts = acts or {}

  def write(self, phase, step, metrics, names=()):
    self.rows.append((phase, step, metrics, names))
    if step in self._acts:
      self._acts[step]()

  @property
  def steps(self):
    return [step for _, step, _, _ in self.rows]


def _init(key):
  return first_state(key, {'w': jnp.zeros(2)}, {'mean': jnp.ones(1)}, OPTIMISER)


def _step(frozen, state):
  """Walks at random; whole numbers, so that any sum of them is exact."""
  key = jax.random.fold_in(state.key, state.step)
  draws = parallel.sample_keys(key, BATCH) % 16
  grads = {'w': parallel.mean(frozen['gain'] * jnp.mean(draws, axis=0))}
  updates, opt_state = OPTIMISER.update(grads, state.opt_state)
  params = optax.apply_updates(state.params, updates)
  metrics = {'loss': jnp.sum(params['w']), 'each': params['w']}
  return state.replace(
    step=state.step + 1, params=params, opt_state=opt_state
  ), metrics


PHASE = Phase(
  name='toy/walk',
  steps=STEPS,
  init=_init,
  step=_step,
  frozen=lambda: {'gain': np.float32(0.5)},
  label_names=('a', 'b'),
)


def _train(folder, log=None, phase=PHASE, devices=1, **options):
  return train_loop.train(
    phase,
    jax.random.PRNGKey(7),
    jax.local_devices()[:devices],
    Checkpoints(folder),
    log or Rows(),
    **{'log_every': 1, 'save_every': 100, **options},
  )


@functools.cache
def _by_hand(steps=STEPS):
  """The same steps, one after the other, with nothing around them."""
  one = jax.local_devices()[:1]
  step = parallel.compile_step(_step, one)
  frozen = parallel.replicate({'gain': np.float32(0.5)}, one)
  state = parallel.replicate(_init(jax.random.PRNGKey(7)), one)
  for _ in range(steps):
    state, _ = step(frozen, state)
  return parallel.first_replica(state)


def _assert_same(found, wanted):
  assert jax.tree.structure(found) == jax.tree.structure(wanted)
  for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(wanted)):
    assert isinstance(x, np.ndarray | np.generic)
    assert x.dtype == y.dtype
    np.testing.assert_array_equal(x, y)


def _saved(folder):
  """The newest checkpoint's step and state."""
  checkpoints = Checkpoints(folder)
  newest = checkpoints.steps()[-1]
  abstract = jax.eval_shape(_init, jax.random.PRNGKey(0))
  return newest, checkpoints.restore(newest, abstract)[0]


def _raise(*numbers):
  def act():
    for number in numbers:
      signal.raise_signal(number)

  return act


def _bad_from(first):
  """The phase whose loss and parameters are NaN from a step on."""

  def step(frozen, state):
    state, metrics = _step(frozen, state)
    bad = jnp.where(state.step >= first, jnp.nan, 0.0)
    params = {'w': state.params['w'] + bad}
    return state.replace(params=params), {'loss': metrics['loss'] + bad}

  return dataclasses.replace(PHASE, step=step)


@pytest.mark.parametrize('devices', [1, 8])
def test_does_the_steps_and_saves_the_last(tmp_path, devices):
  state, seconds = _train(tmp_path / 'c', devices=devices)
  assert state.step == STEPS
  assert seconds > 0
  _assert_same(state, _by_hand())
  newest, saved = _saved(tmp_path / 'c')
  assert newest == STEPS
  _assert_same(saved, state)


@pytest.mark.parametrize(
  ('wanted', 'saves'),
  # Steps of a call divide 12; saves come after every 5th step, or soon after.
  [(1, [5, 10, 12]), (3, [6, 12]), (5, [8, 12]), (100, [12])],
)
def test_several_steps_per_call_are_the_same_steps(
  tmp_path, monkeypatch, wanted, saves
):
  seen, save = [], Checkpoints.save

  def note(self, step, state, seconds):
    seen.append(step)
    save(self, step, state, seconds)

  monkeypatch.setattr(Checkpoints, 'save', note)
  log = Rows()
  state, _ = _train(
    tmp_path / 'c', log, steps_per_call=wanted, save_every=5, log_every=4
  )
  _assert_same(state, _by_hand())
  assert seen == saves
  assert log.steps == [1, 4, 8, 12]
  one = Rows()
  _train(tmp_path / 'one', one, log_every=4)
  for row, other in zip(log.rows, one.rows, strict=True):
    jax.tree.map(np.testing.assert_array_equal, row[2], other[2])


def test_a_signal_is_heard_after_the_call(tmp_path):
  log = Rows({1: _raise(signal.SIGTERM)})
  options = {'steps_per_call': 3}
  with pytest.raises(InterruptedRun, match='saved at step 6'):
    _train(tmp_path / 'c', log, **options)
  again = Rows()
  state, _ = _train(tmp_path / 'c', again, **options)
  assert again.steps[0] == 7
  _assert_same(state, _by_hand())


def test_the_key_decides(tmp_path):
  one, _ = _train(tmp_path / 'one')
  other, _ = train_loop.train(
    PHASE,
    jax.random.PRNGKey(8),
    jax.local_devices()[:1],
    Checkpoints(tmp_path / 'other'),
    Rows(),
    log_every=1,
    save_every=100,
  )
  assert not np.array_equal(one.params['w'], other.params['w'])


def test_saves_now_and_then(tmp_path, monkeypatch):
  saved = []
  save = Checkpoints.save

  def note(self, step, state, seconds):
    saved.append(step)
    save(self, step, state, seconds)

  monkeypatch.setattr(Checkpoints, 'save', note)
  _train(tmp_path / 'c', save_every=5)
  assert saved == [5, 10, 12]
  saved.clear()
  # The last step is saved once, not twice.
  _train(tmp_path / 'd', save_every=6)
  assert saved == [6, 12]


def test_rows_are_at_log_every_and_at_both_ends(tmp_path):
  log = Rows()
  _train(tmp_path / 'c', log, log_every=5)
  assert log.steps == [1, 5, 10, 12]
  for phase, step, row, names in log.rows:
    assert phase == 'toy/walk'
    assert names == ('a', 'b')
    # The row of step n is that of step n, and of one device.
    np.testing.assert_array_equal(row['each'], _by_hand(step).params['w'])
    assert row['loss'].shape == ()


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_goes_on_as_if_nothing_had_been(tmp_path, capsys, number):
  folder = tmp_path / 'c'
  first, second = Rows({5: _raise(number)}), Rows()
  with pytest.raises(InterruptedRun, match=r'toy/walk.*saved at step 6'):
    _train(folder, first)
  assert 'stopping after this step' in capsys.readouterr().err
  newest, saved = _saved(folder)
  assert newest == saved.step == 6
  _assert_same(saved, _by_hand(6))

  state, _ = _train(folder, second)
  assert 'going on from step 6' in capsys.readouterr().err
  _assert_same(state, _by_hand())
  # No row is missing and none is there twice.
  assert first.steps + second.steps == list(range(1, STEPS + 1))


@pytest.mark.parametrize(('before', 'after'), [(8, 1), (1, 8)])
def test_goes_on_with_another_number_of_devices(tmp_path, before, after):
  folder = tmp_path / 'c'
  with pytest.raises(InterruptedRun):
    _train(folder, Rows({5: _raise(signal.SIGINT)}), devices=before)
  state, _ = _train(folder, devices=after)
  _assert_same(state, _by_hand())


# On reading step 11 the devices work on step 12, the last.
@pytest.mark.parametrize('read', [STEPS - 1, STEPS])
def test_a_signal_during_the_last_step_is_not_forgotten(tmp_path, read):
  # Else the run would just begin its next phase.
  folder = tmp_path / 'c'
  with pytest.raises(InterruptedRun):
    _train(folder, Rows({read: _raise(signal.SIGINT)}))
  newest, saved = _saved(folder)
  assert newest == STEPS
  _assert_same(saved, _by_hand())
  state, _ = _train(folder)
  _assert_same(state, _by_hand())


def test_a_signal_that_nobody_asks_for_any_more_is_handed_on(
  tmp_path, monkeypatch
):
  heard = []
  before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
  try:
    questions = []

    def anywhere(flag):
      questions.append(flag)
      if len(questions) == STEPS:  # one per step
        signal.raise_signal(signal.SIGTERM)
      return flag

    monkeypatch.setattr(parallel, 'anywhere', anywhere)
    _train(tmp_path / 'c')
  finally:
    signal.signal(signal.SIGTERM, before)
  assert len(questions) == STEPS
  assert heard == [signal.SIGTERM]


@pytest.mark.parametrize(
  'numbers',
  [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGINT)],
  ids=['twice', 'both'],
)
def test_a_second_signal_stops_at_once(tmp_path, numbers):
  log = Rows({5: _raise(*numbers)})
  with pytest.raises(KeyboardInterrupt):
    _train(tmp_path / 'c', log, save_every=2)
  assert log.steps[-1] == 5
  # What was saved before is good.
  newest, saved = _saved(tmp_path / 'c')
  assert newest == 4
  _assert_same(saved, _by_hand(4))


@pytest.mark.parametrize(
  ('acts', 'phase', 'raised'),
  [
    ({}, PHASE, None),
    ({5: _raise(signal.SIGTERM)}, PHASE, InterruptedRun),
    ({5: _raise(signal.SIGTERM, signal.SIGTERM)}, PHASE, KeyboardInterrupt),
    ({}, _bad_from(5), TrainingError),
  ],
  ids=['done', 'stopped', 'stopped twice', 'diverged'],
)
def test_signal_handlers_are_put_back(tmp_path, acts, phase, raised):
  numbers = (signal.SIGINT, signal.SIGTERM)
  own = [lambda *_: None, lambda *_: None]
  before = [signal.signal(*pair) for pair in zip(numbers, own)]
  try:
    if raised is None:
      _train(tmp_path / 'c', Rows(acts), phase)
    else:
      with pytest.raises(raised):
        _train(tmp_path / 'c', Rows(acts), phase)
    assert [signal.getsignal(x) for x in numbers] == own
  finally:
    for pair in zip(numbers, before):
      signal.signal(*pair)


def test_what_is_done_is_only_read(tmp_path):
  def never(*args):
    raise AssertionError('called')

  state, _ = _train(tmp_path / 'c')
  log = Rows()
  read_only = dataclasses.replace(PHASE, step=never, frozen=never)
  again, _ = _train(tmp_path / 'c', log, read_only)
  _assert_same(again, state)
  assert log.rows == []


def test_seconds_add_up_over_interruptions(tmp_path, monkeypatch):
  now = [1000.0]
  clock = types.SimpleNamespace(monotonic=lambda: now[0])
  monkeypatch.setattr(train_loop, 'time', clock)

  def spend(seconds):
    now[0] += seconds

  def spend_and_stop():
    spend(30.0)
    signal.raise_signal(signal.SIGINT)

  with pytest.raises(InterruptedRun):
    _train(tmp_path / 'c', Rows({3: spend_and_stop}))
  spend(500.0)  # nothing runs
  _, seconds = _train(tmp_path / 'c', Rows({6: lambda: spend(7.0)}))
  assert seconds == 37.0
  assert _train(tmp_path / 'c')[1] == 37.0


@pytest.mark.parametrize('bad', [1, 7, 8, STEPS])
def test_a_nan_names_its_step_and_is_not_saved(tmp_path, bad):
  # Step 8 is saved before its loss is read, if it were good.
  with pytest.raises(TrainingError) as error:
    _train(tmp_path / 'c', phase=_bad_from(bad), save_every=4, log_every=5)
  assert f'step {bad}' in str(error.value)
  assert '\n' not in str(error.value)
  if bad == 1:
    assert Checkpoints(tmp_path / 'c').steps() == []
    return
  newest, saved = _saved(tmp_path / 'c')
  assert newest == {7: 4, 8: 4, STEPS: 8}[bad]
  _assert_same(saved, _by_hand(newest))


def test_a_loss_that_is_nan_once_stops(tmp_path):
  def step(frozen, state):
    state, metrics = _step(frozen, state)
    loss = jnp.where(state.step == 6, jnp.inf, metrics['loss'])
    return state, {'loss': loss}

  log = Rows()
  phase = dataclasses.replace(PHASE, step=step)
  with pytest.raises(TrainingError, match=r'toy/walk: .* inf at step 6\.'):
    _train(tmp_path / 'c', log, phase, log_every=100)
  assert log.steps == [1]


def test_a_stopped_run_whose_loss_is_nan_is_not_saved(tmp_path):
  # The signal comes on reading step 5, while step 6 diverges.
  log = Rows({5: _raise(signal.SIGINT)})
  with pytest.raises(TrainingError, match='step 6'):
    _train(tmp_path / 'c', log, _bad_from(6), save_every=4)
  assert Checkpoints(tmp_path / 'c').steps() == [4]


def test_a_phase_may_have_no_loss(tmp_path):
  def step(frozen, state):
    return _step(frozen, state)[0], {}

  phase = dataclasses.replace(PHASE, step=step)
  state, _ = _train(tmp_path / 'c', phase=phase)
  _assert_same(state, _by_hand())


def test_warnings_of_health_are_said_once(tmp_path, capsys, monkeypatch):
  monkeypatch.setattr(health, 'PATIENCE', 4)

  def step(frozen, state):
    state, metrics = _step(frozen, state)
    health = {'labels_per_image': 0.01, 'diversity': 0.01, 'entropy': 0.9}
    health = {k: jnp.float32(v) for k, v in health.items()}
    return state, {**metrics, **health}

  _train(tmp_path / 'c', phase=dataclasses.replace(PHASE, step=step))
  said = [x for x in capsys.readouterr().err.splitlines() if 'warning' in x]
  assert len(said) == 2
  empty, same = said
  assert empty.startswith('toy/walk: warning: at step 5 ')
  assert 'empty' in empty
  assert same.startswith('toy/walk: warning: at step 5 ')
  assert 'collapsed' in same


def test_another_nets_checkpoint_is_refused(tmp_path):
  _train(tmp_path / 'c')
  wider = dataclasses.replace(
    PHASE,
    steps=2 * STEPS,
    init=lambda key: first_state(
      key, {'w': jnp.zeros(3)}, {'mean': jnp.ones(1)}, OPTIMISER
    ),
  )
  with pytest.raises(UserError, match=str(tmp_path / 'c' / '12')):
    _train(tmp_path / 'c', phase=wider)


def test_works_outside_the_main_thread(tmp_path):
  # Python takes signal handlers from the main thread only.
  before = signal.getsignal(signal.SIGINT)
  found = []
  thread = threading.Thread(target=lambda: found.append(_train(tmp_path / 'c')))
  thread.start()
  thread.join()
  ((state, _),) = found
  _assert_same(state, _by_hand())
  assert signal.getsignal(signal.SIGINT) is before
