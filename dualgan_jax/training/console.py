"""What is said and shown while something trains: lines, a progress bar.

Of several processes only the first speaks.
"""

import sys
import time

import tqdm

from dualgan_jax.display import printable
from dualgan_jax.training import parallel

# Seconds between two lines where the output is no terminal.
_QUIET = 10


class Progress:
  """Shows how far a phase is: a bar on a terminal, else a line now and then."""

  def __init__(self, name: str, done: int, steps: int):
    self._name, self._first, self._steps = name, done, steps
    self._began = self._spoke = time.monotonic()
    self._bar = None
    if sys.stderr.isatty() and parallel.is_first():
      self._bar = tqdm.tqdm(total=steps, initial=done, desc=name, unit='step')

  def show(self, step: int, loss: float | None) -> None:
    """Reports.

    Args:
      step: steps done.
      loss: the last one known.
    """
    if self._bar is not None:
      self._bar.update(step - self._bar.n)
      if loss is not None:
        self._bar.set_postfix(loss=f'{loss:.4f}', refresh=False)
      return
    now = time.monotonic()
    if now - self._spoke < _QUIET and step < self._steps:
      return
    self._spoke = now
    spent = now - self._began
    left = spent / max(step - self._first, 1) * (self._steps - step)
    loss_text = '' if loss is None else f', loss {loss:.4f}'
    say(
      f'{self._name}: step {step} of {self._steps}{loss_text}, {spent:.0f} s, '
      f'{left:.0f} s left'
    )

  def close(self) -> None:
    """Ends the bar."""
    if self._bar is not None:
      self._bar.close()


def say(line: str) -> None:
  """Says one line to the user, on stderr, past any progress bar.

  Args:
    line: any text; what a terminal would obey in it is escaped.
  """
  if parallel.is_first():
    tqdm.tqdm.write(printable(line), file=sys.stderr)
