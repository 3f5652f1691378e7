"""Stores results, and rewrites the tables of all pages from them.

    python -m experiments.tabulate [WORKDIR ...]

copies the `results.json` of each WORKDIR to `experiments/results/`, then
rewrites every table in README.md, `docs/` and `experiments/notes/`, the chart
`docs/figures/results.svg`, and the figures that reports are compared with, from
the files there.
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
from dualgan_jax.config import renamed_fields, training_budget
from dualgan_jax.reporting import shipped_runs
from dualgan_jax.reporting.scores import COLUMN_TITLES
from dualgan_jax.reporting.spread import mean_and_std
from experiments import evidence, overview

_ROOT = pathlib.Path(__file__).parents[1]
RESULTS_FOLDER = _ROOT / 'experiments' / 'results'
PAGES = (
  _ROOT / 'README.md',
  _ROOT / 'docs' / 'results.md',
  _ROOT / 'docs' / 'how_it_works.md',
  _ROOT / 'docs' / 'performance.md',
  _ROOT / 'docs' / 'student.md',
  _ROOT / 'docs' / 'troubleshooting.md',
)
CHART = _ROOT / 'docs' / 'figures' / 'results.svg'
# How the values of each config were chosen.
NOTES = tuple(sorted((_ROOT / 'experiments' / 'notes').glob('*.md')))
# Training stages that need no data.
_DATA_FREE_STAGES = ('generator', 'dual', 'targetnet', 'refine')
# Models with a row for an objective other than the default: its teachers are
# the same, and its baselines of no interest.
_STUDENT_MODELS = ('compact', 'branched')
# By column of the summary, the name of the model in `results.json`.
_SUMMARY_MODELS = {
  'teachers together': 'teachers',
  'compact': 'compact',
  'before refinement': 'compact_before_refine',
  'branched': 'branched',
  'real data': 'real_data',
}


def _stored_path(run: dict) -> pathlib.Path:
  """Returns the path `<experiment>/<objective>-seed<seed>.json` of a run."""
  file_name = f'{run["objective"]}-seed{run["seed"]}.json'
  return RESULTS_FOLDER / run['experiment'] / file_name


def check_same_config(workdirs: Sequence[pathlib.Path]) -> None:
  """Checks that the runs of each row will differ in their seed only.

  Fields that did not exist yet when a stored run was made are not compared.

  Args:
    workdirs: folders of finished runs, whose results are to be stored.

  Raises:
    SystemExit: a run would share a row with a run of another config, or has no
      results.
  """
  # A run that has the stored path of an earlier one replaces it.
  new_runs = {}
  for workdir in workdirs:
    try:
      run = json.loads((workdir / 'results.json').read_text(encoding='utf-8'))
    except (OSError, ValueError):
      sys.exit(
        f'{workdir}: no results.json, or damaged; finish the run first, or '
        'delete it and start the run again.'
      )
    new_runs[_stored_path(run)] = workdir, run

  for workdir, run in new_runs.values():
    row_runs = load_results(run['experiment']).get(run['objective'], [])
    row_runs += [
      new_run
      for _, new_run in new_runs.values()
      if _row_key(new_run) == _row_key(run)
    ]
    # Of two runs with the same path, the new one stands last, and counts.
    runs_by_path = {_stored_path(row_run): row_run for row_run in row_runs}
    for row_run in runs_by_path.values():
      differences = _list_differences(run, row_run)
      if differences:
        sys.exit(
          f'{workdir}: {", ".join(differences)}, but one row is for runs of '
          'one config; keep all its seeds with one command, or give this one '
          'a name of its own (--config.objective.name=NAME).'
        )


def _row_key(run: dict) -> tuple[str, str]:
  return run['experiment'], run['objective']


def _list_differences(run: dict, row_run: dict) -> list[str]:
  """Lists the fields in which two runs differ, but for the seed."""
  config, row_config = (
    renamed_fields.rename_flat(either['config']) for either in (run, row_run)
  )
  common_fields = config.keys() & row_config.keys() - {'seed'}
  return [
    f'{field} ({row_config[field]!r} with seed {row_run["seed"]}, '
    f'{config[field]!r} here)'
    for field in sorted(common_fields)
    if config[field] != row_config[field]
  ]


def store_results(workdir: pathlib.Path) -> pathlib.Path:
  """Copies a run's `results.json` to the results folder.

  Args:
    workdir: folder of a finished run.

  Returns:
    The copy: `experiments/results/<experiment>/<objective>-seed<seed>.json`.
  """
  text = (workdir / 'results.json').read_text(encoding='utf-8')
  path = _stored_path(json.loads(text))
  path.parent.mkdir(parents=True, exist_ok=True)
  if path.exists() and path.read_text(encoding='utf-8') != text:
    relative_path = path.relative_to(RESULTS_FOLDER)
    print(f'{relative_path}: another run stood there, see git diff')
  path.write_text(text, encoding='utf-8')
  return path


def load_results(experiment: str) -> dict[str, list[dict]]:
  """Loads the stored runs of an experiment.

  Args:
    experiment: name of the experiment.

  Returns:
    By objective, the default first, its runs in the order of their seeds.
  """
  runs = [
    json.loads(path.read_text(encoding='utf-8'))
    for path in sorted((RESULTS_FOLDER / experiment).glob('*.json'))
  ]
  objectives = sorted(
    {run['objective'] for run in runs},
    key=lambda objective: (objective != 'default', objective),
  )
  return {
    objective: [run for run in runs if run['objective'] == objective]
    for objective in objectives
  }


def format_table(experiment: str) -> str:
  """Formats an experiment's results: a row per model, and notes below.

  Args:
    experiment: name of the experiment.

  Returns:
    A Markdown table and sentences.
  """
  table_rows = [
    ['model', *COLUMN_TITLES.values(), 'parameters', 'FLOPs'],
    ['---', *['---:'] * (len(COLUMN_TITLES) + 2)],
  ]
  notes = []
  for objective, runs in load_results(experiment).items():
    models = list(runs[0]['metrics'])
    if objective != 'default':
      models = [model for model in _STUDENT_MODELS if model in models]
    table_rows += [_table_row(objective, model, runs) for model in models]

    seeds = ', '.join(str(run['seed']) for run in runs)
    seconds = [_data_free_seconds(run) for run in runs]
    notes.append(
      f'`{objective}`: seeds {seeds}; {" + ".join(_DATA_FREE_STAGES)} took '
      f'{mean_and_std(seconds, digits=0)} s. {_describe_budget(runs[0])}'
    )
    # Only where teachers were trained on different data sets.
    measure = 'right_world'
    if measure in runs[0]['metrics']['compact']:
      shares = [
        f'{model} {mean_and_std(_collect(runs, model, measure))}'
        for model in ('teachers', 'compact')
      ]
      notes.append(
        f'`{objective}`: share of real images whose most probable label is of '
        f'their own data set: {", ".join(shares)}.'
      )
  return '\n'.join([display.align(table_rows), '', *notes])


def _table_row(objective: str, model: str, runs: Sequence[dict]) -> list[str]:
  """Formats the row of a model: measures, and its size beside the teachers'."""
  row_name = model
  if objective != 'default':
    oracle_note = ', oracle weights' if runs[0]['oracle'] else ''
    row_name = f'{model}, `{objective}` objective{oracle_note}'
  scores = [
    mean_and_std(_collect(runs, model, measure)) for measure in COLUMN_TITLES
  ]
  relative_sizes = [
    [
      size / teachers_size
      for size, teachers_size in zip(
        _collect(runs, model, measure),
        _collect(runs, 'teachers', measure),
        strict=True,
      )
    ]
    for measure in ('params', 'flops')
  ]
  return [row_name, *scores, *map(_format_range, relative_sizes)]


