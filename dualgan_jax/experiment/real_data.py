"""Loads the real data of a run, for the stages that may open it.

These stages are `pretrain`, `baselines` and `evaluate`. No other module may
import this one, so that the other stages are data-free by construction.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dualgan_jax.config import teacher_groups
from dualgan_jax.config.fields import Experiment
from dualgan_jax.config.teacher_groups import TrainedTeacher
from dualgan_jax.display import format_shape
from dualgan_jax.errors import UserError
from dualgan_jax.stages import distillation
from dualgan_jax.teachers.teacher import Teacher
from dualgan_jax.training import console
from dualgan_jax.training.image_batches import RealImages, scale_and_resize

if TYPE_CHECKING:
  from dualgan_jax.data.sources import Split


def load(config: Experiment, name: str, part: str) -> 'Split':
  """Loads a part of a data set.

  Args:
    config: the run's config.
    name: name of the set in `config.data`.
    part: 'train' or 'test'.

  Raises:
    UserError: the data cannot be read.
  """
  # Imported late, so that a run without data needs no package that reads them.
  from dualgan_jax.data import sources

  return sources.load(
    name, config.data[name], part, config.image_shape, config.seed
  )


def check(
  config: Experiment,
) -> dict[str, 'Split']:
  """Reads all data, also the test parts, before anything is trained.

  Labels of Y_cst that no set has are an error, unless every set also trains a
  teacher. They are then listed on the console, and measured nowhere.

  Args:
    config: the run's config.

  Returns:
    The training parts, by name of the set.

  Raises:
    UserError: data cannot be read, or lack labels of Y_cst.
  """
  from dualgan_jax.data import sources

  # A fault in a test image would otherwise show after hours of training.
  splits = {
    name: sources.check(name, data_config, config.image_shape, config.seed)
    for name, data_config in config.data.items()
  }
  for name, split in splits.items():
    if config.data[name].clients:
      shares = _draw_shares(config, name, split)
      console.say(
        f'data.{name}: training images of the clients: '
        f'{", ".join(f"{len(rows):,}" for rows in shares)}'
      )
  _check_labels(
    config,
    {label for split in splits.values() for label in split.label_names},
  )
  return splits


def _check_labels(config: Experiment, known_labels: set[str]) -> None:
  """Checks that the labels of Y_cst are among those of the data."""
  trained_teachers = [
    teacher
    for teacher in config.teachers.values()
    if isinstance(teacher, TrainedTeacher)
  ]
  missing_labels = [
    label for label in config.labels if label not in known_labels
  ]
  # Data that all teachers are trained on have their labels by definition.
  all_are_trained = len(trained_teachers) == len(config.teachers)
  if not config.data or all_are_trained or not missing_labels:
    return
  problem = f'labels: no data set has {", ".join(map(repr, missing_labels))}'
  hint = f'they have {", ".join(map(repr, sorted(known_labels)))}'
  # Sets that are needed for a training cannot be taken out of the config.
  if {*config.data} <= {teacher.data for teacher in trained_teachers}:
    console.say(f'{problem}, which are measured nowhere; {hint}')
    return
  raise UserError(
    f'{problem}, so nothing could be measured; {hint}. Name the labels of the '
    'teachers as the data do, or take the data out.'
  )


def load_for_teacher(
  config: Experiment,
  name: str,
  splits: Mapping[str, 'Split'],
) -> RealImages:
  """Selects the images that a teacher is trained on.

  Args:
    config: the run's config.
    name: name of the teacher.
    splits: the training parts, by name of the set.

  Returns:
    Its images, with targets [N, |Y_m|] of 0 or 1.

  Raises:
    UserError: the data do not fit the teacher's labels.
  """
  teacher_config = config.teachers[name]
  labels = teacher_config.labels
  split = splits[teacher_config.data]
  split.check_labels(f'teachers.{name}.labels', labels)
  max_images = 0
  if teacher_config.client is not None:
    shares = _draw_shares(config, teacher_config.data, split)
    max_images = max(map(len, shares))
    rows = shares[teacher_config.client]
    split = dataclasses.replace(
      split, images=split.images[rows], targets=split.targets[rows]
    )
  if _is_trained_on_its_labels(teacher_config, config):
    split = split.with_any_label(labels)
  if not len(split.images):
    client = teacher_config.client
    owner = '' if client is None else f', client {client},'
    raise UserError(
      f'teachers.{name}.labels: no training image of data.'
      f'{teacher_config.data}{owner} carries one of them; name others.'
    )
  # NaN marks a label that is hard to see: it is there.
  targets = np.nan_to_num(split.label_targets(labels), nan=1.0)
  if teacher_config.single_label and (targets.sum(axis=1) > 1).any():
    raise UserError(
      f'teachers.{name}.single_label: images of data.{teacher_config.data} '
      'carry several of its labels; set it to False.'
    )
  images = _augment(config, teacher_config.data, split, targets)
  # One program serves all clients.
  return images.pad(max_images) if max_images else images


def count_images(
  config: Experiment, splits: Sequence['Split'], name: str
) -> int:
  """Counts the images that a teacher is trained on.

  Args:
    config: the run's config.
    splits: the training parts, in the order of `config.data`.
    name: name of the teacher.
  """
  splits_by_name = dict(zip(config.data, splits, strict=True))
  return int(load_for_teacher(config, name, splits_by_name).size)


def _draw_shares(
  config: Experiment, name: str, split: 'Split'
) -> list[np.ndarray]:
  """Draws the rows of a training part that each client has."""
  from dualgan_jax.data import client_split

  data_config = config.data[name]
  return client_split.draw_shares(
    name,
    split.targets,
    num_clients=data_config.clients,
    alpha=data_config.alpha,
    seed=config.seed,
  )


def load_for_baseline(
  config: Experiment,
  relevant_teachers: Sequence[Teacher],
  *,
  foreign_labels_absent: bool,
) -> distillation.RealImageSets:
  """Loads all training images, with a mask of the teachers that answer them.

  Args:
    config: the run's config.
    relevant_teachers: the M teachers that answer.
    foreign_labels_absent: whether a teacher's labels count as absent from an
      image that it was not trained for. A teacher with one label per image
      names a label for any image, so that it only answers images that carry one
      of its labels.

  Returns:
    The images, with answer masks [N, M] per set.

  Raises:
    UserError: the data cannot be read.
  """
  data_sets = []
  for name in config.data:
    split = load(config, name, 'train')
    answer_mask = np.ones((len(split.images), len(relevant_teachers)), bool)
    if foreign_labels_absent:
      for column, teacher in enumerate(relevant_teachers):
        teacher_config = config.teachers[teacher.name]
        # Without a set, nobody knows what it was trained on.
        if teacher_config.data not in (None, name):
          answer_mask[:, column] = False
        elif teacher.single_label or (
          isinstance(teacher_config, TrainedTeacher)
          and _is_trained_on_its_labels(teacher_config, config)
        ):
          # It has never learned to answer other images.
          targets = split.label_targets(teacher.labels)
          answer_mask[:, column] = targets.any(axis=1)
    # Real images are changed as generated ones, and not as the teachers' were.
    data_sets.append(RealImages(split.images, answer_mask))
  return distillation.RealImageSets(tuple(data_sets), config.image_shape[:2])


def _is_trained_on_its_labels(
  teacher_config: teacher_groups.Teacher,
  config: Experiment,
) -> bool:
  """Returns whether each training image carries a label of the teacher."""
  return teacher_config.single_label or config.pretrain.teacher_data == 'own'


def _augment(
  config: Experiment,
  name: str,
  split: 'Split',
  targets: np.ndarray,
) -> RealImages:
  """Adds the augmentations of a data set to its images."""
  data_config = config.data[name]
  image_size = split.images.shape[1:3]
  if data_config.shift >= min(image_size):
    raise UserError(
      f'data.{name}.shift: {data_config.shift} pixels move images of '
      f'{format_shape(image_size)} out of sight; take fewer.'
    )
  return RealImages(
    split.images, targets, shift=data_config.shift, flip=data_config.flip
  )


def sample(
  config: Experiment,
  splits: Iterable['Split'],
  max_images: int,
) -> tuple[np.ndarray, np.ndarray]:
  """Takes training images to look at, and their targets on Y_cst.

  Args:
    config: the run's config.
    splits: the training parts.
    max_images: number of images of a data set.

  Returns:
    Images, float32 [N, height, width, channels] in [0, 1], and their targets
    [N, |Y_cst|].
  """
  images, targets = [], []
  for split in splits:
    # Other images show nothing of the labels that the picture is about.
    labelled = split.with_any_label(config.labels)
    images.append(
      np.asarray(
        scale_and_resize(labelled.images[:max_images], config.image_shape[:2])
      )
    )
    targets.append(labelled.label_targets(config.labels)[:max_images])
  return np.concatenate(images), np.concatenate(targets)
