"""Output to the terminal while something trains: lines and a progress bar.

Lines are records of Python's `logging`, each under the name of the module that
prints it, such as `dualgan_jax.experiment.run`. The logger `dualgan_jax` has a
handler that writes them to stderr, above the bar where there is one. Of several
processes only the first one prints.
"""

import logging
import sys
import time

import rich.console
import rich.progress
import rich.table
import rich.text

from dualgan_jax.display import format_seconds, printable
from dualgan_jax.training import parallel
from dualgan_jax.training.outlook import Outlook

_ROOT_NAME = 'dualgan_jax'
# Seconds between two lines where the output is no terminal.
_LINE_INTERVAL = 10
_REFRESHES_PER_SECOND = 4


class _Terminal(rich.console.Console):
  """A terminal that keeps its cursor, which a killed process cannot restore."""

  def show_cursor(self, show: bool = True) -> bool:
    """Leaves the cursor as it is."""
    return False


# It finds `sys.stderr`, and whether that is a terminal, whenever it prints.
_TERMINAL = _Terminal(stderr=True, force_jupyter=False)


class Progress:
  """Shows how far a phase is: a bar on a terminal, else a line now and then.

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
    self._bar = None
    if not num_steps:
      return
    if is_verbose() and _TERMINAL.is_terminal and parallel.is_first():
      self._bar = _make_bar()
      self._task = self._bar.add_task(
        printable(phase_name),
        total=num_steps,
        completed=first_step,
        status='compiling...',
      )
      self._bar.start()
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
        run_left and not is_done and f'run {run_left}',
        is_done and f'took {format_seconds(now - self._start_time)}',
      ]
      status = ', '.join(filter(None, status_parts))
      self._bar.update(self._task, completed=step, status=status)
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
      run_left and f'run about {run_left} left',
    ]
    say(', '.join(filter(None, line_parts)))

  def close(self) -> None:
    """Ends the bar, which stays on the screen."""
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


class _StderrHandler(logging.Handler):
  """Prints records on stderr, past any progress bar."""

  def emit(self, record: logging.LogRecord) -> None:
    """Prints a record as one line, whatever is in it."""
    if not parallel.is_first():
      return
    line = printable(self.format(record))
    # A pipe gets the line as it is.
    if _TERMINAL.is_terminal:
      # Broken between words only: a long path can still be copied.
      _TERMINAL.print(
        line, markup=False, highlight=False, overflow='ignore', crop=False
      )
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
  """Lets the package's records of level INFO and above reach stderr.

  A program that logs for itself takes the handler away, and has the records
  propagate.
  """
  logger = logging.getLogger(_ROOT_NAME)
  if logger.level == logging.NOTSET:
    logger.setLevel(logging.INFO)
  if not logger.handlers:
    logger.addHandler(_StderrHandler())
    # Else a handler of the root logger would print each line once more.
    logger.propagate = False


class _Status(rich.progress.ProgressColumn):
  """Shows what the task's field `status` says."""

  def render(self, task: rich.progress.Task) -> rich.text.Text:
    """Returns the text of the column."""
    return rich.text.Text(task.fields['status'])


def _make_bar() -> rich.progress.Progress:
  """Makes a bar that fits into 80 columns."""
  # Only the bar gives way where the line is short.
  whole, rest = rich.table.Column(no_wrap=True), rich.table.Column(ratio=1)
  return rich.progress.Progress(
    rich.progress.TextColumn(
      '{task.description}', markup=False, table_column=whole
    ),
    rich.progress.BarColumn(bar_width=None, table_column=rest),
    rich.progress.MofNCompleteColumn(table_column=whole),
    _Status(table_column=whole),
    console=_TERMINAL,
    expand=True,
    refresh_per_second=_REFRESHES_PER_SECOND,
    # Lines that other code prints are not to be wrapped.
    redirect_stdout=False,
    redirect_stderr=False,
  )


set_up_logging()
