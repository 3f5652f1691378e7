"""Output to the terminal while something trains: lines and a progress bar.

Lines are records of Python's `logging`, each under the name of the module that
prints it, such as `dualgan_jax.experiment.run`. The logger `dualgan_jax` has a
handler that writes them to stderr, above the bar where there is one, or to the
output of a notebook's cell. Of several processes only the first one prints.
"""

import logging
import sys
import time

import rich.console

from dualgan_jax.display import format_seconds, printable, wrap
from dualgan_jax.training import parallel, progress_bars
from dualgan_jax.training.outlook import Outlook

_ROOT_NAME = 'dualgan_jax'
# Seconds between two lines where the output is no terminal.
_LINE_INTERVAL = 10


class _Terminal(rich.console.Console):
  """A terminal that keeps its cursor, which a killed process cannot restore."""

  def show_cursor(self, show: bool = True) -> bool:
    """Leaves the cursor as it is."""
    return False


# It finds `sys.stderr`, and whether that is a terminal, whenever it prints.
_TERMINAL = _Terminal(stderr=True, force_jupyter=False)


class Progress:
  """Shows how far a phase is: a bar, or a line now and then in a pipe.

  Compiling takes no step, so the time left is that of the steps alone; until
  `start_clock` there is none.
  """

  def __init__(
    self,
    phase_name: str,
    first_step: int,
    num_steps: int,
    outlook: Outlook | None = None,
  ):
    """Shows that the phase compiles.

    Args:
      phase_name: stands before the bar and in each line.
      first_step: steps done before this process resumed the phase.
      num_steps: steps of the whole phase.
      outlook: knows what comes after the phase; None if nobody does.
    """
    self._phase_name, self._num_steps = phase_name, num_steps
    self._outlook = outlook
    self._start_time = self._last_line_time = time.monotonic()
    # Step and time from which the steps are timed.
    self._timed_from: tuple[int, float] | None = None
    self._bar: progress_bars.Bar | None = None
    if not num_steps:
      return
    if is_verbose() and parallel.is_first():
      self._bar = _make_bar(phase_name, num_steps)
    if self._bar is not None:
      self._bar.update(first_step, 'compiling...')
    elif first_step < num_steps:
      say(f'{phase_name}: compiling...')

  def start_clock(self, step: int) -> None:
    """Begins to time the steps, when all is compiled.

    Args:
      step: number of steps done.
    """
    now = time.monotonic()
    self._timed_from = step, now
    if self._outlook is not None:
      self._outlook.add_compilation(now - self._start_time)

  def show(self, step: int, loss: float | None) -> None:
    """Moves the bar, or prints a line if the last one is some time ago.

    Args:
      step: number of steps done.
      loss: the latest loss; None if the phase has none.
    """
    now = time.monotonic()
    phase_left, run_left = self._find_time_left(step, now)
    loss_text = '' if loss is None else f'loss {loss:.4f}'
    if self._bar is not None:
      is_done = step == self._num_steps
      status_parts = [
        loss_text,
        phase_left and f'{phase_left} left',
        run_left and not is_done and f'run {run_left} left',
        is_done and f'took {format_seconds(now - self._start_time)}',
      ]
      status = ', '.join(filter(None, status_parts))
      self._bar.update(step, status)
      return
    # The last step always gets its line.
    if now - self._last_line_time < _LINE_INTERVAL and step < self._num_steps:
      return
    self._last_line_time = now
    line_parts = [
      f'{self._phase_name}: step {step} of {self._num_steps}',
      loss_text,
      f'{format_seconds(now - self._start_time)} so far',
      phase_left and f'{phase_left} left',
      run_left and f'whole run {run_left} left',
    ]
    say(', '.join(filter(None, line_parts)))

  def close(self) -> None:
    """Ends the bar, which stays."""
    if self._bar is not None:
      self._bar.stop()

  def _find_time_left(self, step: int, now: float) -> tuple[str, str]:
    """Formats the time left of the phase and of the run; '' if unknown."""
    first_step, first_time = self._timed_from or (step, now)
    # Steps before a resume took no time of this process.
    if step <= first_step:
      return '', ''
    seconds_per_step = (now - first_time) / (step - first_step)
    phase_seconds = seconds_per_step * (self._num_steps - step)
    phase_left = format_seconds(phase_seconds) if step < self._num_steps else ''
    if self._outlook is None:
      return phase_left, ''
    self._outlook.add_phase(
      self._phase_name, seconds_per_step * self._num_steps
    )
    later_seconds = self._outlook.seconds_after(self._phase_name)
    # Nothing comes after the last phase, whose own time says all.
    if not later_seconds:
      return phase_left, ''
    return phase_left, format_seconds(phase_seconds + later_seconds)


class _ConsoleHandler(logging.Handler):
  """Prints records past any progress bar."""

  def emit(self, record: logging.LogRecord) -> None:
    """Prints a record as one line, whatever is in it."""
    if not parallel.is_first():
      return
    line = printable(self.format(record))
    # A notebook shows what is on stderr as an error.
    if progress_bars.is_in_notebook():
      print(line, flush=True)
    # A pipe gets the line as it is.
    elif _TERMINAL.is_terminal:
      lines = wrap(line, _TERMINAL.width)
      _TERMINAL.print(lines, markup=False, highlight=False, soft_wrap=True)
    else:
      print(line, file=sys.stderr, flush=True)


def say(line: str) -> None:
  """Logs one line for the user, under the name of the calling module.

  Args:
    line: any text; on stderr, control characters in it are escaped.
  """
  _log(logging.INFO, line)


def warn(line: str) -> None:
  """Logs one line that the user should not miss, also with `--quiet`.

  Args:
    line: any text; on stderr, control characters in it are escaped.
  """
  _log(logging.WARNING, line)


def _log(level: int, line: str) -> None:
  """Logs a line for the module that has called this module."""
  caller = sys._getframe(2).f_globals['__name__']
  # Code outside of the package has no handler there.
  is_ours = caller.partition('.')[0] == _ROOT_NAME
  logging.getLogger(caller if is_ours else _ROOT_NAME).log(
    level, line, stacklevel=3
  )


def is_verbose() -> bool:
  """Returns whether progress is shown: whether level INFO is logged."""
  return logging.getLogger(_ROOT_NAME).isEnabledFor(logging.INFO)


def set_up_logging() -> None:
  """Lets the package's records of level INFO and above reach the user.

  A program that logs for itself takes the handler away, and has the records
  propagate.
  """
  logger = logging.getLogger(_ROOT_NAME)
  if logger.level == logging.NOTSET:
    logger.setLevel(logging.INFO)
  if not logger.handlers:
    logger.addHandler(_ConsoleHandler())
    # Else a handler of the root logger would print each line once more.
    logger.propagate = False


def _make_bar(phase_name: str, num_steps: int) -> progress_bars.Bar | None:
  """Makes a bar where one can be drawn."""
  # First, since a kernel's variables make rich take a notebook for a terminal.
  if progress_bars.is_in_notebook():
    return progress_bars.NotebookBar(phase_name, num_steps)
  if _TERMINAL.is_terminal:
    return progress_bars.TerminalBar(_TERMINAL, phase_name, num_steps)
  return None


set_up_logging()
