"""Renders `report.html`: one file, without a request to anywhere."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2

from dualgan_jax.config import stage_table
from dualgan_jax.reporting import (
  calibration,
  charts,
  confidence,
  confusion,
  curves,
  diagnosis,
  generated_figures,
  pictures,
  summary,
)

SCORE_NAMES = {
  'top1': 'top-1 accuracy',
  'mAP': 'mean average precision',
  'agreement': 'agreement with the teachers on generated images',
}
_STUDENT_NAME = 'student (compact)'
# Labels of a chart: more bars could not be read.
_MAX_BARS = 40


def render(
  template: jinja2.Template,
  folder: pathlib.Path,
  results: Mapping[str, Any],
  *,
  score_rows: Sequence[Sequence[str]],
  all_score_rows: Sequence[Sequence[str]],
  label_rows: Sequence[Sequence[str]],
  model_notes: Mapping[str, str],
) -> str:
  """Renders the page of a run.

  Args:
    template: of `page.html`.
    folder: the run's: its pictures and metrics are embedded.
    results: content of `results.json`, of this version or an earlier one.
    score_rows: table of the models, its head first.
    all_score_rows: the same with all scores.
    label_rows: table of the labels, its head first.
    model_notes: by name of a model, what it is.
  """
  return template.render(
    results=results,
    title=f'{results["experiment"]}, seed {results["seed"]}',
    headline=headline(results),
    diagnosis=results.get('diagnosis'),
    figures=generated_figures.list_figures(results),
    label_counts=_count_bars(results.get('diagnosis')),
    chart=charts.interval_chart(_chart_rows(results)),
    student_name=_STUDENT_NAME,
    score_name=SCORE_NAMES[main_score(results)],
    main_score=main_score(results),
    label_bars=_label_bars(results),
    confusion=results.get('confusion'),
    calibrations=_list_calibrations(results),
    temperature=(results.get('temperatures') or {}).get('compact'),
    errors=pictures.list_errors(folder, results),
    progress=pictures.list_progress(folder),
    samples=pictures.list_samples(
      folder, results['labels'], max_labels=_MAX_BARS
    ),
    most_bars=_MAX_BARS,
    most_matrix_labels=confusion.MAX_LABELS,
    stages={
      stage.name: [
        charts.curve_chart(curve)
        for curve in curves.select_curves(
          folder / stage.name, results['config']
        )
      ]
      # Stages with real data train what is given, or compared with.
      for stage in stage_table.STAGES
      if not stage.uses_data
    },
    stage_notes=curves.STAGE_NOTES,
    score_rows=score_rows,
    all_score_rows=all_score_rows,
    smoke_warning=summary.smoke_warning(results),
    label_rows=label_rows,
    model_notes={
      name: note.replace('`', '')
      for name, note in model_notes.items()
      if name in results['metrics']
    },
    config={
      field: json.dumps(value, ensure_ascii=False)
      for field, value in results['config'].items()
    },
  )


def main_score(results: Mapping[str, Any]) -> str:
  """Returns the name of the score that the headline is about.

  Args:
    results: content of `results.json`.
  """
  for name in ('top1', 'mAP'):
    if all(
      results['metrics'].get(model, {}).get(name) is not None
      for model in ('teachers', 'compact')
    ):
      return name
  return 'agreement'


def headline(results: Mapping[str, Any]) -> str:
  """Formats the result of a run as one or two sentences.

  Args:
    results: content of `results.json`.
  """
  name = main_score(results)
  student, teachers = (
    results['metrics'].get(model, {}) for model in ('compact', 'teachers')
  )
  score = student.get(name)
  size = (
    f' with {student["params"] / teachers["params"]:.0%} of their parameters'
    # Teachers of Python code may hide their variables: the total is then 0.
    if student.get('params') and teachers.get('params')
    else ''
  )
  if score is None:
    return 'The student was not measured.'
  if name == 'agreement':
    num_images = (results.get('diagnosis') or {}).get('num_images')
    images = 'generated images'
    if num_images:
      low, high = confidence.share_interval(score, num_images)
      images = f'{num_images:,} {images} (95% interval {low:.1%} to {high:.1%})'
    return (
      f'The student gives the same label as the teachers on {score:.1%} of '
      f'{images},{size}. There were no real images to measure on.'
    ).replace(',.', '.')
  num_images = sum(
    counts['test'] for counts in results.get('images', {}).values()
  )
  interval = results.get('intervals', {}).get('compact', {}).get(name)
  details = [
    f'95% interval {interval[0]:.1%} to {interval[1]:.1%}' if interval else '',
    f'{num_images:,} test images' if num_images else '',
  ]
  detail = '; '.join(filter(None, details))
  kept_scores = diagnosis.compute_kept_scores(
    results['metrics'], results['per_label']
  )
  verb = 'keeps' if kept_scores and kept_scores.score <= 1 else 'reaches'
  share = (
    f'The student {verb} {kept_scores.score:.1%} of the teachers’ '
    f'{SCORE_NAMES[name]}{size}.'
    if kept_scores
    else ''
  )
  return (
    f'{share} Its own is {score:.1%}{f" ({detail})" if detail else ""}.'
  ).strip()


def _chart_rows(results: Mapping[str, Any]) -> list[charts.IntervalRow]:
  """Lists the models with the score of the headline."""
  name = main_score(results)
  return [
    charts.IntervalRow(
      _STUDENT_NAME if model == 'compact' else model,
      row[name],
      results.get('intervals', {}).get(model, {}).get(name),
    )
    for model, row in results['metrics'].items()
    if row.get(name) is not None
  ]


def _label_bars(results: Mapping[str, Any]) -> dict[str, Any]:
  """Lists the bars of each label, the student's worst first if there are many.

  Returns:
    `kind`: 'precision' on real images, or 'agreement' on generated ones; and
    `rows`, by label the values of student and teachers in [0, 1], or None.
  """
  rows = {
    label: (scores['student_ap'], scores['teachers_ap'])
    for label, scores in results['per_label'].items()
  }
  kind = 'precision'
  if all(student is None for student, _ in rows.values()):
    kind = 'agreement'
    found = results.get('diagnosis') or {'label_agreement': {}}
    rows = {
      label: (share, None) for label, share in found['label_agreement'].items()
    }
  num_labels = len(rows)
  if num_labels > _MAX_BARS:
    worst = sorted(
      rows.items(), key=lambda row: (row[1][0] is None, row[1][0] or 0)
    )
    rows = dict(worst[:_MAX_BARS])
  return {'kind': kind, 'rows': rows, 'num_labels': num_labels}


def _list_calibrations(results: Mapping[str, Any]) -> list[dict[str, Any]]:
  """Lists the student's calibration, before its temperature first.

  Returns:
    `name`, 'before' or 'after'; the `points` of a chart; and the `error`.
    Results of earlier versions have only what is 'after', as have those whose
    temperature is 1, and those without real images nothing.
  """
  degree = (results.get('temperatures') or {}).get('compact')
  return [
    {
      'name': name,
      'points': charts.calibration_chart(bins),
      'error': calibration.calibration_error(bins),
    }
    for name, bins in (
      ('before', None if degree == 1 else results.get('uncalibrated')),
      ('after', results.get('calibration')),
    )
    if bins and any(one_bin['count'] for one_bin in bins)
  ]


def _count_bars(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
  """Lists by label the generated images that show it, the rarest if many."""
  if not found:
    return None
  counts = found['label_counts']
  num_labels = len(counts)
  if num_labels > _MAX_BARS:
    counts = dict(sorted(counts.items(), key=lambda row: row[1])[:_MAX_BARS])
  return {
    'rows': counts,
    'largest': max([1, *counts.values()]),
    'num_labels': num_labels,
  }
