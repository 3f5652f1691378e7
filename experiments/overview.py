"""Formats the tables and the chart that newcomers read, in plain words.

`experiments.tabulate` writes them: what each experiment is (`TASKS`), and what
each part of the method brings (`PARTS`).
"""

import math
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from dualgan_jax import display
from dualgan_jax.config import builders
from dualgan_jax.reporting.spread import mean_and_std
from experiments import svg

# By experiment, what it asks for. Teachers have seen all images of their data
# set, unless it says otherwise, and answer the labels that it names.
TASKS = {
  'digits': 'Small handwritten digits: 0–4 and 5–9',
  'mnist': 'MNIST: 0–4 and 5–9',
  'mnist_own': 'MNIST, each teacher saw its own five digits only',
  'mnist_plain': 'MNIST, teachers without batch norm',
  'lenet': 'MNIST, one LeNet-5 to half of its width',
  'federated': 'MNIST, five clients of federated learning',
  'public_digits': 'MNIST, a digit recogniser from PyPI',
  'fashion_mnist': 'Fashion-MNIST: five articles each',
  'overlap': 'Fashion-MNIST, three unlike nets, shared classes',
  'multi_mnist': 'Two MNIST digits in one image (mAP)',
  'strangers': 'A net of MNIST and one of Fashion-MNIST, 20 classes',
  'cifar10_laptop': 'CIFAR-10: animals and vehicles, narrow ResNets',
  'public_cifar10': 'CIFAR-10, a ResNet-20 from GitHub',
}
# By column: the objective, and the model in `results.json`.
_COLUMNS = {
  'teachers': ('default', 'teachers'),
  'student, no data': ('default', 'compact'),
  'same student, real data': ('default', 'real_data'),
  'DAFL, cut short': ('dafl', 'compact'),
}
# Of the chart, by name: objective, model, colours and radius. Marks that are
# drawn above one another differ in size, too.
_MARKS = {
  'student, no data': ('default', 'compact', 'ours', 5),
  'same student, real data': ('default', 'real_data', 'real', 8),
  'DAFL, cut short': ('dafl', 'compact', 'other', 6),
}
Runs = Mapping[str, Sequence[dict]]  # those of an experiment, by objective


class Part(NamedTuple):
  """A part of the method in which the default and the paper differ.

  Attributes:
    name: what it is.
    paper: what the paper does.
    default: what the default does.
    field: the field of the config that decides it.
    pair: an experiment, the objective that does as the paper does, and the one
      that it is compared with; None if nobody has measured it alone.
  """

  name: str
  paper: str
  default: str
  field: str
  pair: tuple[str, str, str] | None = None


PARTS = (
  Part(
    'activation loss L_a',
    'in Eq. 8, for strong features in the teachers',
    'left out',
    'objective.alpha',
    ('ablation', 'activation_loss', 'default'),
  ),
  Part(
    'second stream of Eq. 15 and 16',
    'blocks also learn from features of the generator',
    'left out',
    'dual.lambda_generated',
    ('ablation', 'both_streams', 'default'),
  ),
  Part(
    'pseudo labels of Eq. 5',
    'an image may have no label',
    'the most probable label always counts',
    'objective.never_empty',
    ('ablation', 'may_be_empty', 'default'),
  ),
  Part(
    'filter of the image',
    'drawn before the first block of a teacher',
    'left out',
    'objective.image_filter',
    ('ablation', 'image_filter', 'default'),
  ),
  Part(
    'statistics prior',
    'none',
    'images have the mean and variance that batch norms remember',
    'objective.bn_prior_weight',
    ('ablation', 'no_prior', 'default'),
  ),
  Part(
    'refinement',
    'none',
    'generator and student train in turn, at the end',
    'refine.steps',
    ('ablation', 'no_refine', 'default'),
  ),
  Part(
    'temperature of distillation',
    'none',
    'soft answers count more',
    'temperature',
    ('ablation', 'temperature_1', 'default'),
  ),
  Part(
    'end-to-end steps',
    'the student learns block by block',
    'blocks first, then the whole student',
    'targetnet.compact_steps',
    ('ablation', 'blocks_only', 'no_refine'),
  ),
  Part(
    'routing',
    'every teacher judges every image',
    'one teacher each, if they were trained on different data',
    'objective.routing',
    ('strangers', 'not_routed', 'default'),
  ),
  *(
    Part(
      f'the whole objective, on `{experiment}`',
      'Eq. 8 and 11, no refinement, temperature 1',
      'all of the above',
      'objective',
      (experiment, 'paper', 'default'),
    )
    for experiment in ('mnist', 'digits')
  ),
)


def _scores(runs: Runs, objective: str, model: str) -> dict[int, float]:
  """Returns a model's top-1, or mAP if images have several labels, by seed."""
  return {
    run['seed']: metrics['mAP' if metrics['top1'] is None else 'top1']
    for run in runs.get(objective, ())
    if (metrics := run['metrics'].get(model))
  }


def _cell(scores: Mapping[int, float]) -> str:
  return mean_and_std(list(scores.values()), digits=3) if scores else '–'


