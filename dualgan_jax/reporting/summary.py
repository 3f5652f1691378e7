"""Formats what a run prints at its end: a short table, and where all is."""

import pathlib
import shlex
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from dualgan_jax.display import PAGE_WIDTH, align, printable
from dualgan_jax.reporting.scores import COLUMN_TITLES

# A generator of fewer steps has learned nothing yet.
_LEAST_STEPS = 100


def format_summary(results: Mapping[str, Any], folder: pathlib.Path) -> str:
  """Formats the results of a run for a terminal of 80 columns.

  Args:
    results: content of `results.json`.
    folder: the run's.

  Returns:
    A table with a row per model, a warning if the run was too short to have a
    meaning, and where student and report are.
  """
  lines = [format_table(results), '']
  if warning := smoke_warning(results):
    lines += [*textwrap.wrap(warning, PAGE_WIDTH), '']
  student_folder = shlex.quote(str(folder / 'student'))
  return '\n'.join(
    [
      *lines,
      printable(f'student: {folder / "student"}'),
      printable(f'use it:  dualgan predict {student_folder} IMAGE.png'),
      printable(f'report:  {folder / "report.html"}'),
    ]
  )


def smoke_warning(results: Mapping[str, Any]) -> str:
  """Warns of a run that was too short to have a meaning; else it is ''.

  Args:
    results: content of `results.json`.
  """
  # Without a stage of its own, the generator learns in `refine`.
  num_steps = max(
    results['config'].get(f'{stage}.steps', _LEAST_STEPS)
    for stage in ('generator', 'refine')
  )
  if num_steps >= _LEAST_STEPS:
    return ''
  return (
    f'The generator was trained for {num_steps} steps only: this run shows '
    'that all works, and its figures mean nothing.'
  )


def warn_of_short_runs(names: Sequence[str]) -> str:
  """Warns of some of several runs; if there are none, it is ''.

  Args:
    names: of the runs that `smoke_warning` warns of.
  """
  if not names:
    return ''
  return (
    f'Too short, their figures mean nothing: {", ".join(dict.fromkeys(names))}.'
  )


def format_table(results: Mapping[str, Any]) -> str:
  """Formats scores and costs of all models, in at most 80 columns.

  Args:
    results: content of `results.json`.

  Returns:
    A table of Markdown. Without real images, its only score is the agreement
    with the teachers. FLOPs are a share of those of all teachers together.
  """
  rows = results['metrics']
  total_flops = rows['teachers']['flops']
  # Images of several labels have no top-1 accuracy.
  scores = {
    COLUMN_TITLES[score]: score
    for score in ('top1', 'mAP')
    if any(row.get(score) is not None for row in rows.values())
  } or {'agreement': 'agreement'}
  header = ['model', *scores, 'parameters', 'FLOPs']
  cells = [header, ['---'] + ['---:'] * (len(header) - 1)]
  for name, row in rows.items():
    score_cells = [
      '–' if row.get(score) is None else f'{row[score]:.4f}'
      for score in scores.values()
    ]
    # Teachers of Python code may hide what they compute.
    flops = (
      f'{row["flops"] / total_flops:.0%}' if total_flops else str(row['flops'])
    )
    cells.append([printable(name), *score_cells, f'{row["params"]:,}', flops])
  too_wide = len(align(cells).partition('\n')[0]) - PAGE_WIDTH
  if too_wide > 0:
    name_width = max(len(row[0]) for row in cells) - too_wide
    for row in cells:
      if len(row[0]) > name_width:
        row[0] = f'{row[0][: max(name_width - 1, 0)]}…'
  return align(cells)
