"""Progress bars: one for terminals, and one for notebooks."""

import html
import sys
import time
from typing import Any, Protocol

import rich.console
import rich.progress
import rich.table
import rich.text

from dualgan_jax.display import printable

_REFRESHES_PER_SECOND = 4


class Bar(Protocol):
  """Shows how many steps are done."""

  def update(self, step: int, status: str) -> None:
    """Moves the bar.

    Args:
      step: number of steps done.
      status: stands behind the bar.
    """

  def stop(self) -> None:
    """Ends the bar, which stays visible."""


class TerminalBar:
  """A bar that fits into 80 columns of a terminal."""

  def __init__(
    self, terminal: rich.console.Console, phase_name: str, num_steps: int
  ):
    """Makes a bar that is not drawn yet.

    Args:
      terminal: draws it.
      phase_name: stands before the bar.
      num_steps: steps of the whole phase.
    """
    # Only the bar gives way where the line is short.
    whole, rest = rich.table.Column(no_wrap=True), rich.table.Column(ratio=1)
    self._progress = rich.progress.Progress(
      rich.progress.TextColumn(
        '{task.description}', markup=False, table_column=whole
      ),
      rich.progress.BarColumn(bar_width=None, table_column=rest),
      rich.progress.MofNCompleteColumn(table_column=whole),
      _Status(table_column=whole),
      console=terminal,
      expand=True,
      refresh_per_second=_REFRESHES_PER_SECOND,
      # Lines that other code prints are not to be wrapped.
      redirect_stdout=False,
      redirect_stderr=False,
    )
    self._task = self._progress.add_task(
      printable(phase_name), total=num_steps, status=''
    )

  def update(self, step: int, status: str) -> None:
    """Moves the bar, as `Bar` has it."""
    self._progress.update(self._task, completed=step, status=status)
    self._progress.start()

  def stop(self) -> None:
    """Ends the bar, which stays on the screen."""
    self._progress.stop()


class NotebookBar:
  """A bar in a notebook: one output, replaced by the next.

  A notebook that is kept, or run without a browser, holds the last one only.
  """

  def __init__(self, phase_name: str, num_steps: int):
    """Makes a bar that is not drawn yet.

    Args:
      phase_name: stands before the bar.
      num_steps: steps of the whole phase.
    """
    self._phase_name, self._num_steps = printable(phase_name), num_steps
    self._state = (0, '')
    self._draw_time = -float('inf')
    self._output: Any = None

  def update(self, step: int, status: str) -> None:
    """Moves the bar, as `Bar` has it."""
    self._state = step, status
    if time.monotonic() - self._draw_time >= 1 / _REFRESHES_PER_SECOND:
      self._draw()

  def stop(self) -> None:
    """Ends the bar, which stays in the notebook."""
    self._draw()

  def _draw(self) -> None:
    """Shows the latest state in the place of the one before."""
    from IPython import display  # every notebook has it

    step, status = self._state
    text = f'{step}/{self._num_steps} {status}'
    progress_html = (
      f'<progress value="{step}" max="{self._num_steps}"></progress>'
    )
    data = {
      'text/plain': f'{self._phase_name} {text}',
      'text/html': f'<pre style="margin: 0">{html.escape(self._phase_name)} '
      f'{progress_html} {html.escape(text)}</pre>',
    }
    if self._output is None:
      self._output = display.display(data, raw=True, display_id=True)
    else:
      self._output.update(data, raw=True)
    self._draw_time = time.monotonic()


class _Status(rich.progress.ProgressColumn):
  """Shows what the task's field `status` says."""

  def render(self, task: rich.progress.Task) -> rich.text.Text:
    """Returns the text of the column."""
    return rich.text.Text(task.fields['status'])


def is_in_notebook() -> bool:
  """Returns whether a kernel runs this program, as Jupyter's does."""
  ipython = sys.modules.get('IPython')
  return hasattr(ipython and ipython.get_ipython(), 'kernel')
