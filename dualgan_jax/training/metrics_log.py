"""A stage's metrics on disk: JSON lines, CSV, and events for TensorBoard.

Of several processes only the first writes.
"""

import csv
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from dualgan_jax.training import parallel
from dualgan_jax.training.event_file import EventFile

# Folder of a stage with what its generator made, a file per checkpoint.
PICTURES = 'pictures'
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

  def __init__(
    self, stage_folder: pathlib.Path, on_metrics: OnMetrics | None = None
  ):
    """Opens the stage's files; what they hold stays.

    Args:
      stage_folder: the stage's.
      on_metrics: called with each row, too.
    """
    self._json_lines, self._event_files = None, {}
    self._on_metrics, self.failure = on_metrics, None
    if not parallel.is_first():
      return
    stage_folder.mkdir(parents=True, exist_ok=True)
    self._stage_folder = stage_folder
    path = stage_folder / 'metrics.jsonl'
    # A kill may have cut the last line short; a new row starts a new one.
    is_cut_short = path.exists() and not path.read_bytes().endswith(b'\n')
    # Buffered by lines, so that a kill loses at most one.
    self._json_lines = path.open('a', buffering=1)
    if is_cut_short:
      self._json_lines.write('\n')

  def write(
    self,
    phase_name: str,
    step: int,
    metrics: Mapping[str, np.ndarray],
    label_names: Sequence[str] = (),
  ) -> None:
    """Writes one row.

    Args:
      phase_name: like 'dual/block_1'.
      step: number of steps done.
      metrics: scalars, and vectors [L] with one entry per label.
      label_names: L names of the vectors' entries.
    """
    if self._json_lines is None:
      return
    metric_values = {
      name: np.asarray(value).tolist() for name, value in metrics.items()
    }
    row = {'phase': phase_name, 'step': step, **metric_values}
    self._json_lines.write(json.dumps(row) + '\n')
    scalars = _scalars_by_tag(metric_values, label_names)
    self._open_event_file(phase_name, step).write(step, scalars)
    if self._on_metrics is None or self.failure is not None:
      return
    arrays = {name: np.asarray(value) for name, value in metrics.items()}
    shown = {
      name: array if array.ndim else array.item()
      for name, array in arrays.items()
    }
    try:
      self._on_metrics(phase_name, step, shown)
    except Exception as error:  # whatever the user's code may raise
      self.failure = error

  def write_image(self, phase_name: str, step: int, image: np.ndarray) -> None:
    """Writes a picture, as a file in `pictures` and for TensorBoard.

    Args:
      phase_name: like 'generator/train'.
      step: number of steps done.
      image: uint8 [height, width, 1 or 3].
    """
    if self._json_lines is None:
      return
    folder = self._stage_folder / PICTURES
    folder.mkdir(exist_ok=True)
    pixels = image[..., 0] if image.shape[-1] == 1 else image
    # The only phase of a stage has its name.
    part_name = phase_name.partition('/')[2] or 'train'
    Image.fromarray(pixels).save(folder / f'{part_name}-{step}.png')
    self._open_event_file(phase_name, step).write_image(
      step, 'generated', image
    )

  def write_hyperparameters(
    self, fields: Mapping[str, Any], scores: Mapping[str, float]
  ) -> None:
    """Writes the config of a run and its final scores for TensorBoard.

    Args:
      fields: by name, the fields of the config.
      scores: by name, such as 'compact/top1'.
    """
    if self._json_lines is not None:
      self._open_event_file('results', 0).write_hyperparameters(fields, scores)

  def _open_event_file(self, phase_name: str, step: int) -> EventFile:
    """Opens a phase's events, when it is known at which step it resumes."""
    if phase_name not in self._event_files:
      self._event_files[phase_name] = EventFile(
        self._stage_folder, phase_name, first_step=step
      )
    return self._event_files[phase_name]

  def close(self) -> None:
    """Closes the files."""
    if self._json_lines is not None:
      self._json_lines.close()
    for event_file in self._event_files.values():
      event_file.close()


def read_metrics(stage_folder: pathlib.Path) -> dict[str, list[dict]]:
  """Reads the rows of a stage, by phase and in the order of their steps.

  Of a step that was done twice, after an interruption, the last row counts.
  """
  # By step, so that a later row of the same step replaces the earlier one.
  path = stage_folder / 'metrics.jsonl'
  rows_by_phase = {}
  for line in path.read_bytes().splitlines() if path.exists() else []:
    # A kill cuts a line short, and a damaged disk leaves anything.
    try:
      row = json.loads(line)
      rows_by_step = rows_by_phase.setdefault(str(row['phase']), {})
      rows_by_step[int(row['step'])] = row
    except (ValueError, TypeError, KeyError, RecursionError):
      continue
  return {
    phase_name: [rows_by_step[step] for step in sorted(rows_by_step)]
    for phase_name, rows_by_step in rows_by_phase.items()
  }


def write_csv(stage_folder: pathlib.Path) -> None:
  """Writes the scalars of a stage into `metrics.csv`, for spreadsheets.

  A row per phase and step; a metric that a phase does not have is empty.
  Vectors stand in `metrics.jsonl` only.

  Args:
    stage_folder: the stage's, which holds its `metrics.jsonl`.
  """
  rows = [row for rows in read_metrics(stage_folder).values() for row in rows]
  # A dict, unlike a set, keeps the order in which metrics were written.
  columns = dict.fromkeys(
    name
    for row in rows
    for name, value in row.items()
    if not isinstance(value, list)
  )
  if not rows:
    return
  with (stage_folder / 'metrics.csv').open('w', newline='') as file:
    writer = csv.DictWriter(file, columns, extrasaction='ignore')
    writer.writeheader()
    writer.writerows(rows)


def _scalars_by_tag(
  metric_values: Mapping[str, float | list[float]], label_names: Sequence[str]
) -> Iterator[tuple[str, float]]:
  """Yields a row's scalars with their tags: of a vector, one per label."""
  for metric_name, value in metric_values.items():
    if isinstance(value, list):
      tags = (f'{metric_name}/{label_name}' for label_name in label_names)
      yield from zip(tags, value, strict=True)
    else:
      yield metric_name, value
