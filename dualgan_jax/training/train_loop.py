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
from dualgan_jax.training.outlook import Outlook
from dualgan_jax.training.phase import Phase, TrainState

# It runs once: compiling it well takes longer than running it does.
_INIT_COMPILER_OPTIONS = {'xla_backend_optimization_level': 0}
# Pictures are drawn after these parts of a phase: images change most early.
_PICTURE_PARTS = (20, 5, 2)


def train(
  phase: Phase,
  key: chex.PRNGKey,
  devices: Sequence[jax.Device],
  checkpoints: Checkpoints,
  log: metrics_log.MetricsLog,
  *,
  log_every: int,
  save_every: int,
  save_minutes: float,
  steps_per_call: int = 0,
  outlook: Outlook | None = None,
) -> tuple[TrainState, float]:
  """Brings a phase to its end, from its newest checkpoint or from scratch.

  Args:
    phase: the training.
    key: the phase's PRNG key.
    devices: all that share a batch.
    checkpoints: of this phase.
    log: takes the metrics.
    log_every: steps between two rows of metrics.
    save_every: steps between two checkpoints; 0 for none by steps.
    save_minutes: minutes from a checkpoint to the next one, by the clock of the
      first process.
    steps_per_call: upper bound; 0 for the default of the devices' platform.
    outlook: knows how long what comes later takes, for the progress; None if
      nobody does.

  Returns:
    The last state, as NumPy arrays, and its training time in seconds, earlier
    runs included.

  Raises:
    TrainingError: the loss or a value of the state is not finite.
    InterruptedRun: SIGINT or SIGTERM came; the state is saved.
    CallbackError: the log's `on_metrics` raised something; the state is saved.
    UserError: there are checkpoints, and all of them are damaged.
  """
  # A finished phase is only read: neither its arrays nor its step are made.
  start_time = time.monotonic()
  steps_done, state, earlier_seconds = checkpoints.restore_newest(
    lambda: jax.eval_shape(phase.init, key)
  )
  if state is not None and steps_done >= phase.steps:
    return state, earlier_seconds
  if state is not None:
    console.say(f'{phase.name}: going on from step {steps_done}')

  save_times = _SaveTimes(save_every, save_minutes)

  def save(state, step):
    host_state = parallel.first_replica(state)
    elapsed = time.monotonic() - start_time
    checkpoints.save(step, host_state, earlier_seconds + elapsed)
    _write_picture(phase, step, host_state, log)
    save_times.restart()
    return host_state

  # One call does several steps, and each device holds a copy of everything.
  call, call_steps = _compile_call(phase, devices, steps_per_call, steps_done)
  with contextlib.closing(
    console.Progress(phase.name, steps_done, phase.steps, outlook)
  ) as progress:
    report = functools.partial(
      _report, phase, log, log_every, Watch(phase.teacher_labels), progress
    )
    frozen_arrays = parallel.replicate(phase.frozen(), devices)
    state = parallel.replicate(state or _first_state(phase, key), devices)
    pending_metrics = None
    with _catch_signals() as is_signalled:
      for step in range(steps_done + call_steps, phase.steps + 1, call_steps):
        state, metrics = call(frozen_arrays, state)
        if pending_metrics is None:  # the first call has compiled the step
          progress.start_clock(step)
        # Read one call late: the devices already work on the next.
        report(pending_metrics)
        pending_metrics = range(step - call_steps + 1, step + 1), metrics
        if step == phase.steps:
          break
        is_stopping, is_saving = parallel.any_process_each(
          [
            is_signalled() or log.failure is not None,
            save_times.is_due(step, call_steps),
          ]
        )
        if is_stopping:
          report(pending_metrics)
          save(state, step)
          raise _stopped(phase, step, log)
        if is_saving:
          save(state, step)
        elif _is_picture_due(phase, step, call_steps):
          _write_picture(phase, step, parallel.first_replica(state), log)
      report(pending_metrics)
      state = save(state, phase.steps)
      # The phase is done, but the run is not to begin another one.
      if parallel.any_process(is_signalled() or log.failure is not None):
        raise _stopped(phase, phase.steps, log)
  return state, earlier_seconds + time.monotonic() - start_time


class _SaveTimes:
  """Knows when the next checkpoint of a phase is due.

  The work that a kill costs is bounded in minutes: steps take milliseconds on
  one machine, and minutes on another.
  """

  def __init__(self, save_every: int, save_minutes: float):
    """Starts the clock; the arguments are those of `train`."""
    self._save_every, self._save_minutes = save_every, save_minutes
    self.restart()

  def restart(self) -> None:
    """Counts the minutes anew, from now on."""
    self._start_time = time.monotonic()

  def is_due(self, step: int, call_steps: int) -> bool:
    """Returns whether a checkpoint is due at the end of a call.

    Args:
      step: the last step that the call has done.
      call_steps: steps per call.
    """
    # The first end of a call at or after each multiple of `save_every`.
    if self._save_every and step % self._save_every < call_steps:
      return True
    # Clocks of hosts differ a little, and all have to save at the same step.
    elapsed_seconds = time.monotonic() - self._start_time
    return parallel.is_first() and elapsed_seconds >= 60 * self._save_minutes


