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


class RecordingLog:
  """Records the rows of a log, and acts on some of them."""

  failure = None

  def __init__(self, actions=None):
    self.rows, self.pictures = [], []
    self._acts = actions or {}

  def write(self, phase_name, step, metrics, label_names=()):
    self.rows.append((phase_name, step, metrics, label_names))
    if step in self._acts:
      self._acts[step]()

  def write_image(self, phase_name, step, image):
    self.pictures.append((step, image))

  @property
  def steps(self):
    return [step for _, step, _, _ in self.rows]


def _init(key):
  return first_state(key, {'w': jnp.zeros(2)}, {'mean': jnp.ones(1)}, OPTIMISER)


def _step(frozen, state):
  """Walks at random, by whole numbers, so that any sum of them is exact."""
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


def _train(folder, log=None, phase=PHASE, num_devices=1, **options):
  return train_loop.train(
    phase,
    jax.random.PRNGKey(7),
    jax.local_devices()[:num_devices],
    Checkpoints(folder),
    log or RecordingLog(),
    **{'log_every': 1, 'save_every': 0, 'save_minutes': 60.0, **options},
  )


@functools.cache
def _run_steps(num_steps=STEPS):
  """Runs the phase's step some times, without the loop around it."""
  one_device = jax.local_devices()[:1]
  step = parallel.compile_step(_step, one_device)
  frozen = parallel.replicate({'gain': np.float32(0.5)}, one_device)
  state = parallel.replicate(_init(jax.random.PRNGKey(7)), one_device)
  for _ in range(num_steps):
    state, _ = step(frozen, state)
  return parallel.first_replica(state)


def _assert_same(actual, expected):
  assert jax.tree.structure(actual) == jax.tree.structure(expected)
  for actual_leaf, expected_leaf in zip(
    jax.tree.leaves(actual), jax.tree.leaves(expected)
  ):
    assert isinstance(actual_leaf, np.ndarray | np.generic)
    assert actual_leaf.dtype == expected_leaf.dtype
    np.testing.assert_array_equal(actual_leaf, expected_leaf)


def _newest_checkpoint(folder):
  """Reads the newest checkpoint's step and state."""
  checkpoints = Checkpoints(folder)
  newest = checkpoints.steps()[-1]
  abstract = jax.eval_shape(_init, jax.random.PRNGKey(0))
  return newest, checkpoints.restore(newest, abstract)[0]


def test_a_phase_of_no_steps_gives_its_first_state(tmp_path):
  no_steps = dataclasses.replace(PHASE, steps=0)
  for _ in range(2):
    log = RecordingLog()
    state, _ = _train(tmp_path, log, no_steps)
    assert log.rows == []
    expected = jax.tree.map(np.asarray, _init(jax.random.PRNGKey(7)))
    _assert_same(state, expected)


def _signal_raiser(*signal_numbers):
  def act():
    for signal_number in signal_numbers:
      signal.raise_signal(signal_number)

  return act


def _diverging_phase(first_bad_step):
  """Makes a phase whose loss and parameters are NaN from a step on."""

  def step(frozen, state):
    state, metrics = _step(frozen, state)
    bad_value = jnp.where(state.step >= first_bad_step, jnp.nan, 0.0)
    params = {'w': state.params['w'] + bad_value}
    return state.replace(params=params), {'loss': metrics['loss'] + bad_value}

  return dataclasses.replace(PHASE, step=step)


@pytest.mark.parametrize('num_devices', [1, 8])
def test_does_the_steps_and_saves_the_last(tmp_path, num_devices):
  state, seconds = _train(tmp_path / 'c', num_devices=num_devices)
  assert state.step == STEPS
  assert seconds > 0
  _assert_same(state, _run_steps())
  newest, saved = _newest_checkpoint(tmp_path / 'c')
  assert newest == STEPS
  _assert_same(saved, state)


@pytest.mark.parametrize(
  ('max_steps', 'expected_steps'),
  # Steps of a call divide 12; saves come after every 5th step, or soon after.
  [(1, [5, 10, 12]), (3, [6, 12]), (5, [8, 12]), (100, [12])],
)
def test_several_steps_per_call_are_the_same_steps(
  tmp_path, saved_steps, max_steps, expected_steps
):
  log = RecordingLog()
  state, _ = _train(
    tmp_path / 'c', log, steps_per_call=max_steps, save_every=5, log_every=4
  )
  _assert_same(state, _run_steps())
  assert saved_steps == expected_steps
  assert log.steps == [1, 4, 8, 12]
  single_step_log = RecordingLog()
  _train(tmp_path / 'one', single_step_log, log_every=4)
  for row, single_step_row in zip(log.rows, single_step_log.rows, strict=True):
    jax.tree.map(np.testing.assert_array_equal, row[2], single_step_row[2])


