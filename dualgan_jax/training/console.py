"""Output to the terminal while something trains: lines and a progress bar.

Of several processes only the first one prints.
"""

import sys
import time

import tqdm

from dualgan_jax.display import printable
from dualgan_jax.training import parallel

# Seconds between two lines where the output is no terminal.
_LINE_INTERVAL = 10


class Progress:
  """Shows how far a phase is: a bar on a terminal, else a line now and then."""

  def __init__(self, phase_name: str, first_step: int, num_steps: int):
    """Starts the clock, and draws the bar.

    Args:
      phase_name: stands before the bar and in each line.
      first_step: steps done before this process resumed the phase.
      num_steps: steps of the whole phase.
    """
    self._phase_name = phase_name
    self._first_step, self._num_steps = first_step, num_steps
    self._start_time = self._last_line_time = time.monotonic()
    self._bar = None
    if sys.stderr.isatty() and parallel.is_first():
      self._bar = tqdm.tqdm(
        total=num_steps, initial=first_step, desc=phase_name, unit='step'
      )

  def show(self, step: int, loss: float | None) -> None:
    """Moves the bar, or prints a line if the last one is some time ago.

    Args:
      step: number of steps done.
      loss: the latest loss; None if the phase has none.
    """
    if self._bar is not None:
      self._bar.update(step - self._bar.n)
      if loss is not None:
        self._bar.set_postfix(loss=f'{loss:.4f}', refresh=False)
      return
    now = time.monotonic()
    # The last step always gets its line.
    if now - self._last_line_time < _LINE_INTERVAL and step < self._num_steps:
      return
    self._last_line_time = now
    elapsed = now - self._start_time
    # Steps before a resume took no time of this process.
    seconds_per_step = elapsed / max(step - self._first_step, 1)
    remaining = seconds_per_step * (self._num_steps - step)
    loss_text = '' if loss is None else f', loss {loss:.4f}'
    say(
      f'{self._phase_name}: step {step} of {self._num_steps}{loss_text}, '
      f'{elapsed:.0f} s, {remaining:.0f} s left'
    )

  def close(self) -> None:
    """Ends the bar."""
    if self._bar is not None:
      self._bar.close()


def say(line: str) -> None:
  """Prints one line for the user, on stderr, past any progress bar.

  Args:
    line: any text; control characters in it are escaped.
  """
  if parallel.is_first():
    # tqdm clears its bar first, and draws it again below the line.
    tqdm.tqdm.write(printable(line), file=sys.stderr)
