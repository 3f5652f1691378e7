"""Drives any phase: devices, steps, metrics, checkpoints, interruptions."""

import contextlib
import functools
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import chex
import jax
import numpy as np

from dualgan_jax.errors import InterruptedRun, TrainingError
from dualgan_jax.training import console, metrics_log, parallel
from dualgan_jax.training.checkpoints import Checkpoints
from dualgan_jax.training.health import Watch
from dualgan_jax.training.phase import Phase, TrainState


def train(
  phase: Phase,
  key: chex.PRNGKey,
  devices: Sequence[jax.Device],
  checkpoints: Checkpoints,
  log: metrics_log.MetricsLog,
  *,
  log_every: int,
  save_every: int,
  steps_per_call: int = 0,
) -> tuple[TrainState, float]:
  """Brings a phase to its end, from its newest checkpoint or from scratch.

  Args:
    phase: what to train.
    key: the phase's PRNG key.
    devices: to train on.
    checkpoints: of this phase.
    log: takes the metrics.
    log_every: steps between two rows of metrics.
    save_every: steps between two checkpoints; they are written where a call
      ends.
    steps_per_call: at most so many; 0 for what suits the devices.

  Returns:
    The last state, as NumPy arrays, and the seconds spent on it in all.

  Raises:
    TrainingError: the loss or a value of the state is not finite.
    InterruptedRun: SIGINT or SIGTERM came; the state is saved.
    CallbackError: the log's `on_metrics` raised something; the state is saved.
    UserError: there are checkpoints, and all of them are damaged.
  """
  began = time.monotonic()
  done, state, seconds = checkpoints.newest(
    lambda: jax.eval_shape(phase.init, key)
  )
  if done >= phase.steps:
    return state, seconds
  if state is None:
    # It runs once: compiling it well takes longer than running it does.
    quick = {'xla_backend_optimization_level': 0}
    state = jax.jit(phase.init, compiler_options=quick)(key)
  else:
    console.say(f'{phase.name}: going on from step {done}')

  def save(state, step):
    host = parallel.first_replica(state)
    checkpoints.save(step, host, seconds + time.monotonic() - began)
    return host

  platform = devices[0].platform
  many = parallel.steps_per_call(steps_per_call, platform, phase.steps, done)
  step_fn = parallel.compile_step(
    parallel.repeat(phase.step, many, platform), devices
  )
  frozen = parallel.replicate(phase.frozen(), devices)
  state = parallel.replicate(state, devices)
  progress = console.Progress(phase.name, done, phase.steps)
  watch = Watch(phase.teacher_labels)
  read = functools.partial(_read, phase, log, log_every, watch, progress)
  pending = None
  with _signals() as signalled, contextlib.closing(progress):

    def stops():
      return parallel.anywhere(signalled() or log.failure is not None)

    for step in range(done + many, phase.steps + 1, many):
      state, metrics = step_fn(frozen, state)
      # Read one call late: the devices already work on the next.
      read(pending)
      pending = range(step - many + 1, step + 1), metrics
      if step < phase.steps and stops():
        read(pending)
        save(state, step)
        raise _stopped(phase, step, log)
      if step % save_every < many and step < phase.steps:
        save(state, step)
    read(pending)
    host = save(state, phase.steps)
    if stops():
      raise _stopped(phase, phase.steps, log)
    return host, seconds + time.monotonic() - began


def _read(
  phase: Phase,
  log: metrics_log.MetricsLog,
  log_every: int,
  watch: Watch,
  progress: console.Progress,
  pending: tuple[range, Any] | None,
) -> None:
  """Reads a call's steps and their metrics."""
  if pending is None:
    return
  steps, metrics = pending
  loss = None
  if 'loss' in metrics:
    losses = parallel.first_replica(metrics['loss'])
    for step, loss in zip(steps, losses.tolist(), strict=True):
      if not np.isfinite(loss):
        raise TrainingError(
          f'{phase.name}: the loss is {loss} at step {step}. Lower the '
          'learning rate of this stage, which then begins anew; earlier stages '
          'stay as they are.'
        )
  progress.show(steps[-1], loss)
  for i, step in enumerate(steps):
    if step % log_every == 0 or step in (1, phase.steps):
      row = jax.tree.map(lambda x, i=i: x[i], parallel.first_replica(metrics))
      log.write(phase.name, step, row, phase.label_names)
      for line in watch.look(step, row):
        console.say(f'{phase.name}: {line}')


def _stopped(phase: Phase, step: int, log: metrics_log.MetricsLog) -> Exception:
  if log.failure is not None:
    return metrics_log.CallbackError(log.failure)
  return InterruptedRun(
    f'{phase.name}: stopped and saved at step {step}; the same command goes on '
    'from there.'
  )


@contextlib.contextmanager
def _signals() -> Iterator[Callable[[], bool]]:
  """Turns the first SIGINT or SIGTERM into a question; a second one stops."""
  if threading.current_thread() is not threading.main_thread():
    yield lambda: False
    return
  seen, before = [], {}

  def note(number, frame):
    if seen:
      raise KeyboardInterrupt
    seen.append(number)
    console.say('stopping after this step; once more stops at once')

  for number in (signal.SIGINT, signal.SIGTERM):
    before[number] = signal.signal(number, note)
  try:
    yield lambda: bool(seen)
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)
  # One that came when the question had been asked for the last time.
  if seen:
    signal.raise_signal(seen[0])
