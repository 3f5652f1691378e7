"""Loads real data: to pretrain teachers, for one baseline, and to evaluate.

No other stage may import this module.
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from dualgan_jax.config.fields import DataSet
from dualgan_jax.data import data_folder, hub, image_folder, overlay, voc2007
from dualgan_jax.data.image_files import ImageFiles
from dualgan_jax.errors import UserError
from dualgan_jax.training import console

PARTS = ('train', 'test')
# The only source that is neither on the Hub nor in a folder.
_BUNDLED = 'scikit-learn/digits'


@dataclasses.dataclass(frozen=True)
class Split:
  """Decoded images with their labels.

  Attributes:
    images: uint8 [n, h, w, c].
    targets: 0 or 1, float32 [n, num_labels of the data set]; NaN where the data
      set leaves it open, since the label is there, but hard to see.
    label_names: the labels, in the order of the columns of `targets`.
  """

  images: np.ndarray
  targets: np.ndarray
  label_names: tuple[str, ...]

  def label_targets(self, labels: Sequence[str]) -> np.ndarray:
    """Returns the targets of some labels, in that order.

    No image carries a label that the data set does not have.

    Args:
      labels: names of any labels.

    Returns:
      0, 1 or NaN, float32 [n, len(labels)].
    """
    targets = np.zeros((len(self.targets), len(labels)), np.float32)
    for column, label in enumerate(labels):
      if label in self.label_names:
        targets[:, column] = self.targets[:, self.label_names.index(label)]
    return targets

  def with_any_label(self, labels: Sequence[str]) -> 'Split':
    """Selects the images that carry at least one of these labels."""
    rows = self.label_targets(labels).any(axis=1)
    return dataclasses.replace(
      self, images=self.images[rows], targets=self.targets[rows]
    )

  def check_labels(self, field: str, labels: Sequence[str]) -> None:
    """Checks that the data set has all of these labels.

    Args:
      field: the config's field of the labels, for messages.
      labels: names of labels.

    Raises:
      UserError: it lacks some of them.
    """
    missing = [label for label in labels if label not in self.label_names]
    if missing:
      raise UserError(
        f'{field}: the data set has no {", ".join(map(repr, missing))}; it has '
        f'{", ".join(map(repr, self.label_names))}.'
      )


def load(
  data_name: str,
  data_config: DataSet,
  part: str,
  image_shape: tuple[int, int, int],
  seed: int,
) -> Split:
  """Loads one part of a data set.

  Args:
    data_name: the set's name in the config, for messages.
    data_config: the config's group `data.<data_name>`. Its `source` is a name
      on the Hugging Face Hub, 'scikit-learn/digits' or 'PASCAL/VOC2007'.
    part: one of `PARTS`.
    image_shape: (height, width, channels). Images get these channels, and keep
      their size if all have the same; otherwise they get this size.
    seed: seed that draws the test part of a set that has none.

  Returns:
    The part; overlaid images are 8 pixels higher and wider.

  Raises:
    UserError: the set is not there, or not of a form that we can read.
  """
  if _is_bundled(data_config):
    split = _load_digits(data_name, data_config, part, seed, image_shape[-1])
  else:
    image_files = _image_files(data_name, data_config, seed)[part]
    split = _decode(data_name, data_config, image_files, image_shape)
  return _overlaid(data_config, part, split)


def check(
  data_name: str,
  data_config: DataSet,
  image_shape: tuple[int, int, int],
  seed: int,
) -> Split:
  """Reads both parts of a data set before anything is trained.

  A fault in a part that only the last stage needs is so found at once, not
  after hours. The console names labelled parts that are not read, and the
  number of test images that are training images, too. Arguments are those of
  `load`.

  Returns:
    The training part, as `load` gives it.

  Raises:
    UserError: `load` would raise it for one of the parts, or they do not fit
      each other.
  """
  if _is_bundled(data_config):
    train, test = (
      _load_digits(data_name, data_config, part, seed, image_shape[-1])
      for part in PARTS
    )
  else:
    image_files = _image_files(data_name, data_config, seed, report_unread=True)
    _check_disjoint(data_name, image_files)
    train, test = (
      _decode(data_name, data_config, image_files[part], image_shape)
      for part in PARTS
    )
  _compare(data_name, train, test)
  if data_config.overlay:
    overlay.check(test)
  return _overlaid(data_config, 'train', train)


def _compare(data_name: str, train: Split, test: Split) -> None:
  """Reports labels and images by which two parts do not fit each other.

  Raises:
    UserError: they have no label in common.
  """
  # A label that no training image carries cannot be learned.
  trained, tested = ((split.targets > 0).any(axis=0) for split in (train, test))
  untrained_labels = np.array(test.label_names)[tested & ~trained]
  if tested.any() and not (trained & tested).any():
    raise UserError(
      f'data.{data_name}: no training image carries one of the labels of the '
      f'test images ({", ".join(untrained_labels)}); name them alike in both '
      'parts.'
    )
  if untrained_labels.size:
    console.say(
      f'data.{data_name}: no training image carries '
      f'{", ".join(untrained_labels)}'
    )

  # Equal images in both parts make a model look better than it is.
  def digests(split):
    return [hashlib.sha256(image).digest() for image in split.images]

  num_copies = np.isin(digests(test), digests(train)).sum()
  if num_copies:
    console.say(
      f'data.{data_name}: {num_copies:,} of {len(test.images):,} test images '
      'are equal to a training image'
    )


def _is_bundled(data_config: DataSet) -> bool:
  """Returns whether the set is the one that scikit-learn bundles."""
  return data_config.source == _BUNDLED and not data_config.path


def _overlaid(data_config: DataSet, part: str, split: Split) -> Split:
  """Returns images of two, if the config wants them; test images once each."""
  if not data_config.overlay:
    return split
  pairs_per_image = data_config.overlay if part == 'train' else 1
  # The part's index is the seed, so that parts draw other partners and shifts.
  return overlay.make_pairs(split, PARTS.index(part), pairs_per_image)


def _load_digits(data_name, data_config, part, seed, channels):
  """Loads a part of scikit-learn's 1,797 digits of 8×8 pixels."""
  # scikit-learn takes a second to import: only runs that open data pay for it.
  from sklearn import datasets

  digits = datasets.load_digits()
  rows = _draw_parts(data_name, data_config, seed, digits.target)[part]
  # Its pixels are 0 .. 16.
  images = np.uint8(digits.images[rows] * 255 / 16)
  return Split(
    np.repeat(images[..., None], channels, axis=-1),
    np.eye(10, dtype=np.float32)[digits.target[rows]],
    tuple(str(digit) for digit in digits.target_names),
  )