def test_a_signal_stops_the_loop_after_the_call(tmp_path):
  log = RecordingLog({1: _signal_raiser(signal.SIGTERM)})
  options = {'steps_per_call': 3}
  with pytest.raises(InterruptedRun, match='saved at step 6'):
    _train(tmp_path / 'c', log, **options)
  second_log = RecordingLog()
  state, _ = _train(tmp_path / 'c', second_log, **options)
  assert second_log.steps[0] == 7
  _assert_same(state, _run_steps())


def test_the_key_decides(tmp_path):
  state, _ = _train(tmp_path / 'one')
  other_state, _ = train_loop.train(
    PHASE,
    jax.random.PRNGKey(8),
    jax.local_devices()[:1],
    Checkpoints(tmp_path / 'other'),
    RecordingLog(),
    log_every=1,
    save_every=0,
    save_minutes=60.0,
  )
  assert not np.array_equal(state.params['w'], other_state.params['w'])


@pytest.fixture
def saved_steps(monkeypatch):
  """The steps of all checkpoints that are written, in their order."""
  steps, save = [], Checkpoints.save

  def record_save(self, step, state, seconds):
    steps.append(step)
    save(self, step, state, seconds)

  monkeypatch.setattr(Checkpoints, 'save', record_save)
  return steps


@pytest.fixture
def spend(monkeypatch):
  """Returns a function that lets seconds pass on the loop's clock."""
  now = [1000.0]
  clock = types.SimpleNamespace(monotonic=lambda: now[0])
  monkeypatch.setattr(train_loop, 'time', clock)

  def spend(seconds):
    now[0] += seconds

  return spend


def test_saves_after_every_few_steps(tmp_path, saved_steps):
  _train(tmp_path / 'c', save_every=5)
  assert saved_steps == [5, 10, 12]
  saved_steps.clear()
  # The last step is saved once, not twice.
  _train(tmp_path / 'd', save_every=6)
  assert saved_steps == [6, 12]


def test_draws_early_and_late_and_with_each_checkpoint(tmp_path):
  phase = dataclasses.replace(PHASE, steps=40, draw=lambda state: state.step)
  log = RecordingLog()
  _train(tmp_path, log, phase, save_every=30)
  assert log.pictures == [(step, step) for step in (2, 8, 20, 30, 40)]


def test_saves_when_minutes_have_passed_since_the_last(
  tmp_path, saved_steps, spend
):
  # Step n is read while the devices work on step n + 1.
  seconds_by_step = {3: 60.0, 5: 40.0, 7: 19.0, 8: 1.0, 11: 500.0}
  log = RecordingLog(
    {
      step: functools.partial(spend, seconds)
      for step, seconds in seconds_by_step.items()
    }
  )
  state, _ = _train(tmp_path / 'c', log, save_minutes=1.0)
  # The last step is saved once, not twice.
  assert saved_steps == [4, 9, 12]
  _assert_same(state, _run_steps())


def test_a_save_by_steps_starts_the_minutes_anew(tmp_path, saved_steps, spend):
  log = RecordingLog(
    {step: functools.partial(spend, 50.0) for step in (2, 5, 6)}
  )
  _train(tmp_path / 'c', log, save_every=5, save_minutes=1.0)
  assert saved_steps == [5, 7, 10, 12]


def test_the_clock_of_the_first_process_decides_for_all(
  tmp_path, saved_steps, spend, monkeypatch
):
  is_due_flags = []

  def any_process_each(flags):
    is_due_flags.extend(flags[1:])
    return [flags[0], *[len(is_due_flags) == 5 for _ in flags[1:]]]

  monkeypatch.setattr(parallel, 'is_first', lambda: False)
  monkeypatch.setattr(parallel, 'any_process_each', any_process_each)
  log = RecordingLog({3: functools.partial(spend, 500.0)})
  _train(tmp_path / 'c', log, save_minutes=1.0)
  assert saved_steps == [5, 12]
  assert is_due_flags == [False] * (STEPS - 1)


def test_rows_are_at_log_every_and_at_both_ends(tmp_path):
  log = RecordingLog()
  _train(tmp_path / 'c', log, log_every=5)
  assert log.steps == [1, 5, 10, 12]
  for phase_name, step, row, label_names in log.rows:
    assert phase_name == 'toy/walk'
    assert label_names == ('a', 'b')
    # The row of step n is that of step n, and of one device.
    np.testing.assert_array_equal(row['each'], _run_steps(step).params['w'])
    assert row['loss'].shape == ()


