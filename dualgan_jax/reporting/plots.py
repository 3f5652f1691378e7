"""Draws the pictures of a run: images by label, and curves of its stages."""

import contextlib
import pathlib
import warnings
from collections.abc import Iterator, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.figure import Figure
from PIL import Image

from dualgan_jax.training import metrics_log

_IMAGES_PER_LABEL = 10
_DOTS_PER_INCH = 110
_MAX_THUMBNAIL = 160  # pixels of its longer side
_MAX_GRID_IMAGE = 32  # pixels of an image's longer side in a grid


@contextlib.contextmanager
def _drawing() -> Iterator[None]:
  """Draws names as they are: no formulas, no warning for each missing letter.

  `missing_letters` reports them once.
  """
  with mpl.rc_context({'text.parse_math': False}), warnings.catch_warnings():
    warnings.filterwarnings('ignore', 'Glyph .* missing from')
    yield


def missing_letters(texts: Sequence[str]) -> str:
  """Returns the letters of some texts that the font of pictures lacks."""
  font_file = font_manager.findfont(font_manager.FontProperties())
  font_glyphs = font_manager.get_font(font_file).get_charmap()
  letters = {letter for text in texts for letter in text}
  return ''.join(
    sorted(letter for letter in letters if ord(letter) not in font_glyphs)
  )


@_drawing()
def draw_samples(
  path: pathlib.Path,
  labels: Sequence[str],
  generated_images: np.ndarray,
  teacher_logits: np.ndarray,
  real: tuple[np.ndarray, np.ndarray] | None = None,
) -> None:
  """Draws images, one row per label.

  A row shows the first images whose most probable label is the row's, or one
  of several that are as probable.

  Args:
    path: path of the PNG to write.
    labels: names of the rows.
    generated_images: float [n, h, w, c] in [0, 1].
    teacher_logits: the ensemble's, of each label, [n, L].
    real: real images and their targets, of the same shapes, to draw on the
      right.
  """
  panels = [('generated', generated_images, teacher_logits)]
  if real is not None:
    panels.append(('real', *real))
  # In inches: rows stay as high, however many labels there are.
  figure = Figure(
    (4 * len(panels), 0.4 * len(labels) + 0.4), layout='constrained'
  )
  all_axes = figure.subplots(1, len(panels), squeeze=False)
  for axes, (title, images, scores) in zip(all_axes[0], panels, strict=True):
    axes.imshow(_grid(images, scores), cmap='gray', vmin=0, vmax=1)
    axes.set_xticks([])
    # A label stands at the middle of its row, which has a white line below.
    row_height = images.shape[1] + 1
    row_centres = [(row + 0.5) * row_height for row in range(len(labels))]
    axes.set_yticks(row_centres, labels)
    axes.set_title(title, fontsize=10)
  figure.savefig(path, dpi=_DOTS_PER_INCH, bbox_inches='tight')


def write_grid(
  path: pathlib.Path, images: np.ndarray, scores: np.ndarray
) -> None:
  """Writes the grid of `draw_samples` as it is, transparent between images.

  Its rows have no names, and are equally high: a page cuts them apart.

  Args:
    path: path of the PNG to write.
    images: float [n, h, w, 1 or 3] in [0, 1]; large ones are made smaller.
    scores: [n, L]; NaN for a label that is hard to see.
  """
  images = _reduce(images, -(-max(images.shape[1:3]) // _MAX_GRID_IMAGE))
  # Black images on white show where images stand.
  is_gap = _grid(np.zeros_like(images[..., :1]), scores)
  grid = np.dstack([_grid(images, scores), 1 - is_gap])
  pixels = np.rint(255 * grid.clip(0, 1)).astype(np.uint8)
  Image.fromarray(pixels).save(path)


@_drawing()
def draw_curves(folder: pathlib.Path) -> None:
  """Draws a stage's scalars over its steps into `curves.png`.

  Args:
    folder: the stage's, which holds its `metrics.jsonl`.
  """
  phase_rows = metrics_log.read_metrics(folder)
  # Steps are integers and vectors lists, so floats are the scalars.
  scalar_names = sorted(
    {
      name
      for rows in phase_rows.values()
      for row in rows
      for name, value in row.items()
      if isinstance(value, float)
    }
  )
  if not scalar_names:
    return
  num_grid_rows = -(-len(scalar_names) // 3)
  figure = Figure((11, 2.4 * num_grid_rows), layout='constrained')
  all_axes = figure.subplots(num_grid_rows, 3, squeeze=False)
  for axes, name in zip(all_axes.flat, scalar_names, strict=False):
    for phase, rows in phase_rows.items():
      # A scalar that only some phases log has no curve of the others.
      points = [(row['step'], row[name]) for row in rows if name in row]
      if points:
        axes.plot(*zip(*points, strict=True), label=phase, linewidth=1)
    axes.set_title(name, fontsize=9)
    axes.tick_params(labelsize=7)
  # The last row of the grid may have places without a scalar.
  for axes in all_axes.flat[len(scalar_names) :]:
    axes.set_axis_off()
  if len(phase_rows) > 1:
    all_axes.flat[0].legend(fontsize=7)
  figure.savefig(folder / 'curves.png', dpi=_DOTS_PER_INCH)


def write_thumbnail(path: pathlib.Path, image: np.ndarray) -> None:
  """Writes an image as a PNG, made smaller if it is large.

  Args:
    path: path of the PNG to write.
    image: uint8 [h, w, 1 or 3].
  """
  picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
  picture.thumbnail((_MAX_THUMBNAIL, _MAX_THUMBNAIL))
  picture.save(path)


def _reduce(images: np.ndarray, factor: int) -> np.ndarray:
  """Makes images smaller, each pixel the mean of a block of them."""
  num_images, height, width, channels = images.shape
  # At least one block, also of an image that is narrower than one.
  block = min(factor, height), min(factor, width)
  rows, columns = height // block[0], width // block[1]
  return (
    images[:, : rows * block[0], : columns * block[1]]
    .reshape(num_images, rows, block[0], columns, block[1], channels)
    .mean(axis=(2, 4))
  )


def _grid(images: np.ndarray, scores: np.ndarray) -> np.ndarray:
  """Lays images on a white canvas, in the rows of their most probable labels.

  Args:
    images: [n, h, w, c] in [0, 1].
    scores: [n, L]; NaN for a label that is hard to see.

  Returns:
    [L · (h + 1), 10 · (w + 1), 3], or without the last axis for grey images.
  """
  _, height, width, channels = images.shape
  num_labels = scores.shape[1]
  # Rows and columns are divided by a line of one pixel.
  canvas = np.ones(
    (num_labels * (height + 1), _IMAGES_PER_LABEL * (width + 1), channels),
    np.float32,
  )
  # NaN would be the largest score. A real image may have several labels.
  scores = np.nan_to_num(scores)
  is_top_label = scores == scores.max(axis=1, keepdims=True)
  # Its only label may be one that is hard to see: it belongs to no row then.
  if num_labels > 1:
    is_top_label[is_top_label.all(axis=1)] = False
  for row in range(num_labels):
    indices = np.flatnonzero(is_top_label[:, row])[:_IMAGES_PER_LABEL]
    for column, index in enumerate(indices):
      y, x = row * (height + 1), column * (width + 1)
      canvas[y : y + height, x : x + width] = images[index]
  return canvas[..., 0] if channels == 1 else canvas
