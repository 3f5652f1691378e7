"""Compares runs, and seeds of the same config, in one page."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dualgan_jax.reporting import charts, page, report
from dualgan_jax.reporting.spread import mean_and_std

NAME = 'comparison.html'


class Run(NamedTuple):
  """A finished run.

  Attributes:
    group: name that the seeds of one config share.
    results: content of its `results.json`.
  """

  group: str
  results: Mapping[str, Any]

  @property
  def name(self) -> str:
    """Name of the run: its group and its seed."""
    return f'{self.group}, seed {self.results["seed"]}'


def write(path: pathlib.Path, runs: Sequence[Run]) -> None:
  """Writes a page with a chart and a table of runs.

  Args:
    path: path of the HTML file; it needs no other file.
    runs: at least one.
  """
  score_name = _find_common_score(runs)
  text = report.load_templates()['comparison.html'].render(
    title='1 run' if len(runs) == 1 else f'{len(runs)} runs',
    score_name=page.SCORE_NAMES[score_name],
    chart=charts.interval_chart(
      [
        charts.IntervalRow(
          run.name,
          _student(run)[score_name],
          run.results.get('intervals', {}).get('compact', {}).get(score_name),
        )
        for run in runs
        if _student(run).get(score_name) is not None
      ]
    ),
    run_rows=_list_run_rows(runs, score_name),
    group_rows=_list_group_rows(runs, score_name),
  )
  path.write_text(text, encoding='utf-8')


def _list_run_rows(runs: Sequence[Run], score_name: str) -> list[list[str]]:
  """Lists the cells of the table of runs, its head first."""
  head = ['run', 'student', 'teachers', 'verdict', 'parameters']
  rows = [[*head, 'experiment', 'objective']]
  for run in runs:
    scores = [
      run.results['metrics'].get(model, {}).get(score_name)
      for model in ('compact', 'teachers')
    ]
    rows.append(
      [
        run.name,
        *('–' if score is None else f'{score:.4f}' for score in scores),
        (run.results.get('diagnosis') or {}).get('verdict', '–'),
        f'{_student(run).get("params", 0):,}',
        run.results['experiment'],
        run.results['objective'],
      ]
    )
  return rows


def _list_group_rows(runs: Sequence[Run], score_name: str) -> list[list[str]]:
  """Lists the cells of the table of groups of several seeds, its head first."""
  groups: dict[str, list[Run]] = {}
  for run in runs:
    groups.setdefault(run.group, []).append(run)
  rows = [['config', page.SCORE_NAMES[score_name], 'seeds']]
  for group, members in groups.items():
    if len(members) > 1:
      scores = [_student(run).get(score_name) for run in members]
      seeds = ' '.join(str(run.results['seed']) for run in members)
      rows.append([group, mean_and_std(scores), seeds])
  return rows


def _find_common_score(runs: Sequence[Run]) -> str:
  """Finds the score that all runs have; the agreement if there is none."""
  for name in ('top1', 'mAP'):
    if all(_student(run).get(name) is not None for run in runs):
      return name
  return 'agreement'


def _student(run: Run) -> Mapping[str, Any]:
  """Returns the scores of a run's compact student."""
  return run.results['metrics'].get('compact', {})
