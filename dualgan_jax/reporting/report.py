"""What a run leaves for people: pictures, `results.json`, the report."""

import base64
import contextlib
import html
import json
import pathlib
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence

import matplotlib as mpl
import numpy as np
from markdown_it import MarkdownIt
from matplotlib import font_manager
from matplotlib.figure import Figure

from dualgan_jax.display import align, printable
from dualgan_jax.training import metrics_log

# What `metrics.scores` gives; None where there are no real images.
COLUMNS = ('top1', 'mAP', 'f1_macro', 'f1_micro', 'exact_match')
_PER_LABEL = 10
_DPI = 110
_AGREEMENT = (
  ' There were no real images to measure on: `agreement` is the share of fresh '
  'generated images whose most probable label is the one that the teachers '
  'give; it says nothing of real images.'
)
_PICTURES = {
  'evaluate/samples.png': 'images, a row per label',
  'generator/curves.png': 'stage generator',
  'dual/curves.png': 'stage dual',
  'targetnet/curves.png': 'stage targetnet',
  'refine/curves.png': 'stage refine',
}
_MODELS = {
  'compact': ' `compact` is the student alone.',
  'compact_before_refine': ' `compact_before_refine` is it before refinement.',
  'branched': ' `branched` is a trunk of the student with a copy of each '
  'teacher’s last blocks.',
  'noise': ' `noise` is `compact` distilled on noise images.',
  'real_data': ' `real_data` is the same distilled on the real training '
  'images: it uses data.',
}


