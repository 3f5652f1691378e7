"""Real data: to pretrain teachers, for one baseline, and to evaluate.

Nothing else may import this module.
"""

import dataclasses
import io
import logging
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import ml_collections
import numpy as np

from dualgan_jax import overlay, pictures, voc
from dualgan_jax.errors import UserError, first_line

PARTS = ('train', 'test')
# The one source that is neither on the Hub nor in a folder.
_BUNDLED = 'scikit-learn/digits'


@dataclasses.dataclass(frozen=True)
class Split:
  """Images with their labels.

  Attributes:
    images: uint8 [n, h, w, c].
    targets: 0 or 1, float32 [n, labels of the data set]; NaN where the data set
      does not want to say, since the label is there, but hard to see.
    names: of the labels, in the order of the columns.
  """

  images: np.ndarray
  targets: np.ndarray
  names: tuple[str, ...]

  def columns(self, labels: Sequence[str]) -> np.ndarray:
    """The targets of some labels, in that order, [n, len(labels)].

    A label that the data set does not have is on none of its images.
    """
    found = np.zeros((len(self.targets), len(labels)), np.float32)
    for i, label in enumerate(labels):
      if label in self.names:
        found[:, i] = self.targets[:, self.names.index(label)]
    return found

  def showing(self, labels: Sequence[str]) -> 'Split':
    """Only the images that carry at least one of these labels."""
    rows = self.columns(labels).any(axis=1)
    return dataclasses.replace(
      self, images=self.images[rows], targets=self.targets[rows]
    )

  def refuse_unknown(self, field: str, labels: Sequence[str]) -> None:
    """Sees that all labels are the data set's.

    Raises:
      UserError: one is not; names it and `field`.
    """
    missing = [x for x in labels if x not in self.names]
    if missing:
      raise UserError(
        f'{field}: the data set has no {", ".join(map(repr, missing))}; it has '
        f'{", ".join(map(repr, self.names))}.'
      )


def load(
  name: str,
  own: ml_collections.FrozenConfigDict,
  part: str,
  image: tuple[int, int, int],
  seed: int,
) -> Split:
  """Loads one part of a data set.

  Args:
    name: of the set in the config, for messages.
    own: the config's group `data.<name>`: `source`, a data set's name on the
      Hugging Face Hub, or 'scikit-learn/digits' for the 1,797 images of 8×8
      that scikit-learn bundles, or 'PASCAL/VOC2007'; `path`, a folder of the
      Hub's form to take instead, or the VOCdevkit; `test_fraction`, the share
      to keep for testing of a set without a test part; `overlay`, how often
      each training image is laid over another (`overlay.pairs`), 0 for not; a
      test image is so once.
    part: one of `PARTS`.
    image: (height, width, channels); the images get these channels, and keep
      their size, if all have the same. Others are brought to this one.
    seed: draws the test part of a set that has none.

  Raises:
    UserError: the set is not there, or not of a form that we can read.
  """
  if own.source == _BUNDLED and not own.path:
    split = _digits(name, own, part, seed, image[-1])
  elif own.source == voc.SOURCE:
    _refuse_fraction(name, own)
    files, targets = voc.read(name, own.path, part)
    if part == 'train':  # what is found at the end is found too late
      voc.read(name, own.path, 'test')
    images = _images(name, files, len(files), image, resize=True)
    split = Split(images, targets, voc.LABELS)
  else:
    split = _hub(name, own, part, seed, image)
  if not own.overlay:
    return split
  times = own.overlay if part == 'train' else 1
  return overlay.pairs(split, PARTS.index(part), times)


def _digits(name, own, part, seed, channels):
  # scikit-learn takes a second to import: only who opens data pays for it.
  from sklearn import datasets

  digits = datasets.load_digits()
  rows = _drawn(name, own, part, seed, digits.target)
  images = np.uint8(digits.images[rows] * 255 / 16)
  return Split(
    np.repeat(images[..., None], channels, axis=-1),
    np.eye(10, dtype=np.float32)[digits.target[rows]],
    tuple(str(x) for x in digits.target_names),
  )


def _hub(name, own, part, seed, image):
  parts = _open(name, own)
  import datasets

  empty = [x for x in ('train', 'test') if x in parts and not len(parts[x])]
  if empty:
    raise UserError(
      f'data.{name}.source: its part {empty[0]} has no images; bring it again.'
    )
  if 'train' not in parts:
    raise UserError(
      f'data.{name}.source: it has no part named train; it has '
      f'{", ".join(parts)}.'
    )
  if 'test' in parts:
    _refuse_fraction(name, own)
  there = part if 'test' in parts else 'train'
  table = parts[there]
  image_column, names, targets = _labelled(name, there, table)
  if part == 'train' and 'test' in parts:
    # What is found at the end is found too late.
    _labelled(name, 'test', parts['test'])
  if 'test' not in parts:
    rows = _drawn(name, own, part, seed, targets.argmax(axis=1))
    table, targets = table.select(rows), targets[rows]
  # Decoding them ourselves is faster, and tells which one is broken.
  column = datasets.Image(decode=False)
  files = (
    x and (io.BytesIO(x['bytes']) if x['bytes'] else x['path'])
    for x in table.cast_column(image_column, column)[image_column]
  )
  return Split(_images(name, files, len(table), image), targets, names)