def _collect(runs: Sequence[dict], model: str, measure: str) -> list:
  """Collects a model's measure from each run, None where it has none."""
  return [run['metrics'][model].get(measure) for run in runs]


def format_summary(experiments: Sequence[str]) -> str:
  """Formats a row per experiment and objective: top-1, or mAP if multi-label.

  Args:
    experiments: names of experiments, in the order of their rows.

  Returns:
    A Markdown table.
  """
  table_rows = [
    ['experiment', *_SUMMARY_MODELS, 'minutes', 'seeds'],
    ['---', *['---:'] * (len(_SUMMARY_MODELS) + 2)],
  ]
  for experiment in experiments:
    for objective, runs in load_results(experiment).items():
      row_name = f'`{experiment}`'
      if objective != 'default':
        oracle_note = ' (oracle weights)' if runs[0]['oracle'] else ''
        row_name += f', `{objective}`{oracle_note}'
      # Where an image has several labels, none of them is the top one.
      first_metrics = runs[0]['metrics']
      is_multi_label = first_metrics['teachers']['top1'] is None
      measure = 'mAP' if is_multi_label else 'top1'
      row_name += ' (mAP)' if is_multi_label else ''
      scores = [
        mean_and_std(_collect(runs, model, measure), digits=3)
        if model in first_metrics
        else '–'
        for model in _SUMMARY_MODELS.values()
      ]
      minutes = [_data_free_seconds(run) / 60 for run in runs]
      table_rows.append(
        [
          row_name,
          *scores,
          mean_and_std(minutes, digits=0),
          str(len(runs)),
        ]
      )
  return display.align(table_rows)


