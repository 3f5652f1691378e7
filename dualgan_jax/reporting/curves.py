"""Selects the curves of a stage that say something, and explains each."""

import math
import pathlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from dualgan_jax.training import metrics_log

# A line through two points shows nothing that two numbers do not.
_MIN_POINTS = 3
# More could not be told apart on a screen, and would make the page large.
_MAX_POINTS = 300
# A smoothed value is the mean over a window of 2 / 40 of its line.
_SMOOTHED_PARTS = 40
_MIN_SMOOTHED_POINTS = 10
# Those that tell most; a page shows them first.
_MAIN_METRICS = ('loss', 'agreement', 'diversity', 'labels_per_image')
# Phases that measure, and do not train: nothing changes over their steps.
_MEASUREMENTS = ('targetnet/branch_points',)
# By metric of a weighted loss, the field of its weight. L_bn tells something of
# the images whatever its weight.
_WEIGHT_FIELDS = {
  'l_a': 'objective.alpha',
  'l_ie': 'objective.beta',
  'l_dis': 'objective.gamma',
}
# What is trained in the stages that have curves.
STAGE_NOTES = {
  'generator': 'The generator learns to make images that the teachers take for '
  'real ones.',
  'dual': 'The student learns block by block: each block’s features should '
  'lead the teachers to the same answers as the image.',
  'targetnet': 'The whole student learns from generated images, and so does '
  'the branched TargetNet.',
  'refine': 'Generator and student train in turn. The generator looks for '
  'images that the student answers wrong.',
}
# By metric: a title, and a caption that says which way is good.
_EXPLANATIONS: Mapping[str, tuple[str, str]] = MappingProxyType(
  {
    'loss': ('Loss', 'What the training minimises. Lower is better.'),
    'generator_loss': (
      'Loss of the generator',
      'What the generator minimises, its reward for disagreement included. It '
      'rises and falls with the student’s progress: neither way is good by '
      'itself.',
    ),
    'replay_loss': (
      'Loss on replayed images',
      'Distance of student and teachers on images of earlier steps. Lower is '
      'better.',
    ),
    'disagreement': (
      'Disagreement',
      'Distance of student and teachers on images that are made to tell them '
      'apart. Lower is better.',
    ),
    'agreement': (
      'Agreement',
      'Share of the batch on which student and teachers have the same most '
      'probable label. Higher is better, but images that are all alike are '
      'easy to agree on.',
    ),
    'consistency': (
      'Consistency of the groups, Eq. 11',
      'How far the teachers’ answers to each group’s features are from those '
      'to the whole image. Lower is better.',
    ),
    'diversity': (
      'Diversity of the images',
      'Standard deviation of a pixel over the batch. Near 0 all images are the '
      'same. Higher is better.',
    ),
    'entropy': (
      'Spread over the labels',
      'Entropy of the labels that images show, as a share of the largest. At 1 '
      'all labels are equally frequent. Higher is better.',
    ),
    'labels_per_image': (
      'Labels per image',
      'Labels that the teachers see in an image, on average. Good is what real '
      'images have: 1 if labels exclude one another. Near 0 images are empty.',
    ),
    'l_oh': (
      'One-hot loss L_oh, Eq. 6',
      'How unsure the teachers are of the images. Lower is better.',
    ),
    'l_a': (
      'Activation loss L_a',
      'Minus the size of the teachers’ features. Images like those that they '
      'were trained on have larger ones. Lower is better.',
    ),
    'l_ie': (
      'Information entropy loss L_ie',
      'Minus the entropy of the teachers’ mean answers: images that are spread '
      'evenly over the labels have a low one. Lower is better.',
    ),
    'l_dis': (
      'Discrete loss L_dis, Eq. 7',
      'Mean probability of a label: a real image carries few. Lower is '
      'better, unless images are empty.',
    ),
    'l_gan': (
      'Loss L_gan, Eq. 8',
      'The weighted sum of L_oh, L_a, L_ie and L_dis. Lower is better.',
    ),
    'l_bn': (
      'Batch statistics L_bn',
      'How far features of the images are from the statistics that the '
      'teachers store. Lower is better.',
    ),
    'l_d_own': (
      'Distillation L_d through the student’s features',
      'Distance to the teachers’ answers. Lower is better.',
    ),
    'l_d_generated': (
      'Distillation L_d through generated features',
      'Distance to the teachers’ answers. Lower is better.',
    ),
  }
)


