"""Formats the tables that say how far verdicts and probabilities are right.

`experiments.tabulate` writes them from the stored results.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from dualgan_jax import display
from dualgan_jax.reporting import calibration, diagnosis
from dualgan_jax.reporting.spread import mean_and_std
from experiments.overview import Runs

_VERDICTS = (diagnosis.USABLE, diagnosis.DOUBTFUL, diagnosis.NOT_USABLE)
# By column, the share of the teachers' score that a student keeps: at least
# the first number, and less than the second.
_GOOD, _POOR = (
  f'{100 * share:.0f}'
  for share in (diagnosis.MIN_KEPT, diagnosis.MIN_KEPT_FATAL)
)
_OUTCOMES = {
  f'keep {_GOOD} % or more': (diagnosis.MIN_KEPT, float('inf')),
  f'keep {_POOR} to {_GOOD} %': (diagnosis.MIN_KEPT_FATAL, diagnosis.MIN_KEPT),
  f'keep less than {_POOR} %': (0.0, diagnosis.MIN_KEPT_FATAL),
}


def format_verdicts(shipped_rows: Iterable[Mapping[str, Any]]) -> str:
  """Formats what became of the stored runs, by their verdict without data.

  Args:
    shipped_rows: of `shipped_runs.summarise`.

  Returns:
    A Markdown table with numbers of runs.
  """
  runs = [row for row in shipped_rows if 'verdict' in row]
  table_rows = [
    ['verdict without real images', *_OUTCOMES],
    ['---', *['---:'] * len(_OUTCOMES)],
  ]
  for verdict in _VERDICTS:
    shares = [run['score_share'] for run in runs if run['verdict'] == verdict]
    counts = [
      sum(least <= share < limit for share in shares)
      for least, limit in _OUTCOMES.values()
    ]
    table_rows.append([verdict, *map(str, counts)])
  return display.align(table_rows)


def format_calibration(
  experiments: Sequence[str], load_runs: Callable[[str], Runs]
) -> str:
  """Formats how sure students are of real images, and how often right.

  Args:
    experiments: names of experiments, in the order of their rows.
    load_runs: returns the runs of an experiment, by objective.

  Returns:
    A Markdown table, a row per experiment with results that have both.
  """
  table_rows = [
    [
      'experiment',
      'accuracy',
      'mean probability',
      'calibration error',
      'seeds',
    ],
    ['---', '---:', '---:', '---:', '---:'],
  ]
  for experiment in experiments:
    bins_of_runs = [
      run['calibration']
      for run in load_runs(experiment)['default']
      if any(one_bin['count'] for one_bin in run.get('calibration') or ())
    ]
    if bins_of_runs:
      columns = (
        [_mean(bins, 'accuracy') for bins in bins_of_runs],
        [_mean(bins, 'confidence') for bins in bins_of_runs],
        [calibration.calibration_error(bins) for bins in bins_of_runs],
      )
      table_rows.append(
        [
          f'`{experiment}`',
          *(mean_and_std(column, digits=3) for column in columns),
          str(len(bins_of_runs)),
        ]
      )
  return display.align(table_rows)


def _mean(bins: Sequence[Mapping[str, Any]], name: str) -> float:
  """Averages a number of bins over all of their answers."""
  total = sum(one_bin['count'] for one_bin in bins)
  return (
    sum(
      one_bin[name] * one_bin['count'] for one_bin in bins if one_bin['count']
    )
    / total
  )
