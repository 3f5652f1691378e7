"""Writes the results of a run: `results.json`, tables and the report."""

import base64
import html
import json
import pathlib
import re
from collections.abc import Callable, Mapping, Sequence

from markdown_it import MarkdownIt

from dualgan_jax.display import align, printable

# Metrics that tables show of each model; None where there are no real images.
COLUMNS = ('top1', 'mAP', 'f1_macro', 'f1_micro', 'exact_match')
_AGREEMENT_NOTE = (
  ' There were no real images to measure on: `agreement` is the share of fresh '
  'generated images whose most probable label is the one that the teachers '
  'give; it says nothing of real images.'
)
# Captions of pictures, by their paths in the folder of a run.
_CAPTIONS = {
  'evaluate/samples.png': 'images, a row per label',
  'generator/curves.png': 'stage generator',
  'dual/curves.png': 'stage dual',
  'targetnet/curves.png': 'stage targetnet',
  'refine/curves.png': 'stage refine',
}
_MODEL_NOTES = {
  'compact': ' `compact` is the student alone.',
  'compact_before_refine': ' `compact_before_refine` is it before refinement.',
  'branched': ' `branched` is a trunk of the student with a copy of each '
  'teacher’s last blocks.',
  'noise': ' `noise` is `compact` distilled on noise images.',
  'real_data': ' `real_data` is the same distilled on the real training '
  'images: it uses data.',
}

