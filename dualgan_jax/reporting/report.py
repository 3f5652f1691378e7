"""Writes the results of a run: `results.json`, tables and the report."""

import json
import pathlib
import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import jinja2

from dualgan_jax.config import stage_table
from dualgan_jax.display import align, begin_sentence, printable
from dualgan_jax.reporting import page, summary
from dualgan_jax.reporting.scores import COLUMN_TITLES

# Of the table that a page shows first.
_MAIN_COLUMNS = ('top1', 'mAP')
# Captions of pictures, by their paths in the folder of a run.
_CAPTIONS = {
  'evaluate/samples.png': 'images, a row per label',
  # Stages with real data train what is given, or compared with.
  **{
    f'{stage.name}/curves.png': f'stage {stage.name}'
    for stage in stage_table.STAGES
    if not stage.uses_data
  },
}
_MODEL_NOTES = {
  'fedavg': '`fedavg` is one net with the mean of the teachers’ weights.',
  'mean_logits': '`mean_logits` is the mean of the teachers’ logits, and '
  '`teachers` that of their probabilities.',
  'entropy_weights': '`entropy_weights` is the mean of their probabilities '
  'with more weight for sure teachers, exp(−H/0.3), H the entropy in nats.',
  'compact': '`compact` is the student alone.',
  'compact_before_refine': '`compact_before_refine` is it before refinement.',
  'branched': '`branched` is a trunk of the student with a copy of each '
  'teacher’s last blocks.',
  'noise': '`noise` is `compact` distilled on noise images.',
  'real_data': '`real_data` is the same distilled on the real training '
  'images: it uses data.',
}


# Entries that results of earlier versions lack.
_MISSING_ENTRIES: Mapping[str, Any] = MappingProxyType(
  {
    'images': {},
    'intervals': {},
    'per_label': {},
    'confusion': None,
    'calibration': None,
    'uncalibrated': None,
    'temperatures': None,
    'worst_errors': [],
    'diagnosis': None,
    'student_steps': None,
    'generated_images': None,
    'command': None,
  }
)


def write(folder: pathlib.Path, results: Mapping) -> None:
  """Writes `results.json`, and the report as `report.md` and `report.html`.

  Args:
    folder: the run's. `report.html` embeds the pictures that are in it.
    results: content of `results.json`, of this version or an earlier one.
  """
  json_text = json.dumps(results, indent=1, ensure_ascii=False)
  (folder / 'results.json').write_text(json_text + '\n', encoding='utf-8')
  results = {**_MISSING_ENTRIES, **results}
  pictures = {
    path: caption
    for path, caption in _CAPTIONS.items()
    if (folder / path).exists()
  }
  table = results_table(results, _escaped)
  templates = load_templates()
  report_text = templates['report.md'].render(
    results,
    table=table,
    has_real_images=_has_real_images(results),
    smoke_warning=summary.smoke_warning(results),
    label_table=label_table(results),
    model_notes=_MODEL_NOTES,
    pictures=pictures,
  )
  (folder / 'report.md').write_text(report_text, encoding='utf-8')
  page_text = page.render(
    templates['page.html'],
    folder,
    results,
    score_rows=_score_rows(results, _MAIN_COLUMNS),
    all_score_rows=_score_rows(results),
    label_rows=_label_rows(results),
    model_notes=_MODEL_NOTES,
  )
  (folder / 'report.html').write_text(page_text, encoding='utf-8')


def load_templates() -> dict[str, jinja2.Template]:
  """Loads the texts of the report; where they lack, the installation is broken.

  Raises:
    jinja2.TemplateNotFound: a file of the package is missing.
  """
  environment = jinja2.Environment(
    loader=jinja2.PackageLoader('dualgan_jax.reporting'),
    autoescape=jinja2.select_autoescape(['html']),
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
  )
  environment.filters['escaped'] = _escaped
  environment.filters['shown'] = printable
  environment.filters['sentence'] = begin_sentence
  return {
    name: environment.get_template(name)
    for name in ('report.md', 'page.html', 'comparison.html')
  }


