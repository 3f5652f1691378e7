"""Where numbers go while something trains: files, TensorBoard, the terminal.

Of several processes only the first writes.
"""

import json
import pathlib
import sys
import time
from collections.abc import Mapping, Sequence

import numpy as np
import tensorboardX
import tqdm

from dualgan_jax import parallel

# Seconds between two lines where the output is no terminal.
_QUIET = 10


class MetricsLog:
  """One stage's metrics: JSON lines and TensorBoard events."""

  def __init__(self, folder: pathlib.Path):
    """Appends to what `folder` holds."""
    self._lines, self._events = None, {}
    if not parallel.is_first():
      return
    folder.mkdir(parents=True, exist_ok=True)
    self._folder = folder
    path = folder / 'metrics.jsonl'
    # A kill may have cut the last line short; a new row starts a new one.
    cut = path.exists() and not path.read_bytes().endswith(b'\n')
    self._lines = path.open('a', buffering=1)
    if cut:
      self._lines.write('\n')

  def write(
    self,
    phase: str,
    step: int,
    metrics: Mapping[str, np.ndarray],
    names: Sequence[str] = (),
  ) -> None:
    """Writes one row.

    Args:
      phase: its name.
      step: steps done.
      metrics: scalars, and vectors with one entry per name.
      names: of the vectors' entries.
    """
    if self._lines is None:
      return
    row = {k: np.asarray(v).tolist() for k, v in metrics.items()}
    self._lines.write(json.dumps({'phase': phase, 'step': step, **row}) + '\n')
    if phase not in self._events:
      # A row that an interrupted run wrote beyond its checkpoint is dropped.
      self._events[phase] = tensorboardX.SummaryWriter(
        str(self._folder / 'tensorboard' / phase), purge_step=step
      )
    for key, value in row.items():
      pairs = (
        zip((f'{key}/{n}' for n in names), value, strict=True)
        if isinstance(value, list)
        else [(key, value)]
      )
      for tag, scalar in pairs:
        self._events[phase].add_scalar(tag, scalar, step)

  def close(self) -> None:
    """Closes the files."""
    if self._lines is not None:
      self._lines.close()
    for events in self._events.values():
      events.close()


def read_metrics(folder: pathlib.Path) -> dict[str, list[dict]]:
  """The rows of a stage by phase, in the order of their steps.

  A step that was done twice, after an interruption, counts as it was last.
  """
  path = folder / 'metrics.jsonl'
  rows = {}
  for line in path.read_text().splitlines() if path.exists() else []:
    try:
      row = json.loads(line)
    except json.JSONDecodeError:  # a line cut short by a kill
      continue
    rows.setdefault(row['phase'], {})[row['step']] = row
  return {p: [own[s] for s in sorted(own)] for p, own in rows.items()}


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
  """One line to the user, on stderr, past any progress bar."""
  if parallel.is_first():
    tqdm.tqdm.write(line, file=sys.stderr)