_PAGE_TEMPLATE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 64em; margin: 2em auto; }}
table {{ border-collapse: collapse; }}
td, th {{ border: 1px solid #ccc; padding: 0.2em 0.6em; }}
img {{ max-width: 100%; }}
</style>
<body>
{body}
</body>
</html>
"""


def write(folder: pathlib.Path, results: Mapping) -> None:
  """Writes `results.json`, and the report as `report.md` and `report.html`.

  Args:
    folder: the run's. `report.html` embeds the pictures that are in it.
    results: content of `results.json`.
  """
  json_text = json.dumps(results, indent=1, ensure_ascii=False)
  (folder / 'results.json').write_text(json_text + '\n', encoding='utf-8')
  picture_links = [
    f'![{caption}]({path})'
    for path, caption in _CAPTIONS.items()
    if (folder / path).exists()
  ]
  report_text = _report(results, picture_links)
  (folder / 'report.md').write_text(report_text, encoding='utf-8')
  title = f'{results["experiment"]}, seed {results["seed"]}'
  page = _page(folder, title, report_text)
  (folder / 'report.html').write_text(page, encoding='utf-8')


def _page(folder: pathlib.Path, title: str, markdown: str) -> str:
  """Renders a Markdown text and its pictures as one page of HTML."""
  # HTML in it is shown as text: labels come from outside.
  renderer = MarkdownIt('commonmark', {'html': False}).enable('table')
  body = renderer.render(markdown)

  def embedded_picture(match):
    picture = base64.b64encode((folder / match[1]).read_bytes()).decode()
    return f'src="data:image/png;base64,{picture}"'

  # Embedded, so that the page can be sent to others as one file.
  body = re.sub(r'src="([^"]+\.png)"', embedded_picture, body)
  return _PAGE_TEMPLATE.format(title=html.escape(title), body=body)


def results_table(
  results: Mapping, escape: Callable[[str], str] = printable
) -> str:
  """Formats the results as a Markdown table, one row per model.

  Args:
    results: content of `results.json`.
    escape: function that escapes a model's name, for a terminal or for
      Markdown.
  """
  teacher_scores = results['metrics']['teachers']
  total_costs = {name: teacher_scores[name] for name in ('params', 'flops')}
  # Without real images, agreement on generated ones is all that is measured.
  has_real_images = any(teacher_scores[name] is not None for name in COLUMNS)
  columns = COLUMNS if has_real_images else ('agreement',)
  table_rows = [
    ['model', *columns, 'parameters', 'FLOPs per image'],
    ['---'] + ['---:'] * (len(columns) + 2),
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
    table_rows.append([escape(model_name), *score_cells, *cost_cells])
  return align(table_rows)


def label_table(results: Mapping) -> str:
  """Formats how student and teachers answer each label, as a Markdown table.

  Args:
    results: content of `results.json`.
  """
  columns = {
    'student_ap': 'AP, student',
    'teachers_ap': 'AP, teachers',
    'student_only': 'only the student says so',
    'teachers_only': 'only the teachers do',
  }
  table_rows = [['label', *columns.values()], ['---'] + ['---:'] * len(columns)]
  for label, scores in results['per_label'].items():
    # Precisions are unknown where no image carries the label.
    values = [scores[column] for column in columns]
    precision_cells = [
      '–' if value is None else f'{value:.4f}' for value in values[:2]
    ]
    share_cells = [f'{value:.2%}' for value in values[2:]]
    table_rows.append([_escaped(label), *precision_cells, *share_cells])
  return align(table_rows)


def _report(results: Mapping, picture_links: Sequence[str]) -> str:
  """Writes the report as a Markdown text."""
  seconds = ', '.join(
    f'{stage} {duration:.0f}' for stage, duration in results['seconds'].items()
  )
  versions = ', '.join(
    f'{package} {version}' for package, version in results['versions'].items()
  )
  oracle = (
    ', its weights chosen by accuracy on real data (oracle)'
    if results['oracle']
    else ''
  )
  # Names come from outside, and must not be read as Markdown.
  table = results_table(results, _escaped)
  # Its head has the metrics of real images, or agreement only.
  has_real_images = 'mAP' in table
  return '\n'.join(
    [
      f'# {_escaped(results["experiment"])}, seed {results["seed"]}',
      '',
      f'Objective: {_escaped(results["objective"])}{oracle}. '
      f'Labels: {", ".join(map(_escaped, results["labels"]))}.'
      + _image_counts(results),
      '',
      table,
      '',
      'Shares are of the teachers together. Each teacher is measured on its '
      'own labels.'
      + ''.join(
        note
        for model_name, note in _MODEL_NOTES.items()
        if model_name in results['metrics']
      )
      + ('' if has_real_images else _AGREEMENT_NOTE),
      '',
      '## Labels',
      '',
      'Average precision, and the share of '
      + ('test' if has_real_images else 'generated')
      + ' images on which only one of the two says, at probability 0.5, that '
      'the label is there.',
      '',
      label_table(results),
      '',
      '## Routing',
      '',
      _routing(results),
      '',
      *_branch_points(results),
      f'Seconds: {seconds}.',
      '',
      f'Versions: {versions}.',
      '',
      '## Pictures',
      '',
      '\n\n'.join(picture_links),
      '',
    ]
  )


def _image_counts(results: Mapping) -> str:
  """Reports how many real images each data set had; '' if there were none."""
  # Results that were written by an earlier version do not hold it.
  set_counts = [
    f'{_escaped(name)} {counts["train"]:,} and {counts["test"]:,}'
    for name, counts in results.get('images', {}).items()
  ]
  if not set_counts:
    return ''
  return f' Training and test images: {"; ".join(set_counts)}.'


def _escaped(text: str) -> str:
  """Escapes text from outside, so that Markdown shows it as it is."""
  # Within a word an underscore means nothing; '1.' and '-' begin lists.
  text = re.sub(
    r'[\\`*~#!>\[\]<&|]|(?<![^\W_])_|_(?![^\W_])|^[-+]',
    r'\\\g<0>',
    printable(text),
  )
  return re.sub(r'^(\d+)([.)])', r'\1\\\2', text)


def _branch_points(results: Mapping) -> list[str]:
  """Lists the report's lines on branch points; none without branches."""
  # With `dual.steps` 0 there is no branched TargetNet.
  if not results['branch_points']:
    return []
  teacher_lines = [
    f'* {_escaped(name)}: after block {point}; '
    + ', '.join(
      f'L_d^{block} = {loss:.4f}'
      for block, loss in enumerate(results['branch_losses'][name], start=1)
    )
    for name, point in results['branch_points'].items()
  ]
  return [
    '## Branch points',
    '',
    'In the branched TargetNet a teacher’s last blocks follow the student’s '
    'block from whose output they come closest to the teacher’s own answers to '
    'generated images, by L_d, or a later one within '
    'targetnet.branch_tolerance of it.',
    '',
    *teacher_lines,
    '',
  ]


def _routing(results: Mapping) -> str:
  """Writes the report's paragraph on routing."""
  paragraph = (
    'Each generated image belongs to one teacher.'
    if results['routed']
    else 'Every generated image is judged by all teachers.'
  )
  if results['misfits']:
    factors = ', '.join(
      f'{misfit:.2f} ({_escaped(name)})'
      for name, misfit in results['misfits'].items()
    )
    paragraph += (
      " In a short routed training, all images together fitted the teachers' "
      f'statistics worse than their own by a factor of {factors}.'
    )
  return paragraph