def _image_files(
  data_name: str,
  data_config: DataSet,
  seed: int,
  *,
  report_unread: bool = False,
) -> dict[str, ImageFiles]:
  """Finds both parts of a set of image files, without decoding them.

  Args:
    data_name: the set's name in the config.
    data_config: the config's group `data.<data_name>`.
    seed: seed that draws the test part of a set that has none.
    report_unread: whether the console names labelled parts that are not read.

  Returns:
    The parts, by `PARTS`.
  """
  # VOC lists the images of its parts itself.
  if data_config.source == voc2007.SOURCE:
    _check_no_fraction(data_name, data_config)
    return {
      part: voc2007.read(data_name, data_config.path, part) for part in PARTS
    }
  if data_config.train_part == data_config.test_part:
    raise UserError(
      f'data.{data_name}.test_part: it is the training part; name another.'
    )
  # `datasets` reads the folders that are not of a folder per label.
  folder = data_folder.find(data_name, data_config)
  parts = None
  if folder and not data_config.subset:
    parts = image_folder.read(data_name, data_config, folder)
  parts = parts or hub.read(data_name, data_config, folder)
  if report_unread and parts.unread_parts:
    console.say(
      f'data.{data_name}: not read: {", ".join(parts.unread_parts)}; '
      'train_part and test_part name the parts that are'
    )
  if parts.test is not None:
    _check_no_fraction(data_name, data_config)
    return {'train': parts.train, 'test': parts.test}
  # The set has no test part: draw it from the training images.
  if data_config.test_fraction is None:
    other_parts = ' or '.join(parts.unread_parts)
    raise UserError(
      f'data.{data_name}.test_part: the set has no part '
      f'{data_config.test_part}; '
      + (
        f'name {other_parts}, --config.data.{data_name}.test_part=NAME, or '
        if other_parts
        else ''
      )
      + 'give the share of the training images to keep as one, '
      f'--config.data.{data_name}.test_fraction=0.2.'
    )
  classes = parts.train.targets.argmax(axis=1)
  part_rows = _draw_parts(data_name, data_config, seed, classes)
  return {part: parts.train.select(part_rows[part]) for part in PARTS}