_PAGE = """<!doctype html>
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


@contextlib.contextmanager
def _drawing() -> Iterator[None]:
  """Takes names as they are: no formulas, no warning for each strange letter.

  `missing_letters` tells of these once.
  """
  with mpl.rc_context({'text.parse_math': False}), warnings.catch_warnings():
    warnings.filterwarnings('ignore', 'Glyph .* missing from')
    yield


def missing_letters(texts: Sequence[str]) -> str:
  """Gives the letters of some texts that the font of pictures has not."""
  file = font_manager.findfont(font_manager.FontProperties())
  glyphs = font_manager.get_font(file).get_charmap()
  letters = {letter for text in texts for letter in text}
  return ''.join(sorted(x for x in letters if ord(x) not in glyphs))


def write(folder: pathlib.Path, results: Mapping) -> None:
  """Writes `results.json`, and the report as `report.md` and `report.html`.

  The latter holds the pictures that are there already, and needs nothing else.
  """
  text = json.dumps(results, indent=1, ensure_ascii=False)
  (folder / 'results.json').write_text(text + '\n', encoding='utf-8')
  pictures = [
    f'![{what}]({path})'
    for path, what in _PICTURES.items()
    if (folder / path).exists()
  ]
  text = _report(results, pictures)
  (folder / 'report.md').write_text(text, encoding='utf-8')
  title = f'{results["experiment"]}, seed {results["seed"]}'
  page = _page(folder, title, text)
  (folder / 'report.html').write_text(page, encoding='utf-8')


def _page(folder: pathlib.Path, title: str, text: str) -> str:
  """A Markdown text and its pictures as one page of HTML."""
  body = MarkdownIt('commonmark', {'html': False}).enable('table').render(text)

  def picture(found):
    image = base64.b64encode((folder / found[1]).read_bytes()).decode()
    return f'src="data:image/png;base64,{image}"'

  body = re.sub(r'src="([^"]+\.png)"', picture, body)
  return _PAGE.format(title=html.escape(title), body=body)


def table(results: Mapping, escape: Callable[[str], str] = printable) -> str:
  """The results as a Markdown table, one row per model.

  Args:
    results: what `results.json` holds.
    escape: of a model's name, for where the table is shown.
  """
  share = {
    name: results['metrics']['teachers'][name] for name in ('params', 'flops')
  }
  # Without real images there is only what the generator makes.
  real = any(results['metrics']['teachers'][k] is not None for k in COLUMNS)
  columns = COLUMNS if real else ('agreement',)
  rows = [
    ['model', *columns, 'parameters', 'FLOPs per image'],
    ['---'] + ['---:'] * (len(columns) + 2),
  ]
  for name, row in results['metrics'].items():
    scores = ['–' if row.get(k) is None else f'{row[k]:.4f}' for k in columns]
    # What a teacher of somebody's own does not call 'params' is not counted.
    costs = [
      f'{row[k]:,} ({row[k] / whole:.0%})' if whole else f'{row[k]:,}'
      for k, whole in share.items()
    ]
    rows.append([escape(name), *scores, *costs])
  return align(rows)


@_drawing()
def samples(
  path: pathlib.Path,
  labels: Sequence[str],
  generated: np.ndarray,
  said: np.ndarray,
  real: tuple[np.ndarray, np.ndarray] | None = None,
) -> None:
  """Draws images, one row per label.

  Args:
    path: of the PNG.
    labels: names of the rows.
    generated: images [n, h, w, c] in [0, 1].
    said: the teachers' logits of each label, [n, L]; a row shows images whose
      most probable label is the row's, as they come.
    real: images and targets to draw on the right, of the same form.
  """
  panels = [('generated', generated, said)]
  if real is not None:
    panels.append(('real', *real))
  figure = Figure(
    (4 * len(panels), 0.4 * len(labels) + 0.4), layout='constrained'
  )
  axes = figure.subplots(1, len(panels), squeeze=False)
  for axis, (title, images, scores) in zip(axes[0], panels, strict=True):
    axis.imshow(_grid(images, scores), cmap='gray', vmin=0, vmax=1)
    height = images.shape[1] + 1
    axis.set_xticks([])
    axis.set_yticks([(i + 0.5) * height for i in range(len(labels))], labels)
    axis.set_title(title, fontsize=10)
  figure.savefig(path, dpi=_DPI)


@_drawing()
def curves(folder: pathlib.Path) -> None:
  """Draws a stage's scalars over its steps into `curves.png`."""
  phases = metrics_log.read_metrics(folder)
  rows = [row for own in phases.values() for row in own]
  names = sorted(
    {k for row in rows for k, v in row.items() if isinstance(v, float)}
  )
  if not names:
    return
  height = -(-len(names) // 3)
  figure = Figure((11, 2.4 * height), layout='constrained')
  axes = figure.subplots(height, 3, squeeze=False)
  for axis, name in zip(axes.flat, names, strict=False):
    for phase, own in phases.items():
      points = [(r['step'], r[name]) for r in own if name in r]
      if points:
        axis.plot(*zip(*points, strict=True), label=phase, linewidth=1)
    axis.set_title(name, fontsize=9)
    axis.tick_params(labelsize=7)
  for axis in axes.flat[len(names) :]:
    axis.set_axis_off()
  if len(phases) > 1:
    axes.flat[0].legend(fontsize=7)
  figure.savefig(folder / 'curves.png', dpi=_DPI)


def per_label(results: Mapping) -> str:
  """A Markdown table of what student and teachers say of each label."""
  columns = {
    'student_ap': 'AP, student',
    'teachers_ap': 'AP, teachers',
    'student_only': 'only the student says so',
    'teachers_only': 'only the teachers do',
  }
  rows = [['label', *columns.values()], ['---'] + ['---:'] * len(columns)]
  for label, row in results['per_label'].items():
    found = [row[k] for k in columns]
    aps = ['–' if x is None else f'{x:.4f}' for x in found[:2]]
    rows.append([_plain(label), *aps, *(f'{x:.2%}' for x in found[2:])])
  return align(rows)


def _report(results: Mapping, pictures: Sequence[str]) -> str:
  seconds = ', '.join(f'{k} {v:.0f}' for k, v in results['seconds'].items())
  versions = ', '.join(f'{k} {v}' for k, v in results['versions'].items())
  oracle = (
    ', its weights chosen by accuracy on real data (oracle)'
    if results['oracle']
    else ''
  )
  said = table(results, _plain)
  return '\n'.join(
    [
      f'# {_plain(results["experiment"])}, seed {results["seed"]}',
      '',
      f'Objective: {_plain(results["objective"])}{oracle}. '
      f'Labels: {", ".join(map(_plain, results["labels"]))}.'
      + _images(results),
      '',
      said,
      '',
      'Shares are of the teachers together. Each teacher is measured on its '
      'own labels.'
      + ''.join(v for k, v in _MODELS.items() if k in results['metrics'])
      + ('' if 'mAP' in said else _AGREEMENT),
      '',
      '## Labels',
      '',
      'Average precision, and the share of '
      + ('test' if 'mAP' in said else 'generated')
      + ' images on which only one of the two says, at probability 0.5, that '
      'the label is there.',
      '',
      per_label(results),
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
      '\n\n'.join(pictures),
      '',
    ]
  )


def _images(results: Mapping) -> str:
  """How many real images each data set had; nothing if there were none."""
  # Results that were written by an earlier version do not say so.
  sets = [
    f'{_plain(name)} {n["train"]:,} and {n["test"]:,}'
    for name, n in results.get('images', {}).items()
  ]
  return f' Training and test images: {"; ".join(sets)}.' if sets else ''


def _plain(text: str) -> str:
  """Escapes text from outside, so that Markdown sees nothing more in it."""
  # Within a word an underscore means nothing; '1.' and '-' begin lists.
  text = re.sub(
    r'[\\`*~#!>\[\]<&|]|(?<![^\W_])_|_(?![^\W_])|^[-+]',
    r'\\\g<0>',
    printable(text),
  )
  return re.sub(r'^(\d+)([.)])', r'\1\\\2', text)


def _branch_points(results: Mapping) -> list[str]:
  if not results['branch_points']:
    return []
  points = [
    f'* {_plain(name)}: after block {point}; '
    + ', '.join(
      f'L_d^{b} = {x:.4f}'
      for b, x in enumerate(results['branch_losses'][name], start=1)
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
    *points,
    '',
  ]


def _routing(results: Mapping) -> str:
  said = (
    'Each generated image belongs to one teacher.'
    if results['routed']
    else 'Every generated image is judged by all teachers.'
  )
  if results['misfits']:
    factors = ', '.join(
      f'{x:.2f} ({_plain(m)})' for m, x in results['misfits'].items()
    )
    said += (
      " In a short routed training, all images together fitted the teachers' "
      f'statistics worse than their own by a factor of {factors}.'
    )
  return said


def _grid(images: np.ndarray, scores: np.ndarray) -> np.ndarray:
  _, height, width, channels = images.shape
  rows = scores.shape[1]
  canvas = np.ones(
    (rows * (height + 1), _PER_LABEL * (width + 1), channels), np.float32
  )
  # A real image may carry a label that is hard to see: NaN.
  top = np.nan_to_num(scores).argmax(axis=1)
  for row in range(rows):
    for column, i in enumerate(np.flatnonzero(top == row)[:_PER_LABEL]):
      y, x = row * (height + 1), column * (width + 1)
      canvas[y : y + height, x : x + width] = images[i]
  return canvas[..., 0] if channels == 1 else canvas
