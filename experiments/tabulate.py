"""Keeps results and writes README's tables from what is kept.

    python -m experiments.tabulate [WORKDIR ...]

copies the `results.json` of each WORKDIR under `experiments/results/`, then
writes every table in README anew from the files there.
"""

import json
import pathlib
import re
import statistics
import sys
from collections.abc import Sequence

from dualgan_jax import report

_ROOT = pathlib.Path(__file__).parents[1]
KEPT = _ROOT / 'experiments' / 'results'
README = _ROOT / 'README.md'
_SCORES = ('top1', 'mAP', 'f1_macro', 'f1_micro')
# The training that no data is needed for.
_DATA_FREE = ('generator', 'dual', 'targetnet')
# What a TargetNet is called in the rows of an objective other than the default.
_STUDENTS = ('compact', 'branched')


def keep(workdir: pathlib.Path) -> pathlib.Path:
  """Copies a run's `results.json` to where results are kept.

  Args:
    workdir: of a finished run.

  Returns:
    The copy: `experiments/results/<experiment>/<objective>-seed<seed>.json`.
  """
  text = (workdir / 'results.json').read_text()
  found = json.loads(text)
  name = f'{found["objective"]}-seed{found["seed"]}.json'
  copy = KEPT / found['experiment'] / name
  copy.parent.mkdir(parents=True, exist_ok=True)
  copy.write_text(text)
  return copy


def load(experiment: str) -> dict[str, list[dict]]:
  """The kept results of an experiment by objective, the default first."""
  runs = [
    json.loads(path.read_text())
    for path in sorted((KEPT / experiment).glob('*.json'))
  ]
  names = sorted({r['objective'] for r in runs}, key=lambda x: x != 'default')
  return {name: [r for r in runs if r['objective'] == name] for name in names}


def table(experiment: str) -> str:
  """One experiment's results as Markdown: a row per model, and a summary."""
  groups = load(experiment)
  rows = [
    ['model', *_SCORES, 'parameters', 'FLOPs'],
    ['---', *['---:'] * (len(_SCORES) + 2)],
  ]
  notes = []
  for objective, runs in groups.items():
    names = runs[0]['metrics']
    for name in names if objective == 'default' else _STUDENTS:
      own = [r['metrics'][name] for r in runs]
      whole = runs[0]['metrics']['teachers']
      label = name
      if objective != 'default':
        oracle = ', oracle weights' if runs[0]['oracle'] else ''
        label = f'{name}, `{objective}` objective{oracle}'
      rows.append(
        [
          label,
          *[mean_and_spread([row[key] for row in own]) for key in _SCORES],
          *[f'{own[0][k] / whole[k]:.0%}' for k in ('params', 'flops')],
        ]
      )
    seconds = [sum(r['seconds'][s] for s in _DATA_FREE) for r in runs]
    seeds = ', '.join(str(r['seed']) for r in runs)
    notes.append(
      f'`{objective}`: seeds {seeds}; {" + ".join(_DATA_FREE)} took '
      f'{mean_and_spread(seconds, digits=0)} s.'
    )
  return '\n'.join([report.align(rows), '', *notes])


def mean_and_spread(values: Sequence[float | None], digits: int = 4) -> str:
  """Mean ± sample standard deviation; the value alone if there is only one."""
  if None in values:
    return '–'
  mean = f'{statistics.mean(values):.{digits}f}'
  if len(values) == 1:
    return mean
  return f'{mean} ± {statistics.stdev(values):.{digits}f}'


def rewritten(readme: str) -> str:
  """README with every table between `<!-- results: … -->` marks made anew."""
  return re.sub(
    r'(<!-- results: (\w+) -->\n).*?(<!-- end -->)',
    lambda m: f'{m[1]}{table(m[2])}\n{m[3]}',
    readme,
    flags=re.DOTALL,
  )


def main(workdirs: Sequence[str]) -> None:
  """Keeps the results of `workdirs`, then rewrites README."""
  for workdir in workdirs:
    print(keep(pathlib.Path(workdir)).relative_to(_ROOT))
  README.write_text(rewritten(README.read_text()))


if __name__ == '__main__':
  main(sys.argv[1:])
