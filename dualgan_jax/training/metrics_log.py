"""A stage's metrics on disk: JSON lines, and events for TensorBoard.

Of several processes only the first writes.
"""

import json
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from dualgan_jax.training import parallel
from dualgan_jax.training.event_file import EventFile

# Takes a phase's name, the steps done, and the metrics by name.
OnMetrics = Callable[[str, int, dict[str, float | np.ndarray]], None]


class CallbackError(Exception):
  """Carries what a user's `on_metrics` has raised, for `run` to raise."""

  def __init__(self, failure: Exception):
    super().__init__(str(failure))
    self.failure = failure


class MetricsLog:
  """One stage's metrics: JSON lines, TensorBoard events, and who else listens.

  Attributes:
    failure: what `on_metrics` has raised, after which it is not called again.
  """

  def __init__(self, folder: pathlib.Path, on_metrics: OnMetrics | None = None):
    """Appends to what `folder` holds.

    Args:
      folder: the stage's.
      on_metrics: called with each row, too.
    """
    self._lines, self._events = None, {}
    self._on_metrics, self.failure = on_metrics, None
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
      self._events[phase] = EventFile(self._folder, phase, first_step=step)
    self._events[phase].write(step, _scalars(row, names))
    if self._on_metrics is None or self.failure is not None:
      return
    arrays = {k: np.asarray(v) for k, v in metrics.items()}
    shown = {k: x if x.ndim else x.item() for k, x in arrays.items()}
    try:
      self._on_metrics(phase, step, shown)
    except Exception as e:  # whatever the user's code may raise
      self.failure = e

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
  for line in path.read_bytes().splitlines() if path.exists() else []:
    # A kill cuts a line short, and a damaged disk leaves anything.
    try:
      row = json.loads(line)
      phase_rows = rows.setdefault(str(row['phase']), {})
      phase_rows[int(row['step'])] = row
    except (ValueError, TypeError, KeyError, RecursionError):
      continue
  return {phase: [x[s] for s in sorted(x)] for phase, x in rows.items()}


def _scalars(
  row: Mapping[str, float | list[float]], names: Sequence[str]
) -> Iterator[tuple[str, float]]:
  """Gives a row's scalars by tag: of a vector, one per name."""
  for key, value in row.items():
    if isinstance(value, list):
      yield from zip((f'{key}/{name}' for name in names), value, strict=True)
    else:
      yield key, value
