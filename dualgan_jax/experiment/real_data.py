"""The real data of a run, for the stages that may open any.

These are `pretrain`, `baselines` and `evaluate`; no other may import this.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import ml_collections
import numpy as np

from dualgan_jax.config.fields import teacher_kind
from dualgan_jax.errors import UserError
from dualgan_jax.stages import distillation
from dualgan_jax.teachers.teacher import Teacher
from dualgan_jax.training import console
from dualgan_jax.training.image_batches import RealImages, prepared

if TYPE_CHECKING:
  from dualgan_jax.data.sources import Split


def load(
  config: ml_collections.FrozenConfigDict, name: str, part: str
) -> 'Split':
  """One part of a data set of the config, 'train' or 'test'."""
  # Imported by the stages that may open real data, and by no other.
  from dualgan_jax.data import sources

  return sources.load(name, config.data[name], part, config.image, config.seed)


def check(
  config: ml_collections.FrozenConfigDict,
) -> dict[str, 'Split']:
  """Reads all data before anything is trained, the test parts too.

  Where teachers are trained on all of them, so that they must be there, it only
  says which labels are measured nowhere.

  Returns:
    The training parts by the names of the sets.

  Raises:
    UserError: data cannot be read, or those that are there to measure on do not
      have all wanted labels.
  """
  from dualgan_jax.data import sources

  splits = {
    name: sources.check(name, own, config.image, config.seed)
    for name, own in config.data.items()
  }
  _check_labels(
    config, {x for split in splits.values() for x in split.label_names}
  )
  return splits


def _check_labels(
  config: ml_collections.FrozenConfigDict, known: set[str]
) -> None:
  """Sees that the labels asked for are among those of the data."""
  trained = [t for t in config.teachers.values() if _trained_here(t)]
  missing = [x for x in config.labels if x not in known]
  if not config.data or len(trained) == len(config.teachers) or not missing:
    return
  said = f'labels: no data set has {", ".join(map(repr, missing))}'
  have = f'they have {", ".join(map(repr, sorted(known)))}'
  if {*config.data} <= {t.data for t in trained}:
    console.say(f'{said}, which are measured nowhere; {have}')
    return
  raise UserError(
    f'{said}, so nothing could be measured; {have}. Name the labels of the '
    'teachers as the data do, or take the data out.'
  )


def of_teacher(
  config: ml_collections.FrozenConfigDict,
  name: str,
  splits: Mapping[str, 'Split'],
) -> RealImages:
  """What a teacher is trained on.

  Args:
    config: the run's.
    name: the teacher's.
    splits: the training parts by the names of the sets.

  Returns:
    Its images, with targets on its labels.

  Raises:
    UserError: they do not fit the teacher's labels.
  """
  teacher = config.teachers[name]
  split = splits[teacher.data]
  split.check_labels(f'teachers.{name}.labels', teacher.labels)
  if _sees_own_only(teacher, config):
    split = split.with_any_label(teacher.labels)
  if not len(split.images):
    raise UserError(
      f'teachers.{name}.labels: no training image of data.{teacher.data} '
      'carries one of them; name others.'
    )
  # A label that is hard to see is there.
  targets = np.nan_to_num(split.label_targets(teacher.labels), nan=1.0)
  if teacher.single_label and (targets.sum(axis=1) > 1).any():
    raise UserError(
      f'teachers.{name}.single_label: images of data.{teacher.data} carry '
      'several of its labels; set it to False.'
    )
  return _augmented(config, teacher.data, split, targets)


def of_baseline(
  config: ml_collections.FrozenConfigDict,
  asked: Sequence[Teacher],
  *,
  absent: bool,
) -> distillation.RealImageSets:
  """All training images, and which teachers' answers to each count.

  Args:
    config: the run's.
    asked: the teachers who answer.
    absent: whether what a teacher was not trained on is absent to it. One with
      one label per image, wherever it is from, names one whatever it is shown,
      and counts where the image carries one of its labels.
  """
  sets = []
  for name in config.data:
    split = load(config, name, 'train')
    believed = np.ones((len(split.images), len(asked)), bool)
    if absent:
      for m, teacher in enumerate(asked):
        own = config.teachers[teacher.name]
        # Without a set, nobody knows what it was trained on.
        if own.data not in (None, name):
          believed[:, m] = False
        elif teacher.single_label or (
          _trained_here(own) and _sees_own_only(own, config)
        ):
          believed[:, m] = split.label_targets(teacher.labels).any(axis=1)
    sets.append(_augmented(config, name, split, believed))
  return distillation.RealImageSets(tuple(sets), config.image[:2])


def _trained_here(teacher: ml_collections.FrozenConfigDict) -> bool:
  return teacher_kind(teacher) == 'trained'


def _sees_own_only(
  teacher: ml_collections.FrozenConfigDict,
  config: ml_collections.FrozenConfigDict,
) -> bool:
  """Whether a teacher is trained on images of its own labels alone."""
  return teacher.single_label or config.pretrain.teacher_data == 'own'


def _augmented(config, name, split, targets):
  own = config.data[name]
  height, width = split.images.shape[1:3]
  if own.shift >= min(height, width):
    raise UserError(
      f'data.{name}.shift: {own.shift} pixels move images of {height}×{width} '
      'out of sight; take fewer.'
    )
  return RealImages(split.images, targets, shift=own.shift, flip=own.flip)


def some(
  config: ml_collections.FrozenConfigDict,
  splits: Iterable['Split'],
  most: int,
) -> tuple[np.ndarray, np.ndarray]:
  """Training images to look at, and their targets on Y_cst.

  Args:
    config: the run's.
    splits: the training parts.
    most: of one data set.

  Returns:
    float32 [n, h, w, c] in [0, 1], and [n, |Y_cst|].
  """
  images, targets = [], []
  for split in splits:
    wanted = split.with_any_label(config.labels)
    images.append(np.asarray(prepared(wanted.images[:most], config.image[:2])))
    targets.append(wanted.label_targets(config.labels)[:most])
  return np.concatenate(images), np.concatenate(targets)
