"""Lists what a run's generated images say, beside the same of shipped runs."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from dualgan_jax.reporting import diagnosis, findings, shipped_runs


class _Figure(NamedTuple):
  """How a page shows a figure.

  Attributes:
    text: what it is.
    precise: format of the run's own value.
    rounded: format of the values of shipped runs.
  """

  text: str
  precise: str = '.1%'
  rounded: str = '.0%'


# By name in `diagnosis`.
_FIGURES = {
  'agreement': _Figure(
    'Images on which student and teachers have the same most probable label'
  ),
  'blend_agreement': _Figure(
    'The same of blends, each the mean of two of these images'
  ),
  'sure_share': _Figure(
    'Images of whose label the teachers are sure (probability '
    f'{findings.SURE_PROBABILITY} or more)'
  ),
  'mean_top_probability': _Figure('Mean of the teachers’ largest probability'),
  'empty_share': _Figure(
    'Images on which teachers give no label a probability above 0.5'
  ),
  'contradictions': _Figure(
    'Images on which teachers that share a label contradict one another'
  ),
  'statistics_distance': _Figure(
    'Distance of the images from the statistics that teachers hold of their '
    'training images, in standard deviations of a channel; 0 is a perfect fit',
    *('.2f', '.2f'),
  ),
}


def list_figures(results: Mapping[str, Any]) -> list[dict[str, str]]:
  """Lists what generated images say, beside the same of shipped runs.

  Args:
    results: content of `results.json`.

  Returns:
    By figure: its `text`, what it is; its `value`; and `shipped`, a sentence
    about shipped runs, or ''.
  """
  found = results.get('diagnosis') or {}
  ranges = shipped_runs.compare()
  figures = [
    {
      'text': figure.text,
      'value': format(found[name], figure.precise),
      'shipped': describe_ranges(ranges.get(name), figure.rounded),
    }
    for name, figure in _FIGURES.items()
    if found.get(name) is not None
  ]
  if gaps := results.get('misfits'):
    figures.append(
      {
        'text': 'Factor by which all images fit a teacher’s statistics worse '
        'than its own images do, the largest',
        'value': f'{max(gaps.values()):.2f}',
        'shipped': '',
      }
    )
  return figures


def describe_ranges(ranges: Mapping[str, Any] | None, rounded: str) -> str:
  """Describes a figure of shipped runs in a sentence.

  Args:
    ranges: of one figure, an entry of `shipped_runs.compare`.
    rounded: format of a value.

  Returns:
    '' if no shipped run has the figure.
  """
  if not ranges:
    return ''
  parts = []
  for group, text in (
    ('good', f'{diagnosis.MIN_KEPT:.0%} or more of their teachers’ accuracy'),
    ('poor', 'less'),
  ):
    if ranges[group]:
      least, most = (format(value, rounded) for value in ranges[group])
      span = least if least == most else f'{least} to {most}'
      num_runs = ranges[f'num_{group}']
      runs = 'one that keeps' if num_runs == 1 else f'{num_runs} that keep'
      parts.append(f'{span} in {runs} {text}')
  return f'Runs that come with this software: {", ".join(parts)}.'