def _decode(
  data_name: str,
  data_config: DataSet,
  image_files: ImageFiles,
  image_shape: tuple[int, int, int],
) -> Split:
  """Decodes a part; images of VOC, which differ in size, are all resized."""
  resize = data_config.source == voc2007.SOURCE
  images = image_files.decode(data_name, image_shape, resize=resize)
  return Split(images, image_files.targets, image_files.label_names)


def _check_disjoint(
  data_name: str, image_files: Mapping[str, ImageFiles]
) -> None:
  """Raises UserError if an image file is in both parts."""
  train_files, test_files = (image_files[part] for part in PARTS)
  shared_paths = sorted(train_files.paths() & test_files.paths())
  if shared_paths:
    raise UserError(
      f'data.{data_name}.path: {len(shared_paths):,} image files are in two '
      f'parts, {train_files.part_name} and {test_files.part_name}, like '
      f'{shared_paths[0]}; put the parts into DIR/train and DIR/test, or name '
      f'their folders: --config.data.{data_name}.train_part=NAME '
      f'--config.data.{data_name}.test_part=NAME.'
    )


def _check_no_fraction(data_name: str, data_config: DataSet) -> None:
  """Raises UserError if the config gives a share to draw all the same."""
  if data_config.test_fraction is not None:
    raise UserError(
      f'data.{data_name}.test_fraction: the data set has a test part of its '
      'own; set it to None.'
    )


def _draw_parts(
  data_name: str, data_config: DataSet, seed: int, classes: np.ndarray
) -> dict[str, np.ndarray]:
  """Draws the parts of a set without a test part, stratified by class.

  Args:
    data_name: the set's name in the config, for messages.
    data_config: the config's group `data.<data_name>`.
    seed: seed of the draw.
    classes: the class of each row, int [n].

  Returns:
    The rows of each part, by `PARTS`.

  Raises:
    UserError: the config gives no share, or one that leaves a part without some
      class.
  """
  from sklearn import model_selection

  field = f'data.{data_name}.test_fraction'
  if data_config.test_fraction is None:
    raise UserError(
      f'{field}: the data set has no test part; give the share to keep as one, '
      'like 0.2.'
    )
  # A class of one image cannot be in both parts, which stratifying demands: its
  # image is drawn as one of the largest class.
  class_counts = np.bincount(classes)
  classes = np.where(class_counts[classes] < 2, class_counts.argmax(), classes)
  try:
    part_rows = model_selection.train_test_split(
      np.arange(len(classes)),
      test_size=data_config.test_fraction,
      stratify=classes,
      random_state=seed,
    )
  except ValueError as error:
    raise UserError(f'{field}: {error}; take one nearer 0.5.') from error
  return dict(zip(PARTS, part_rows, strict=True))
