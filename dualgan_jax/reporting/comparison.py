"""Compares runs, and seeds of the same config, in one page."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dualgan_jax.reporting import charts, page, report, summary
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
    warning=summary.warn_of_short_runs(
      [run.name for run in runs if summary.smoke_warning(run.results)]
    ),
  )
  path.write_text(text, encoding='utf-8')


def _list_run_rows(runs: Sequence[Run], score_name: str) -> list[list[str]]:
  """Lists the cells of the table of runs, its head first."""
  rows = [['run', 'verdict', 'student', 'teachers', 'parameters', 'experiment']]
  for run in runs:
    scores = [
      run.results['metrics'].get(model, {}).get(score_name)
      for model in ('compact', 'teachers')
    ]
    rows.append(
      [
        run.name,
        _name_verdict(run),
        *('–' if score is None else f'{score:.4f}' for score in scores),
        f'{_student(run).get("params", 0):,}',
        _name_experiment(run),
      ]
    )
  return rows


def _name_experiment(run: Run) -> str:
  """Names a run's experiment, with its objective if that is another one."""
  name, objective = (run.results[key] for key in ('experiment', 'objective'))
  return name if objective == 'default' else f'{name}, {objective}'


def _name_verdict(run: Run) -> str:
  """Names a run's verdict; a run that was too short has none."""
  if summary.smoke_warning(run.results):
    return 'too short'
  return (run.results.get('diagnosis') or {}).get('verdict', '–')


def _list_group_rows(runs: Sequence[Run], score_name: str) -> list[list[str]]:
  """Lists the cells of the table of configs with several seeds, its head first.

  Runs are of one config if they differ in their seeds only, in whatever folders
  they lie. Those without the score are left out.
  """
  groups: dict[str, list[Run]] = {}
  for run in runs:
    if _student(run).get(score_name) is None:
      continue
    config = {**run.results['config'], 'seed': None, 'student_seed': None}
    key = json.dumps([run.results['experiment'], config], sort_keys=True)
    members = groups.setdefault(key, [])
    # A copy of a run is no second sample.
    if not any(_is_copy(run, member) for member in members):
      members.append(run)
  rows = [['config', page.SCORE_NAMES[score_name], 'seeds']]
  for members in groups.values():
    if len(members) > 1:
      scores = [_student(run).get(score_name) for run in members]
      seeds = ' '.join(str(run.results['seed']) for run in members)
      folders = {run.group for run in members}
      is_one_folder = len(folders) == 1
      name = folders.pop() if is_one_folder else _name_experiment(members[0])
      rows.append([name, mean_and_std(scores), seeds])
  return rows


def _is_copy(run: Run, other: Run) -> bool:
  """Returns whether two runs of a config are the same one."""
  names = ('config', 'metrics')
  return all(run.results[name] == other.results[name] for name in names)


def _find_common_score(runs: Sequence[Run]) -> str:
  """Finds the score of all runs that were measured on real images.

  Returns:
    The agreement if no run was, or if they have no score in common.
  """
  names = ('top1', 'mAP')
  measured_runs = [
    run
    for run in runs
    if any(_student(run).get(name) is not None for name in names)
  ]
  for name in names:
    if measured_runs and all(
      _student(run).get(name) is not None for run in measured_runs
    ):
      return name
  return 'agreement'


def _student(run: Run) -> Mapping[str, Any]:
  """Returns the scores of a run's compact student."""
  return run.results['metrics'].get('compact', {})