# Of single stages, whose metrics have another meaning there.
_EXPLANATIONS_OF_STAGES: Mapping[tuple[str, str], tuple[str, str]] = (
  MappingProxyType(
    {
      ('refine', 'loss'): (
        'Loss of the student',
        'Distance of student and teachers on the newest images. It may rise, '
        'since the generator looks for images that the student answers wrong.',
      ),
    }
  )
)


class Line(NamedTuple):
  """The values of one phase.

  Attributes:
    name: of the phase, without its stage, if it is not the stage itself; '' in
      a stage of one phase.
    points: pairs (step, value), at least 3.
    number: of the phase within its stage, from 0.
  """

  name: str
  points: list[tuple[int, float]]
  number: int = 0

  @property
  def trend(self) -> list[tuple[int, float]]:
    """The line smoothed: each value the mean of those around it.

    Short lines stay as they are.
    """
    reach = -(-len(self.points) // _SMOOTHED_PARTS)
    if len(self.points) < _MIN_SMOOTHED_POINTS:
      reach = 0
    values = [value for _, value in self.points]
    trend = []
    for index, (step, _) in enumerate(self.points):
      # As far on either side, so that the ends of a slope stay where they are.
      distance = min(reach, index, len(values) - 1 - index)
      window = values[index - distance : index + distance + 1]
      trend.append((step, sum(window) / len(window)))
    return trend


class Curve(NamedTuple):
  """A metric over the steps of a stage.

  Attributes:
    title: what it is.
    caption: what is plotted, and which way is good.
    lines: a line per phase that logs it.
    is_main: whether it is one of those that tell most.
  """

  title: str
  caption: str
  lines: list[Line]
  is_main: bool


def select_curves(
  stage_folder: pathlib.Path, config: Mapping[str, Any] = MappingProxyType({})
) -> list[Curve]:
  """Selects what is worth drawing of a stage's metrics.

  Lines of fewer than 3 finite values are left out. So are metrics that never
  change, that repeat another one, or whose weight in the loss is 0.

  Args:
    stage_folder: the stage's, which holds its `metrics.jsonl`.
    config: values of the run's fields, {'objective.alpha': 0.0}.
  """
  phase_rows = {
    phase: rows
    for phase, rows in metrics_log.read_metrics(stage_folder).items()
    if phase not in _MEASUREMENTS
  }
  metric_names = dict.fromkeys(
    name for rows in phase_rows.values() for row in rows for name in row
  )
  curves: dict[str, Curve] = {}
  # `loss` is first: of equal curves, its name is the plainest.
  for name in sorted(metric_names, key=lambda name: (name != 'loss', name)):
    lines = [
      Line(phase.split('/')[-1] if len(phase_rows) > 1 else '', points, number)
      for number, (phase, rows) in enumerate(phase_rows.items())
      if len(points := _list_points(name, rows)) >= _MIN_POINTS
    ]
    if name == 'step' or not any(map(_changes, lines)):
      continue
    if name in _WEIGHT_FIELDS and config.get(_WEIGHT_FIELDS[name]) == 0:
      continue
    if any(lines == curve.lines for curve in curves.values()):
      continue
    title, caption = _EXPLANATIONS_OF_STAGES.get(
      (stage_folder.name, name),
      _EXPLANATIONS.get(name, (name, 'As the training logs it.')),
    )
    curves[name] = Curve(title, caption, lines, name in _MAIN_METRICS)
  return list(curves.values())


def _changes(line: Line) -> bool:
  """Returns whether a line is more than a constant and its rounding."""
  values = [value for _, value in line.points]
  return not math.isclose(min(values), max(values), rel_tol=1e-6)


def _list_points(name: str, rows: Sequence[Mapping]) -> list[tuple[int, float]]:
  """Lists steps and values of a scalar, thinned out; vectors have none."""
  points = [
    (row['step'], row[name])
    for row in rows
    if isinstance(row.get(name), float) and math.isfinite(row[name])
  ]
  stride = -(-len(points) // _MAX_POINTS) or 1
  # The last value is the one that counts.
  return points[::-stride][::-1]