def results_table(
  results: Mapping, escape: Callable[[str], str] = printable
) -> str:
  """Formats the results as a Markdown table, one row per model.

  Args:
    results: content of `results.json`.
    escape: function that escapes a model's name, for a terminal or for
      Markdown.
  """
  head, *rows = _score_rows(results)
  rule = ['---'] + ['---:'] * (len(head) - 1)
  return align([head, rule, *([escape(name), *cells] for name, *cells in rows)])


def _score_rows(
  results: Mapping, score_names: Iterable[str] = COLUMN_TITLES
) -> list[list[str]]:
  """Lists the cells of the table of models, its head first."""
  teacher_scores = results['metrics']['teachers']
  total_costs = {name: teacher_scores[name] for name in ('params', 'flops')}
  # Without real images, agreement on generated ones is all that is measured.
  columns = score_names if _has_real_images(results) else ('agreement',)
  # Images of several labels have no top-1 accuracy.
  columns = [
    name
    for name in columns
    if any(row.get(name) is not None for row in results['metrics'].values())
  ]
  table_rows = [
    [
      'model',
      *(COLUMN_TITLES.get(name, name) for name in columns),
      'parameters',
      'FLOPs per image',
    ],
  ]
  for model_name, scores in results['metrics'].items():
    score_cells = [
      '–' if scores.get(name) is None else f'{scores[name]:.4f}'
      for name in columns
    ]
    # Teachers of Python code may hide their variables: the total is then 0.
    cost_cells = [
      f'{scores[name]:,} ({scores[name] / total:.0%})'
      if total
      else f'{scores[name]:,}'
      for name, total in total_costs.items()
    ]
    table_rows.append([model_name, *score_cells, *cost_cells])
  return table_rows


def label_table(results: Mapping) -> str:
  """Formats how student and teachers answer each label, as a Markdown table.

  Args:
    results: content of `results.json`.
  """
  head, *rows = _label_rows(results)
  rule = ['---'] + ['---:'] * (len(head) - 1)
  return align(
    [head, rule, *([_escaped(label), *cells] for label, *cells in rows)]
  )


def _label_rows(results: Mapping) -> list[list[str]]:
  """Lists the cells of the table of labels, its head first."""
  if not _has_real_images(results):
    return _generated_label_rows(results)
  columns = {
    'student_ap': 'AP, student',
    'teachers_ap': 'AP, teachers',
    'student_only': 'only the student says so',
    'teachers_only': 'only the teachers do',
  }
  table_rows = [['label', *columns.values()]]
  for label, scores in results['per_label'].items():
    # Precisions are unknown where no image carries the label.
    values = [scores[column] for column in columns]
    precision_cells = [
      '–' if value is None else f'{value:.4f}' for value in values[:2]
    ]
    share_cells = [f'{value:.2%}' for value in values[2:]]
    table_rows.append([label, *precision_cells, *share_cells])
  return table_rows


def _generated_label_rows(results: Mapping) -> list[list[str]]:
  """Lists what generated images tell of each label, the head first."""
  table_rows = [['label', 'generated images that show it', 'agreement']]
  # Results of earlier versions have no diagnosis.
  found = results['diagnosis'] or {'label_counts': {}, 'label_agreement': {}}
  for label in results['labels']:
    count = found['label_counts'].get(label)
    agreement = found['label_agreement'].get(label)
    table_rows.append(
      [
        label,
        '–' if count is None else f'{count:,}' if count else 'none',
        '–' if agreement is None else f'{agreement:.1%}',
      ]
    )
  return table_rows


def _has_real_images(results: Mapping) -> bool:
  """Returns whether a run was measured on real images."""
  teacher_scores = results['metrics']['teachers']
  return any(teacher_scores.get(name) is not None for name in COLUMN_TITLES)


def _escaped(text: str) -> str:
  """Escapes text from outside, so that Markdown shows it as it is."""
  # Within a word an underscore means nothing; '1.' and '-' begin lists.
  text = re.sub(
    r'[\\`*~#!>\[\]<&|]|(?<![^\W_])_|_(?![^\W_])|^[-+]',
    r'\\\g<0>',
    printable(text),
  )
  return re.sub(r'^(\d+)([.)])', r'\1\\\2', text)
