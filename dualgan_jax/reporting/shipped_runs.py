"""Figures of runs whose accuracy on real images is known, to compare with.

`shipped_runs.json` holds them. `python -m experiments.tabulate` writes it from
the stored results.
"""

import dataclasses
import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from dualgan_jax.reporting import diagnosis
from dualgan_jax.reporting.findings import Findings

FILE = pathlib.Path(__file__).with_name('shipped_runs.json')
# What is known of a run without data, and comparable between runs.
FIGURES = (
  'agreement',
  'blend_agreement',
  'sure_share',
  'mean_top_probability',
  'empty_share',
  'contradictions',
  'statistics_distance',
)


def summarise(stored_results: Iterable[Mapping[str, Any]]) -> list[dict]:
  """Lists what later runs are compared with.

  Args:
    stored_results: contents of `results.json`, of runs with real test images.

  Returns:
    By run: `score_share`, the share of the teachers' score that the student
    keeps; those of `FIGURES` that its version has measured; and `verdict`, what
    they say without real images. An earlier version may have measured less, so
    that less speaks against its students.
  """
  rows = []
  for results in stored_results:
    kept_scores = diagnosis.compute_kept_scores(
      results['metrics'], results['per_label']
    )
    # Results of earlier versions have no diagnosis.
    found = {
      'agreement': results['metrics']['compact'].get('agreement'),
      **(results.get('diagnosis') or {}),
    }
    figures = {
      name: round(found[name], 4)
      for name in FIGURES
      if found.get(name) is not None
    }
    if kept_scores and figures:
      row = {'score_share': round(kept_scores.score, 4), **figures}
      if results.get('diagnosis'):
        row['verdict'], _ = diagnosis.judge(_read_findings(found))
      rows.append(row)
  return rows


def describe_odds() -> str:
  """Describes what became of shipped runs that are usable without real images.

  Returns:
    A sentence without a full stop; '' if there is no such run.
  """
  shares = [
    row['score_share']
    for row in json.loads(FILE.read_text(encoding='utf-8'))
    if row.get('verdict') == diagnosis.USABLE
  ]
  if not shares:
    return ''
  num_good = sum(share >= diagnosis.MIN_KEPT for share in shares)
  return (
    f'of {len(shares)} runs that come with this software and look as good, '
    f'{num_good} keep {diagnosis.MIN_KEPT:.0%} or more of their teachers’ '
    'score on real images'
  )


def compare() -> dict[str, dict[str, Any]]:
  """Computes the ranges of the figures over the shipped runs.

  Returns:
    By name of a figure, `good` and `poor`: the smallest and the largest value
    of the runs that keep 90 % or more of their teachers' score, and of the
    others, or None; and `num_good` and `num_poor`, their numbers. A figure
    that no shipped run has is left out.
  """
  rows = json.loads(FILE.read_text(encoding='utf-8'))
  ranges = {}
  for name in FIGURES:
    values: dict[str, list[float]] = {'good': [], 'poor': []}
    for row in rows:
      if name in row:
        is_good = row['score_share'] >= diagnosis.MIN_KEPT
        values['good' if is_good else 'poor'].append(row[name])
    if values['good'] or values['poor']:
      ranges[name] = {
        **{
          group: (min(members), max(members)) if members else None
          for group, members in values.items()
        },
        **{f'num_{group}': len(members) for group, members in values.items()},
      }
  return ranges


def _read_findings(entry: Mapping[str, Any]) -> Findings:
  """Reads findings from a stored diagnosis; later figures are None there."""
  names = [field.name for field in dataclasses.fields(Findings)]
  return Findings(**{name: entry.get(name) for name in names})