def _describe_budget(run: dict) -> str:
  """Describes how many steps student and baselines took, in a sentence."""
  fields = renamed_fields.rename_flat(run['config'])
  num_steps = training_budget.num_student_steps(fields)
  num_images = training_budget.num_generated_images(fields)
  sentence = (
    f'The student took {num_steps:,} steps, on {num_images:,} generated images'
  )
  if 'noise' in run['metrics']:
    sentence += f', each baseline {fields["baselines.steps"]:,} steps'
  # Runs of earlier versions have no such field.
  lacks_branched_steps = not fields.get('refine.branched_steps')
  if (
    fields['refine.steps']
    and lacks_branched_steps
    and 'branched' in run['metrics']
  ):
    sentence += '; the branched net was not refined'
  return f'{sentence}.'


def _data_free_seconds(run: dict) -> float:
  """Returns the seconds that the data-free stages of a run took."""
  return sum(run['seconds'].get(stage, 0.0) for stage in _DATA_FREE_STAGES)


def _format_range(shares: Sequence[float]) -> str:
  """Formats shares in percent: one, or the least and the largest."""
  least, largest = f'{min(shares):.0%}', f'{max(shares):.0%}'
  return least if least == largest else f'{least[:-1]}–{largest}'


def rewrite_tables(page: str) -> str:
  """Rewrites every table of a page.

  Args:
    page: Markdown, in which tables stand between one of the markers
      `<!-- results: EXPERIMENT -->`, `<!-- summary: EXPERIMENT ... -->`,
      `<!-- overview: EXPERIMENT ... -->`, `<!-- parts: paper -->`,
      `<!-- calibration: EXPERIMENT ... -->` and `<!-- verdicts: all -->`, and
      `<!-- end -->`.

  Returns:
    The page with the tables of the stored results.
  """

  def fill(marker_match):
    start, kind, experiments, end = marker_match.groups()
    names = experiments.split()
    if kind == 'results':
      table = format_table(experiments)
    elif kind == 'summary':
      table = format_summary(names)
    elif kind == 'overview':
      table = overview.format_overview(names, load_results, _data_free_seconds)
    elif kind == 'calibration':
      table = evidence.format_calibration(names, load_results)
    elif kind == 'verdicts':
      table = evidence.format_verdicts(summarise_runs())
    else:
      table = overview.format_parts(load_results)
    return f'{start}{table}\n{end}'

  kinds = 'results|summary|overview|parts|calibration|verdicts'
  return re.sub(
    rf'(<!-- ({kinds}): ([\w. -]+) -->\n).*?(<!-- end -->)',
    fill,
    page,
    flags=re.DOTALL,
  )


def draw_chart() -> str:
  """Draws the experiments that README's table shows, as SVG."""
  readme = PAGES[0].read_text(encoding='utf-8')
  experiments = re.search(r'<!-- overview: ([\w. -]+) -->', readme)[1]
  return overview.draw_chart(experiments.split(), load_results)


def summarise_runs() -> list[dict]:
  """Lists the figures of the stored runs that reports are compared with.

  The ablation is left out: its many runs of one task would outweigh the others.
  """
  return shipped_runs.summarise(
    json.loads(path.read_text(encoding='utf-8'))
    for path in sorted(RESULTS_FOLDER.glob('*/*.json'))
    if path.parent.name != 'ablation'
  )


def format_shipped_runs() -> str:
  """Formats what `summarise_runs` lists, a line per run."""
  return '[\n' + ',\n'.join(map(json.dumps, summarise_runs())) + '\n]\n'


def main(workdirs: Sequence[str]) -> None:
  """Stores the results of runs, then rewrites the pages.

  Args:
    workdirs: folders of finished runs; may be empty.
  """
  folders = [pathlib.Path(workdir) for workdir in workdirs]
  # All are checked before any is stored.
  check_same_config(folders)
  for folder in folders:
    print(store_results(folder).relative_to(_ROOT))
  for page_path in (*PAGES, *NOTES):
    page = page_path.read_text(encoding='utf-8')
    page_path.write_text(rewrite_tables(page), encoding='utf-8')
  CHART.write_text(draw_chart(), encoding='utf-8')
  shipped_runs.FILE.write_text(format_shipped_runs(), encoding='utf-8')


if __name__ == '__main__':
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument('workdirs', metavar='WORKDIR', nargs='*')
  main(parser.parse_args().workdirs)
