"""Real data: to pretrain teachers, for one baseline, and to evaluate.

Nothing else may import this module.
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np

from dualgan_jax.data import data_folder, hub, image_folder, overlay, voc2007
from dualgan_jax.data.image_files import ImageFiles
from dualgan_jax.errors import UserError
from dualgan_jax.training import console

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
      Hub's form or of a folder per label to take instead, or the VOCdevkit;
      `subset`, the one of several that the Hub has under that name;
      `train_part` and `test_part`, what the set calls its parts;
      `image_column` and `label_column`, if they cannot be found by their types;
      `test_fraction`, the share to keep for testing of a set without a test
      part; `overlay`, how often each training image is laid over another
      (`overlay.pairs`), 0 for not; a test image is so once.
    part: one of `PARTS`.
    image: (height, width, channels); the images get these channels, and keep
      their size, if all have the same. Others are brought to this one.
    seed: draws the test part of a set that has none.

  Raises:
    UserError: the set is not there, or not of a form that we can read.
  """
  if _is_bundled(own):
    split = _digits(name, own, part, seed, image[-1])
  else:
    split = _decoded(name, own, _files(name, own, seed)[part], image)
  return _overlaid(own, part, split)


def check(
  name: str,
  own: ml_collections.FrozenConfigDict,
  image: tuple[int, int, int],
  seed: int,
) -> Split:
  """Reads both parts of a data set before anything is trained.

  What only the last stage needs is so missed first. Says which labelled parts
  are not read, and how many test images are training images, too.

  Args:
    name: as for `load`.
    own: as for `load`.
    image: as for `load`.
    seed: as for `load`.

  Returns:
    The training part, as `load` gives it.

  Raises:
    UserError: `load` would raise it for one of the parts, or they do not fit
      each other.
  """
  if _is_bundled(own):
    train, test = (_digits(name, own, x, seed, image[-1]) for x in PARTS)
  else:
    files = _files(name, own, seed, say_unread=True)
    _refuse_shared(name, files)
    train, test = (_decoded(name, own, files[x], image) for x in PARTS)
  _compare(name, train, test)
  if own.overlay:
    overlay.check(test)
  return _overlaid(own, 'train', train)


def _compare(name: str, train: Split, test: Split) -> None:
  """Says what is odd about two parts."""
  trained, tested = ((x.targets > 0).any(axis=0) for x in (train, test))
  untrained = np.array(test.names)[tested & ~trained]
  if tested.any() and not (trained & tested).any():
    raise UserError(
      f'data.{name}: no training image carries one of the labels of the test '
      f'images ({", ".join(untrained)}); name them alike in both parts.'
    )
  if untrained.size:
    console.say(
      f'data.{name}: no training image carries {", ".join(untrained)}'
    )

  def sums(split):
    return [hashlib.sha256(x).digest() for x in split.images]

  copies = np.isin(sums(test), sums(train)).sum()
  if copies:
    console.say(
      f'data.{name}: {copies:,} of {len(test.images):,} test images are equal '
      'to a training image'
    )


def _is_bundled(own: Any) -> bool:
  return own.source == _BUNDLED and not own.path


def _overlaid(own: Any, part: str, split: Split) -> Split:
  if not own.overlay:
    return split
  times = own.overlay if part == 'train' else 1
  return overlay.pairs(split, PARTS.index(part), times)


def _digits(name, own, part, seed, channels):
  # scikit-learn takes a second to import: only who opens data pays for it.
  from sklearn import datasets

  digits = datasets.load_digits()
  rows = _drawn(name, own, seed, digits.target)[part]
  images = np.uint8(digits.images[rows] * 255 / 16)
  return Split(
    np.repeat(images[..., None], channels, axis=-1),
    np.eye(10, dtype=np.float32)[digits.target[rows]],
    tuple(str(x) for x in digits.target_names),
  )


def _files(
  name: str, own: Any, seed: int, *, say_unread: bool = False
) -> dict[str, ImageFiles]:
  """Both parts of a set of image files, by `PARTS`."""
  if own.source == voc2007.SOURCE:
    _refuse_fraction(name, own)
    return {part: voc2007.read(name, own.path, part) for part in PARTS}
  if own.train_part == own.test_part:
    raise UserError(
      f'data.{name}.test_part: it is the training part; name another.'
    )
  folder = data_folder.find(name, own)
  parts = None
  if folder and not own.subset:
    parts = image_folder.read(name, own, folder)
  parts = parts or hub.read(name, own, folder)
  if say_unread and parts.unread:
    console.say(
      f'data.{name}: not read: {", ".join(parts.unread)}; train_part and '
      'test_part name the parts that are'
    )
  if parts.test is not None:
    _refuse_fraction(name, own)
    return {'train': parts.train, 'test': parts.test}
  if own.test_fraction is None:
    other = ' or '.join(parts.unread)
    raise UserError(
      f'data.{name}.test_part: the set has no part {own.test_part}; '
      + (
        f'name {other}, --config.data.{name}.test_part=NAME, or '
        if other
        else ''
      )
      + 'give the share of the training images to keep as one, '
      f'--config.data.{name}.test_fraction=0.2.'
    )
  rows = _drawn(name, own, seed, parts.train.targets.argmax(axis=1))
  return {part: parts.train.select(rows[part]) for part in PARTS}


def _decoded(
  name: str, own: Any, files: ImageFiles, image: tuple[int, int, int]
) -> Split:
  images = files.decoded(name, image, resize=own.source == voc2007.SOURCE)
  return Split(images, files.targets, files.names)


def _refuse_shared(name: str, files: Mapping[str, ImageFiles]) -> None:
  """Sees that no image file is in both parts."""
  shared = sorted(files['train'].paths() & files['test'].paths())
  if shared:
    raise UserError(
      f'data.{name}.path: {len(shared):,} image files are in two parts, '
      f'{files["train"].part} and {files["test"].part}, like {shared[0]}; put '
      'the parts into DIR/train and DIR/test, or name their folders: '
      f'--config.data.{name}.train_part=NAME --config.data.{name}.test_part='
      'NAME.'
    )


def _refuse_fraction(name: str, own: Any) -> None:
  if own.test_fraction is not None:
    raise UserError(
      f'data.{name}.test_fraction: the data set has a test part of its own; '
      'set it to None.'
    )


def _drawn(
  name: str, own: Any, seed: int, classes: np.ndarray
) -> dict[str, np.ndarray]:
  """The rows of the parts of a set that has no test part."""
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
  return dict(zip(PARTS, parts, strict=True))