def _labelled(
  name: str, part: str, table: Any
) -> tuple[str, tuple[str, ...], np.ndarray]:
  """The image column, the labels and the targets of a part."""
  image_column, label_columns = _columns(name, table.features)
  names = tuple(
    label
    for column in label_columns
    for label in _class_label(table.features[column]).names
  )
  if len(set(names)) < len(names):
    raise UserError(
      f'data.{name}.source: two label columns of it share a label; keep one of '
      f'{", ".join(label_columns)}.'
    )
  targets = np.concatenate(
    [_targets(table, column) for column in label_columns], axis=1
  )
  if not targets.any():
    raise UserError(
      f'data.{name}.source: no image of its part {part} has a label; take a '
      'set whose labels are given.'
    )
  return image_column, names, targets


def _refuse_fraction(name: str, own: Any) -> None:
  if own.test_fraction is not None:
    raise UserError(
      f'data.{name}.test_fraction: the data set has a test part of its own; '
      'set it to None.'
    )


def _open(name: str, own: Any) -> Any:
  """The set's parts by name."""
  try:
    import datasets
  except ImportError as e:
    raise UserError(
      f'data.{name}.source: reading it needs the library `datasets`; '
      "pip install '.[data]' brings it."
    ) from e

  origin, folder = own.source, None
  if own.path:
    folder = pathlib.Path(os.path.expanduser(own.path))
    if not folder.is_dir():
      raise UserError(
        f'data.{name}.path: there is no folder {folder}; give one that '
        f'datasets.load_dataset reads, or none to get {own.source} from the '
        'Hugging Face Hub.'
      )
    origin = str(folder)
  # One sentence of ours says it all.
  datasets.disable_progress_bars()
  logging.getLogger('huggingface_hub').setLevel(logging.CRITICAL)
  try:
    parts = datasets.load_dataset(
      origin, download_config=datasets.DownloadConfig(max_retries=0)
    )
  except Exception as e:  # whatever its many readers may raise
    where = origin if own.path else f'{origin} on the Hugging Face Hub'
    raise UserError(
      f'data.{name}: nothing readable in {where} ({first_line(e)}); '
      f'bring it into a folder, and name that: --config.data.{name}.path=DIR.'
    ) from e
  if folder is not None:
    _refuse_unlike(name, folder)
  return parts


def _refuse_unlike(name: str, folder: pathlib.Path) -> None:
  """Sees that all Parquet files of a folder number their labels alike.

  `datasets` reads all of them by the names of the first.
  """
  import datasets
  from pyarrow import parquet

  first = {}
  for file in sorted(folder.rglob('*.parquet')):
    features = datasets.Features.from_arrow_schema(parquet.read_schema(file))
    for column, feature in features.items():
      label = _class_label(feature)
      if label is None:
        continue
      names, other = first.setdefault(column, (label.names, file))
      if names != label.names:
        raise UserError(
          f'data.{name}.path: {file} numbers the labels of its column {column} '
          f'otherwise than {other}; write both with the same ClassLabel.'
        )


def _columns(name: str, features: Any) -> tuple[str, list[str]]:
  """The image column and the label columns, found by their types."""
  import datasets

  images = [k for k, f in features.items() if isinstance(f, datasets.Image)]
  labels = [k for k, f in features.items() if _class_label(f) is not None]
  if len(images) != 1 or not labels:
    raise UserError(
      f'data.{name}.source: it needs one column of type Image and at least one '
      'of type ClassLabel or list of ClassLabel; it has '
      + ', '.join(f'{k}: {type(f).__name__}' for k, f in features.items())
      + '.'
    )
  return images[0], labels


def _class_label(feature: Any) -> Any:
  """The ClassLabel of a label or label-list column, None for another."""
  import datasets

  feature = getattr(feature, 'feature', feature)
  return feature if isinstance(feature, datasets.ClassLabel) else None


def _targets(table: Any, column: str) -> np.ndarray:
  classes = _class_label(table.features[column]).num_classes
  targets = np.zeros((len(table), classes), np.float32)
  for row, value in enumerate(table[column]):
    for label in value if isinstance(value, list) else [value]:
      # The Hub writes -1 or nothing for a label that is not known.
      if label is not None and label >= 0:
        targets[row, label] = 1
  return targets


def _images(
  name: str,
  files: Iterable[Any],
  count: int,
  image: tuple[int, int, int],
  *,
  resize: bool = False,
) -> np.ndarray:
  """Decodes `count` images; of one size, if they aren't or if asked.

  Only those of one size are held as large as they are.
  """
  *wanted, channels = image
  size = tuple(wanted) if resize else None
  images = None
  for row, file in enumerate(files):
    try:
      x = pictures.read(file, channels, size)
    except pictures.UNREADABLE as e:
      raise UserError(
        f'data.{name}.source: image {row} cannot be read ({e}); mend it or '
        'take it out.'
      ) from e
    if images is None:
      images = np.empty((count, *x.shape), np.uint8)
    if x.shape != images.shape[1:]:
      size = tuple(wanted)
      held, images = images[:row], np.empty((count, *image), np.uint8)
      for i, own in enumerate(held):
        images[i] = pictures.resized(own, size)
      x = pictures.resized(x, size)
    images[row] = x
  return images


def _drawn(name, own, part, seed, classes):
  """The rows of one part of a set that has no test part."""
  from sklearn import model_selection

  field = f'data.{name}.test_fraction'
  if own.test_fraction is None:
    raise UserError(
      f'{field}: the data set has no test part; give the share to keep as one, '
      'like 0.2.'
    )
  # What there is only once cannot be on both sides: it goes with the others.
  counts = np.bincount(classes)
  classes = np.where(counts[classes] < 2, counts.argmax(), classes)
  try:
    parts = model_selection.train_test_split(
      np.arange(len(classes)),
      test_size=own.test_fraction,
      stratify=classes,
      random_state=seed,
    )
  except ValueError as e:
    raise UserError(f'{field}: {e}; take one nearer 0.5.') from e
  return parts[PARTS.index(part)]
