"""Builds the teachers of PyTorch weight files."""

import dataclasses
import functools

import jax.numpy as jnp

from dualgan_jax.config.teacher_groups import WeightsTeacher
from dualgan_jax.display import format_shape
from dualgan_jax.errors import UserError
from dualgan_jax.networks.architectures import ARCHITECTURES
from dualgan_jax.teachers import (
  preparation,
  reference_logits,
  weight_files,
  weight_matching,
)
from dualgan_jax.teachers.merging import merge_blocks
from dualgan_jax.teachers.teacher import Teacher, from_classifier, prepared


def build(
  name: str,
  teacher_config: WeightsTeacher,
  default_image_shape: tuple[int, int, int],
  dtype: jnp.dtype | None,
) -> tuple[Teacher, Teacher]:
  """Builds a teacher from a weight file.

  Args:
    name: name of the teacher.
    teacher_config: its entry of `config.teachers`.
    default_image_shape: (height, width, channels) of the run's images; the
      teacher's `size` takes precedence.
    dtype: type that it computes in; None for that of its input.

  Returns:
    The teacher; and the same in full precision, with no blocks merged.

  Raises:
    UserError: images or weights don't fit the net, its logits differ from those
      of the reference, or there is no such block to merge.
  """
  field = f'teachers.{name}.weights'
  image_shape = tuple(teacher_config.image_shape or default_image_shape)
  _check_image_size(name, teacher_config.architecture, image_shape)
  prepare = preparation.make(
    f'teachers.{name}.', image_shape, teacher_config.mean, teacher_config.std
  )
  variant, variables = weight_matching.load_variables(
    field,
    teacher_config.architecture,
    weight_files.read_contents(
      weight_files.find(field, teacher_config.weights)
    ),
    len(teacher_config.labels),
    image_shape,
    index=teacher_config.index,
    stem_pool=teacher_config.stem_pool,
  )
  # In full precision, whatever the config says, to be compared with PyTorch.
  make_teacher = functools.partial(
    _make_teacher, name, teacher_config, prepare, variant, variables
  )
  unmerged = make_teacher(dtype=None)
  if teacher_config.reference:
    field = f'teachers.{name}.reference'
    path = weight_files.find_local(field, teacher_config.reference)
    reference_logits.check(field, path, unmerged, image_shape)
  teacher = merge_blocks(
    f'teachers.{name}.merge', make_teacher(dtype=dtype), teacher_config.merge
  )
  return teacher, unmerged


def _make_teacher(name, teacher_config, prepare, variant, variables, *, dtype):
  """Makes a teacher that prepares its images as the weights expect it."""
  # Without the field, an architecture decides on its pool itself.
  stem_pool = teacher_config.stem_pool
  options = {} if stem_pool is None else {'stem_pool': stem_pool}
  net = dataclasses.replace(
    variant.create(len(teacher_config.labels), dtype=dtype, **options),
    single_label=teacher_config.single_label,
  )
  return prepared(
    from_classifier(name, tuple(teacher_config.labels), net, variables),
    prepare,
  )


def _check_image_size(name, architecture, image_shape):
  """Checks that an architecture takes the images."""
  variant = ARCHITECTURES[architecture][0]
  if variant.takes(image_shape[:2]):
    return
  min_length, max_length = variant.smallest, variant.largest
  upper_bound = f'to {max_length}×{max_length}' if max_length else 'or more'
  is_small = min(image_shape[:2]) < min_length
  raise UserError(
    f'teachers.{name}.image_shape: {format_shape(image_shape[:2])} is too '
    f'{"small" if is_small else "large"} for a {architecture}, which takes '
    f'{min_length}×{min_length} {upper_bound}.'
  )
