"""Keeps results and writes the tables of all pages from what is kept.

    python -m experiments.tabulate [WORKDIR ...]

copies the `results.json` of each WORKDIR under `experiments/results/`, then
writes every table in README.md, docs/results.md and `experiments/notes/` anew
from the files there.
"""

from dualgan_jax.cli import signals

if __name__ == '__main__':
  signals.exit_on_signals('stopped')  # also while modules are imported

import argparse
import json
import pathlib
import re
import sys
from collections.abc import Sequence

from dualgan_jax import display
from dualgan_jax.reporting import report
from dualgan_jax.reporting.spread import mean_and_std

_ROOT = pathlib.Path(__file__).parents[1]
KEPT = _ROOT / 'experiments' / 'results'
PAGES = (_ROOT / 'README.md', _ROOT / 'docs' / 'results.md')
# How the values of each config were chosen.
NOTES = tuple(sorted((_ROOT / 'experiments' / 'notes').glob('*.md')))
# The training that no data is needed for.
_DATA_FREE = ('generator', 'dual', 'targetnet', 'refine')
# What a TargetNet is called in the rows of an objective other than the default.
_STUDENTS = ('compact', 'branched')
# Columns of the summary: what a model is called there, and in `results.json`.
_SUMMARY = {
  'teachers together': 'teachers',
  'compact': 'compact',
  'before refinement': 'compact_before_refine',
  'branched': 'branched',
  'noise': 'noise',
  'real data': 'real_data',
}


def _copy(run: dict) -> pathlib.Path:
  """Where a run is kept: `<experiment>/<objective>-seed<seed>.json`."""
  name = f'{run["objective"]}-seed{run["seed"]}.json'
  return KEPT / run['experiment'] / name


def refuse_unlike(workdirs: Sequence[pathlib.Path]) -> None:
  """Sees that the runs of each row will differ in their seed only.

  Fields that there were not yet when a kept run was made are not compared.

  Args:
    workdirs: of finished runs, whose results would be kept.

  Raises:
    SystemExit: one of them would share a row with a run of another config, or
      has no results.
  """
  given = {}
  for folder in workdirs:
    try:
      run = json.loads((folder / 'results.json').read_text(encoding='utf-8'))
    except (OSError, ValueError):
      sys.exit(
        f'{folder}: no results.json, or damaged; finish the run first, or '
        'delete it and start the run again.'
      )
    given[_copy(run)] = folder, run
  for folder, run in given.values():
    row = load(run['experiment']).get(run['objective'], [])
    row += [x for _, x in given.values() if _row(x) == _row(run)]
    own = run['config']
    # Of those with the same name, the given one takes the kept one's place.
    for other in {_copy(x): x for x in row}.values():
      unlike = [
        f'{k} ({other["config"][k]!r} with seed {other["seed"]}, {own[k]!r} '
        'here)'
        for k in sorted(own.keys() & other['config'].keys() - {'seed'})
        if own[k] != other['config'][k]
      ]
      if unlike:
        sys.exit(
          f'{folder}: {", ".join(unlike)}, but one row is for runs of one '
          'config; keep all its seeds with one command, or give this one a '
          'name of its own (--config.objective.name=NAME).'
        )


def _row(run):
  return run['experiment'], run['objective']


def keep(workdir: pathlib.Path) -> pathlib.Path:
  """Copies a run's `results.json` to where results are kept.

  Args:
    workdir: of a finished run.

  Returns:
    The copy: `experiments/results/<experiment>/<objective>-seed<seed>.json`.
  """
  text = (workdir / 'results.json').read_text(encoding='utf-8')
  copy = _copy(json.loads(text))
  copy.parent.mkdir(parents=True, exist_ok=True)
  if copy.exists() and copy.read_text(encoding='utf-8') != text:
    print(f'{copy.relative_to(KEPT)}: another run stood there, see git diff')
  copy.write_text(text, encoding='utf-8')
  return copy


def load(experiment: str) -> dict[str, list[dict]]:
  """The kept results of an experiment by objective, the default first."""
  runs = [
    json.loads(path.read_text(encoding='utf-8'))
    for path in sorted((KEPT / experiment).glob('*.json'))
  ]
  names = sorted(
    {r['objective'] for r in runs}, key=lambda x: (x != 'default', x)
  )
  return {name: [r for r in runs if r['objective'] == name] for name in names}