def format_overview(
  experiments: Sequence[str],
  load_runs: Callable[[str], Runs],
  count_seconds: Callable[[dict], float],
) -> str:
  """Formats README's row per experiment, with what it is in plain words.

  Args:
    experiments: names of experiments, in the order of their rows.
    load_runs: returns the runs of an experiment, by objective.
    count_seconds: returns the seconds that a run took without data.

  Returns:
    A Markdown table.
  """
  runs_by_experiment = {name: load_runs(name) for name in experiments}
  # A column that nobody has run yet says nothing.
  columns = {
    name: column
    for name, column in _COLUMNS.items()
    if any(_scores(runs, *column) for runs in runs_by_experiment.values())
  }
  table_rows = [
    ['task', *columns, 'minutes'],
    ['---', *['---:'] * (len(columns) + 1)],
  ]
  for experiment, runs in runs_by_experiment.items():
    minutes = [count_seconds(run) / 60 for run in runs['default']]
    table_rows.append(
      [
        f'[{TASKS[experiment]}](docs/results.md#{experiment})',
        *(_cell(_scores(runs, *column)) for column in columns.values()),
        f'{statistics.mean(minutes):.0f}',
      ]
    )
  return display.align(table_rows)


def format_parts(load_runs: Callable[[str], Runs]) -> str:
  """Formats what the default does otherwise than the paper, and what it brings.

  Args:
    load_runs: returns the runs of an experiment, by objective.

  Returns:
    A Markdown table.
  """
  defaults = builders.get_config().to_dict()
  table_rows = [
    ['part', 'the paper', 'the default', 'field', 'compact', 'branched'],
    ['---', '---', '---', '---', '---:', '---:'],
  ]
  for part in PARTS:
    value = defaults
    for name in part.field.split('.'):
      value = value[name]
    field = part.field
    if not isinstance(value, dict):
      field += f'={value!r}'
    differences = ['–', '–']
    if part.pair:
      experiment, *objectives = part.pair
      runs = load_runs(experiment)
      differences = [
        _difference(*(_scores(runs, name, model) for name in objectives))
        for model in ('compact', 'branched')
      ]
    table_rows.append(
      [part.name, part.paper, part.default, f'`{field}`', *differences]
    )
  return '\n'.join(f'| {" | ".join(row)} |' for row in table_rows)


def _difference(
  scores: Mapping[int, float], other_scores: Mapping[int, float]
) -> str:
  """Formats the difference of two scores in points, over common seeds."""
  points = [
    100 * (scores[seed] - other_scores[seed])
    for seed in sorted(scores.keys() & other_scores.keys())
  ]
  if not points:
    return '–'
  text = mean_and_std(points, digits=1)
  # Rounded to nothing, a difference has no sign.
  return re.sub(r'-(?=0\.0\b)', '', text).replace('-', '−')


def draw_chart(
  experiments: Sequence[str], load_runs: Callable[[str], Runs]
) -> str:
  """Draws a row per experiment, with a mark for each way to train a student.

  Args:
    experiments: names of experiments, in the order of their rows.
    load_runs: returns the runs of an experiment, by objective.

  Returns:
    SVG, whose horizontal axis is accuracy up to 1.
  """
  left, right, top, row_height = 400, 840, 78, 34
  bottom = top + row_height * len(experiments)

  runs_by_experiment = {name: load_runs(name) for name in experiments}
  teachers_mark = ('default', 'teachers')
  worst_accuracy = min(
    score
    for runs in runs_by_experiment.values()
    for mark in (teachers_mark, *_MARKS.values())
    for score in _scores(runs, *mark[:2]).values()
  )
  # In tenths, so that all marks have a place.
  first_tenth = math.floor(10 * worst_accuracy)

  def place(accuracy: float) -> float:
    share = (10 * accuracy - first_tenth) / (10 - first_tenth)
    return left + (right - left) * share

  shapes = []
  for tenth in range(first_tenth, 11):
    x = place(tenth / 10)
    shapes += [
      f'<line class="grid" x1="{x:g}" y1="{top - 8}" x2="{x:g}" '
      f'y2="{bottom}"/>',
      svg.text(x, bottom + 20, f'{tenth / 10:.1f}', 'faint'),
    ]
  marks = {
    label: mark
    for label, mark in _MARKS.items()
    if any(_scores(runs, *mark[:2]) for runs in runs_by_experiment.values())
  }
  for number, (label, (_, _, colours, radius)) in enumerate(marks.items()):
    x = 30 + 215 * number
    shapes += [
      f'<circle class="{colours}" cx="{x}" cy="36" r="{radius}"/>',
      svg.text(x + 14, 41, label, anchor='start'),
    ]
  for number, (experiment, runs) in enumerate(runs_by_experiment.items()):
    y = top + row_height * (number + 0.5)
    shapes.append(svg.text(left - 16, y + 5, TASKS[experiment], anchor='end'))
    teachers = statistics.mean(_scores(runs, *teachers_mark).values())
    x = place(teachers)
    shapes.append(
      f'<rect class="words" x="{x - 1:.1f}" y="{y - 12:g}" width="2.5" '
      'height="24"/>'
    )
    # Ours is drawn last, above the others.
    for objective, model, colours, radius in reversed(marks.values()):
      scores = _scores(runs, objective, model)
      if scores:
        x = place(statistics.mean(scores.values()))
        shapes.append(
          f'<circle class="{colours}" cx="{x:.1f}" cy="{y:g}" r="{radius}"/>'
        )
  shapes.append(
    svg.text(
      (left + right) / 2,
      bottom + 42,
      'accuracy on real test images; the bar is the teachers together',
      'faint',
    )
  )
  title = 'Accuracy of students that were trained in three ways, by task.'
  return svg.document(880, bottom + 58, title, shapes)