def _compile_call(
  phase: Phase,
  devices: Sequence[jax.Device],
  steps_per_call: int,
  steps_done: int,
) -> tuple[Callable[[Any, Any], Any], int]:
  """Compiles what is called again and again; returns it and its steps."""
  platform = devices[0].platform
  call_steps = parallel.steps_per_call(
    steps_per_call, platform, phase.steps, steps_done
  )
  return _compile_steps(phase.step, call_steps, tuple(devices)), call_steps


def _first_state(phase: Phase, key: chex.PRNGKey) -> TrainState:
  """Compiles and runs the phase's `init`."""
  return _compile_init(phase.init)(key)


# Phases in a row that share a function share its program, too.
@functools.lru_cache(maxsize=1)
def _compile_init(init: Callable[..., TrainState]) -> Callable[..., TrainState]:
  """Compiles a phase's `init`."""
  return jax.jit(init, compiler_options=_INIT_COMPILER_OPTIONS)


@functools.lru_cache(maxsize=1)
def _compile_steps(
  step: Callable[[Any, Any], Any],
  call_steps: int,
  devices: tuple[jax.Device, ...],
) -> Callable[[Any, Any], Any]:
  """Compiles a call that does several of a phase's steps."""
  return parallel.compile_step(
    parallel.repeat(step, call_steps, devices[0].platform), devices
  )


def _is_picture_due(phase: Phase, step: int, call_steps: int) -> bool:
  """Returns whether a picture is due that no checkpoint brings.

  A short phase has no checkpoint but the last.

  Args:
    phase: what is trained.
    step: the last step that the call has done.
    call_steps: steps per call.
  """
  due_steps = [phase.steps // part for part in _PICTURE_PARTS]
  return phase.draw is not None and any(
    step - call_steps < due_step <= step for due_step in due_steps
  )


def _write_picture(
  phase: Phase, step: int, state: TrainState, log: metrics_log.MetricsLog
) -> None:
  """Writes the picture of an unreplicated state, if the phase draws any."""
  if phase.draw is not None and parallel.is_first():
    log.write_image(phase.name, step, phase.draw(state))


def _report(
  phase: Phase,
  log: metrics_log.MetricsLog,
  log_every: int,
  watch: Watch,
  progress: console.Progress,
  pending_metrics: tuple[range, Any] | None,
) -> None:
  """Reads the metrics of a call: shows the loss, logs rows, prints warnings.

  Args:
    phase: to which they belong.
    log: takes the rows.
    log_every: steps between two rows.
    watch: warns of an unhealthy generator.
    progress: shows the last loss.
    pending_metrics: the call's steps, and its replicated metrics
      [devices, steps, ...]; None before the first call.

  Raises:
    TrainingError: a loss is not finite.
  """
  if pending_metrics is None:
    return
  call_steps, metrics = pending_metrics
  loss = None
  if 'loss' in metrics:
    losses = parallel.first_replica(metrics['loss'])
    for step, loss in zip(call_steps, losses.tolist(), strict=True):
      if not np.isfinite(loss):
        raise TrainingError(
          f'{phase.name}: the loss is {loss} at step {step}. Lower the '
          'learning rate of this stage, which then begins anew; earlier stages '
          'stay as they are.'
        )
  progress.show(call_steps[-1], loss)
  for index, step in enumerate(call_steps):
    if step % log_every == 0 or step in (1, phase.steps):
      # Only here are all metrics fetched from the device.
      row = jax.tree.map(
        lambda metric, index=index: metric[index],
        parallel.first_replica(metrics),
      )
      log.write(phase.name, step, row, phase.label_names)
      for line in watch.look(step, row):
        console.warn(f'{phase.name}: {line}')


def _stopped(phase: Phase, step: int, log: metrics_log.MetricsLog) -> Exception:
  """Makes the exception for a phase that was stopped and saved at a step."""
  if log.failure is not None:
    return metrics_log.CallbackError(log.failure)
  return InterruptedRun(
    f'{phase.name}: stopped and saved at step {step} of {phase.steps}; the '
    'same command or call goes on from there.'
  )


@contextlib.contextmanager
def _catch_signals() -> Iterator[Callable[[], bool]]:
  """Holds back the first SIGINT or SIGTERM, so that the loop can save first.

  A second one raises KeyboardInterrupt at once.

  Yields:
    A function that returns whether a signal has come.
  """
  if threading.current_thread() is not threading.main_thread():
    # Python lets only the main thread handle signals.
    yield lambda: False
    return
  caught_signals, previous_handlers = [], {}

  def handle(signal_number, stack_frame):
    if caught_signals:
      raise KeyboardInterrupt
    caught_signals.append(signal_number)
    console.say('stopping after this step; once more stops at once')

  for signal_number in (signal.SIGINT, signal.SIGTERM):
    previous_handlers[signal_number] = signal.signal(signal_number, handle)
  try:
    yield lambda: bool(caught_signals)
  finally:
    for signal_number, previous_handler in previous_handlers.items():
      signal.signal(signal_number, previous_handler)
  # A signal that came after the loop had looked for the last time.
  if caught_signals:
    signal.raise_signal(caught_signals[0])