def table(experiment: str) -> str:
  """One experiment's results as Markdown: a row per model, and a summary."""
  groups = load(experiment)
  rows = [
    ['model', *report.COLUMNS, 'parameters', 'FLOPs'],
    ['---', *['---:'] * (len(report.COLUMNS) + 2)],
  ]
  notes = []
  for objective, runs in groups.items():
    names = runs[0]['metrics']
    # Of other objectives, teachers are the same, and baselines of no interest.
    students = [x for x in _STUDENTS if x in names]
    for name in names if objective == 'default' else students:
      own = [r['metrics'][name] for r in runs]
      wholes = [r['metrics']['teachers'] for r in runs]
      label = name
      if objective != 'default':
        oracle = ', oracle weights' if runs[0]['oracle'] else ''
        label = f'{name}, `{objective}` objective{oracle}'
      rows.append(
        [
          label,
          *[mean_and_std([row[key] for row in own]) for key in report.COLUMNS],
          *[
            _range([x[k] / y[k] for x, y in zip(own, wholes, strict=True)])
            for k in ('params', 'flops')
          ],
        ]
      )
    seconds = [sum(_seconds(r)) for r in runs]
    seeds = ', '.join(str(r['seed']) for r in runs)
    notes.append(
      f'`{objective}`: seeds {seeds}; {" + ".join(_DATA_FREE)} took '
      f'{mean_and_std(seconds, digits=0)} s.'
    )
    share = 'right_world'
    if share in runs[0]['metrics']['compact']:
      shares = [
        f'{name} {mean_and_std([r["metrics"][name][share] for r in runs])}'
        for name in ('teachers', 'compact')
      ]
      notes.append(
        f'`{objective}`: share of real images whose most probable label is of '
        f'their own data set: {", ".join(shares)}.'
      )
  return '\n'.join([display.align(rows), '', *notes])


def summary(experiments: Sequence[str]) -> str:
  """One row per experiment and objective: top-1, or mAP if multi-label."""
  rows = [
    ['experiment', 'measure', *_SUMMARY, 'minutes', 'seeds'],
    ['---', *['---:'] * (len(_SUMMARY) + 3)],
  ]
  for experiment in experiments:
    for objective, runs in load(experiment).items():
      oracle = ' (oracle weights)' if runs[0]['oracle'] else ''
      title = f'`{experiment}`'
      if objective != 'default':
        title += f', `{objective}`{oracle}'
      first = runs[0]['metrics']
      key = 'mAP' if first['teachers']['top1'] is None else 'top1'
      scores = [
        mean_and_std([r['metrics'][model][key] for r in runs], digits=3)
        if model in first
        else '–'
        for model in _SUMMARY.values()
      ]
      minutes = [sum(_seconds(r)) / 60 for r in runs]
      rows.append(
        [
          title,
          {'top1': 'top-1', 'mAP': 'mAP'}[key],
          *scores,
          mean_and_std(minutes, digits=0),
          str(len(runs)),
        ]
      )
  return display.align(rows)


def _seconds(run: dict) -> list[float]:
  return [run['seconds'].get(stage, 0.0) for stage in _DATA_FREE]


def _range(shares: Sequence[float]) -> str:
  """A share in percent; the least and the largest where runs differ."""
  least, largest = (f'{x(shares):.0%}' for x in (min, max))
  return least if least == largest else f'{least[:-1]}–{largest}'


def rewritten(page: str) -> str:
  """A page with every table made anew.

  Tables stand between `<!-- results: EXPERIMENT -->`, or `<!-- summary:
  EXPERIMENT ... -->`, and `<!-- end -->`.
  """

  def fill(match):
    start, kind, names, end = match.groups()
    made = table(names) if kind == 'results' else summary(names.split())
    return f'{start}{made}\n{end}'

  return re.sub(
    r'(<!-- (results|summary): ([\w. -]+) -->\n).*?(<!-- end -->)',
    fill,
    page,
    flags=re.DOTALL,
  )


def main(workdirs: Sequence[str]) -> None:
  """Keeps the results of `workdirs`, then rewrites the pages."""
  folders = [pathlib.Path(x) for x in workdirs]
  refuse_unlike(folders)
  for folder in folders:
    print(keep(folder).relative_to(_ROOT))
  for page in (*PAGES, *NOTES):
    text = rewritten(page.read_text(encoding='utf-8'))
    page.write_text(text, encoding='utf-8')


if __name__ == '__main__':
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('workdirs', metavar='WORKDIR', nargs='*')
  main(parser.parse_args().workdirs)