@pytest.mark.parametrize('signal_number', [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_goes_on_as_if_nothing_had_been(
  tmp_path, capsys, signal_number
):
  folder = tmp_path / 'c'
  first_log, second_log = (
    RecordingLog({5: _signal_raiser(signal_number)}),
    RecordingLog(),
  )
  with pytest.raises(InterruptedRun, match=r'toy/walk.*saved at step 6'):
    _train(folder, first_log)
  assert 'stopping after this step' in capsys.readouterr().err
  newest, saved = _newest_checkpoint(folder)
  assert newest == saved.step == 6
  _assert_same(saved, _run_steps(6))

  state, _ = _train(folder, second_log)
  assert 'going on from step 6' in capsys.readouterr().err
  _assert_same(state, _run_steps())
  # No row is missing and none is there twice.
  assert first_log.steps + second_log.steps == list(range(1, STEPS + 1))


@pytest.mark.parametrize(('devices_before', 'devices_after'), [(8, 1), (1, 8)])
def test_goes_on_with_another_number_of_devices(
  tmp_path, devices_before, devices_after
):
  folder = tmp_path / 'c'
  with pytest.raises(InterruptedRun):
    _train(
      folder,
      RecordingLog({5: _signal_raiser(signal.SIGINT)}),
      num_devices=devices_before,
    )
  state, _ = _train(folder, num_devices=devices_after)
  _assert_same(state, _run_steps())


# On reading step 11 the devices work on step 12, the last.
@pytest.mark.parametrize('step', [STEPS - 1, STEPS])
def test_a_signal_during_the_last_step_is_not_forgotten(tmp_path, step):
  # Else the run would just begin its next phase.
  folder = tmp_path / 'c'
  with pytest.raises(InterruptedRun):
    _train(folder, RecordingLog({step: _signal_raiser(signal.SIGINT)}))
  newest, saved = _newest_checkpoint(folder)
  assert newest == STEPS
  _assert_same(saved, _run_steps())
  state, _ = _train(folder)
  _assert_same(state, _run_steps())


def test_a_signal_after_the_last_look_is_handed_on(tmp_path, monkeypatch):
  handled_signals = []
  previous_handler = signal.signal(
    signal.SIGTERM,
    lambda signal_number, _: handled_signals.append(signal_number),
  )
  try:
    num_looks = 0

    def any_process_each(flags):
      nonlocal num_looks
      num_looks += 1
      if num_looks == STEPS:  # one per step
        signal.raise_signal(signal.SIGTERM)
      return flags

    monkeypatch.setattr(parallel, 'any_process_each', any_process_each)
    _train(tmp_path / 'c')
  finally:
    signal.signal(signal.SIGTERM, previous_handler)
  assert num_looks == STEPS
  assert handled_signals == [signal.SIGTERM]


@pytest.mark.parametrize(
  'signal_numbers',
  [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGINT)],
  ids=['twice', 'both'],
)
def test_a_second_signal_stops_at_once(tmp_path, signal_numbers):
  log = RecordingLog({5: _signal_raiser(*signal_numbers)})
  with pytest.raises(KeyboardInterrupt):
    _train(tmp_path / 'c', log, save_every=2)
  assert log.steps[-1] == 5
  # What was saved before is good.
  newest, saved = _newest_checkpoint(tmp_path / 'c')
  assert newest == 4
  _assert_same(saved, _run_steps(4))


@pytest.mark.parametrize(
  ('actions', 'phase', 'exception'),
  [
    ({}, PHASE, None),
    ({5: _signal_raiser(signal.SIGTERM)}, PHASE, InterruptedRun),
    (
      {5: _signal_raiser(signal.SIGTERM, signal.SIGTERM)},
      PHASE,
      KeyboardInterrupt,
    ),
    ({}, _diverging_phase(5), TrainingError),
  ],
  ids=['done', 'stopped', 'stopped twice', 'diverged'],
)
def test_signal_handlers_are_put_back(tmp_path, actions, phase, exception):
  signal_numbers = (signal.SIGINT, signal.SIGTERM)
  own_handlers = [lambda *_: None, lambda *_: None]
  previous_handlers = [
    signal.signal(*pair) for pair in zip(signal_numbers, own_handlers)
  ]
  try:
    if exception is None:
      _train(tmp_path / 'c', RecordingLog(actions), phase)
    else:
      with pytest.raises(exception):
        _train(tmp_path / 'c', RecordingLog(actions), phase)
    assert [
      signal.getsignal(signal_number) for signal_number in signal_numbers
    ] == own_handlers
  finally:
    for pair in zip(signal_numbers, previous_handlers):
      signal.signal(*pair)


def test_a_finished_phase_is_only_read(tmp_path):
  def never(*args):
    raise AssertionError('called')

  state, _ = _train(tmp_path / 'c')
  log = RecordingLog()
  read_only = dataclasses.replace(PHASE, step=never, frozen=never)
  read_state, _ = _train(tmp_path / 'c', log, read_only)
  _assert_same(read_state, state)
  assert log.rows == []


def test_seconds_add_up_over_interruptions(tmp_path, spend):
  def spend_and_stop():
    spend(30.0)
    signal.raise_signal(signal.SIGINT)

  with pytest.raises(InterruptedRun):
    _train(tmp_path / 'c', RecordingLog({3: spend_and_stop}))
  spend(500.0)  # nothing runs
  _, seconds = _train(tmp_path / 'c', RecordingLog({6: lambda: spend(7.0)}))
  assert seconds == 37.0
  assert _train(tmp_path / 'c')[1] == 37.0


@pytest.mark.parametrize('bad_step', [1, 7, 8, STEPS])
def test_a_nan_names_its_step_and_is_not_saved(tmp_path, bad_step):
  # Step 8 is saved before its loss is read, if it were good.
  with pytest.raises(TrainingError) as error:
    _train(
      tmp_path / 'c',
      phase=_diverging_phase(bad_step),
      save_every=4,
      log_every=5,
    )
  assert f'step {bad_step}' in str(error.value)
  assert '\n' not in str(error.value)
  if bad_step == 1:
    assert Checkpoints(tmp_path / 'c').steps() == []
    return
  newest, saved = _newest_checkpoint(tmp_path / 'c')
  assert newest == {7: 4, 8: 4, STEPS: 8}[bad_step]
  _assert_same(saved, _run_steps(newest))


def test_a_loss_that_is_nan_once_stops(tmp_path):
  def step(frozen, state):
    state, metrics = _step(frozen, state)
    loss = jnp.where(state.step == 6, jnp.inf, metrics['loss'])
    return state, {'loss': loss}

  log = RecordingLog()
  phase = dataclasses.replace(PHASE, step=step)
  with pytest.raises(TrainingError, match=r'toy/walk: .* inf at step 6\.'):
    _train(tmp_path / 'c', log, phase, log_every=100)
  assert log.steps == [1]


def test_a_stopped_run_whose_loss_is_nan_is_not_saved(tmp_path):
  # The signal comes on reading step 5, while step 6 diverges.
  log = RecordingLog({5: _signal_raiser(signal.SIGINT)})
  with pytest.raises(TrainingError, match='step 6'):
    _train(tmp_path / 'c', log, _diverging_phase(6), save_every=4)
  assert Checkpoints(tmp_path / 'c').steps() == [4]


def test_a_phase_may_have_no_loss(tmp_path):
  def step(frozen, state):
    return _step(frozen, state)[0], {}

  phase = dataclasses.replace(PHASE, step=step)
  state, _ = _train(tmp_path / 'c', phase=phase)
  _assert_same(state, _run_steps())


def test_warnings_of_health_are_printed_once(tmp_path, capsys, monkeypatch):
  monkeypatch.setattr(health, 'PATIENCE', 4)

  def step(frozen, state):
    state, metrics = _step(frozen, state)
    health_metrics = {
      'labels_per_image': 0.01,
      'diversity': 0.01,
      'entropy': 0.9,
    }
    health_metrics = {
      name: jnp.float32(value) for name, value in health_metrics.items()
    }
    return state, {**metrics, **health_metrics}

  _train(tmp_path / 'c', phase=dataclasses.replace(PHASE, step=step))
  warnings = [
    line for line in capsys.readouterr().err.splitlines() if 'warning' in line
  ]
  assert len(warnings) == 2
  empty, collapsed = warnings
  assert empty.startswith('toy/walk: warning: at step 5 ')
  assert 'empty' in empty
  assert collapsed.startswith('toy/walk: warning: at step 5 ')
  assert 'collapsed' in collapsed


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
  previous_handler = signal.getsignal(signal.SIGINT)
  results = []
  thread = threading.Thread(
    target=lambda: results.append(_train(tmp_path / 'c'))
  )
  thread.start()
  thread.join()
  ((state, _),) = results
  _assert_same(state, _run_steps())
  assert signal.getsignal(signal.SIGINT) is previous_handler


def test_phases_that_share_a_step_share_its_program(tmp_path):
  traces = []

  def traced_step(frozen, state):
    traces.append(None)
    return _step(frozen, state)

  phase = dataclasses.replace(PHASE, step=traced_step)
  states = [
    _train(
      tmp_path / str(gain),
      phase=dataclasses.replace(
        phase, frozen=lambda gain=gain: {'gain': np.float32(gain)}
      ),
    )[0]
    for gain in (0.5, -0.5)
  ]
  assert len(traces) == 1
  # With arrays of their own.
  first, second = (state.params['w'] for state in states)
  assert not np.array_equal(first, second)
