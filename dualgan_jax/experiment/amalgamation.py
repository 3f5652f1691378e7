"""Merges teachers in memory into a student, in one call."""

import itertools
import os
from collections.abc import Mapping, Sequence
from typing import Any

import ml_collections

from dualgan_jax.config import builders, stage_table
from dualgan_jax.display import format_shape
from dualgan_jax.errors import UserError
from dualgan_jax.experiment import stage_records
from dualgan_jax.experiment.run import run
from dualgan_jax.reporting import cost, diagnosis, summary
from dualgan_jax.student.student import Student, load
from dualgan_jax.teachers import forward, protocol
from dualgan_jax.teachers.teacher import Teacher
from dualgan_jax.training import console

# The least width of a block, and the greatest of the first one, which doubles
# from block to block, as in a ResNet.
_MIN_WIDTH, _MAX_FIRST_WIDTH = 8, 64


def amalgamate(
  teachers: Sequence[Teacher] | Mapping[str, Teacher],
  *,
  workdir: str | os.PathLike,
  labels: Sequence[str] | None = None,
  image_shape: tuple[int, int, int] | None = None,
  student: Mapping[str, Any] | None = None,
  **config_fields: Any,
) -> Student:
  """Trains a student from teachers, without data.

  It is `run` with a config that is made for these teachers. `workdir` holds all
  files of the run, and the same call resumes an interrupted one.

  Args:
    teachers: at least one, all with the same number of blocks; a dict by name,
      or a list of teachers whose names differ.
    workdir: the run's folder.
    labels: that the student answers; all labels of the teachers if None.
    image_shape: (height, width, channels) of the images that are generated;
      that of the teachers if None.
    student: its net, as `builders.conv` describes it; if None, one convolution
      per block, about as wide as the smallest teacher.
    **config_fields: overrides of the config's fields, {'generator.steps': 100}.

  Returns:
    The trained student, as `student.load` reads it.

  Raises:
    UserError: the teachers don't fit together, or a field is wrong.
    TrainingError: as `run` raises it.
    InterruptedRun: as `run` raises it.
  """
  teachers_by_name = _normalize_teachers(teachers)
  image_shape = image_shape or _find_common_image_shape(teachers_by_name)
  config = _make_config(teachers_by_name, labels, image_shape, student)
  results = run(
    builders.changed(config, config_fields), workdir, teachers=teachers_by_name
  )
  run_folder = stage_records.absolute(workdir)
  for line in summary.format_summary(results, run_folder).splitlines():
    console.say(line)
  console.say(diagnosis.verdict_line(results))
  return load(run_folder / 'student')


def _make_config(
  teachers: Mapping[str, Teacher],
  labels: Sequence[str] | None,
  image_shape: tuple[int, int, int],
  student: Mapping[str, Any] | None,
) -> ml_collections.ConfigDict:
  """Makes the config of a run with these teachers."""
  config = builders.get_config()
  config.experiment = 'amalgamation'
  config.image_shape = tuple(image_shape)
  label_union = dict.fromkeys(
    label for teacher in teachers.values() for label in teacher.labels
  )
  # A dict, unlike a set, has the order of the teachers.
  config.labels = tuple(label_union if labels is None else labels)
  config.student = dict(student or _design_student(teachers, image_shape))
  num_blocks = len(config.student.widths)
  config.generator.widths = _fit_widths(config.generator.widths, num_blocks)
  for stage in stage_table.STAGES:
    if stage.has_batch:
      # The largest that devices and teachers can share.
      config[stage.name].batch = 0
  return config


def _normalize_teachers(
  teachers: Sequence[Teacher] | Mapping[str, Teacher],
) -> dict[str, Teacher]:
  """Checks teachers, and returns them by name."""
  if not isinstance(teachers, Mapping):
    teachers_by_name = {
      getattr(teacher, 'name', None): teacher for teacher in teachers
    }
    # A dict would silently drop all but one of them.
    if len(teachers_by_name) < len(teachers):
      raise UserError(
        'teachers: some have the same name; give each another one, or a dict '
        'of teachers by their names.'
      )
    teachers = teachers_by_name
  if not teachers:
    raise UserError('teachers: give at least one teacher.')
  return {
    name: protocol.normalize_teacher(f'teachers.{name}', teacher, 'this entry')
    for name, teacher in teachers.items()
  }


def _find_common_image_shape(
  teachers: Mapping[str, Teacher],
) -> tuple[int, int, int]:
  """Returns the one image shape that teachers name."""
  image_shapes = {
    teacher.image_shape for teacher in teachers.values() if teacher.image_shape
  }
  # Blocks of a user's code may take images of any shape.
  if len(image_shapes) != 1:
    known_shapes = ' and '.join(map(format_shape, sorted(image_shapes)))
    raise UserError(
      f'image_shape: the teachers name {known_shapes or "none"}; give the '
      '(height, width, channels) of the images to generate.'
    )
  return image_shapes.pop()


def _design_student(
  teachers: Mapping[str, Teacher], image_shape: tuple[int, int, int]
) -> dict[str, Any]:
  """Describes a net about as wide as the smallest teacher.

  Its features have the same sizes as the teacher's.
  """
  name = min(
    teachers, key=lambda name: cost.count_parameters(teachers[name].variables)
  )
  with protocol.user_errors(
    f'teachers.{name}: cannot answer images of {format_shape(image_shape)}'
  ):
    feature_shapes = forward.feature_shapes(teachers[name], image_shape)
  # A teacher may have features that are far too wide for a student.
  widths = tuple(
    min(max(feature_shape[-1], _MIN_WIDTH), _MAX_FIRST_WIDTH * 2**block_index)
    for block_index, feature_shape in enumerate(feature_shapes)
  )
  sizes = [tuple(shape[:2]) for shape in (image_shape, *feature_shapes)]
  # Features must meet the teachers', so their sizes decide on the strides.
  strides = [_find_stride(*pair) for pair in itertools.pairwise(sizes)]
  if feature_shapes and strides[-1] is None:
    # Nothing has to meet the features after the last block.
    strides[-1] = 1
  if None in strides:
    block_index = strides.index(None)
    raise UserError(
      f'student: no stride makes {format_shape(sizes[block_index + 1])} of '
      f'{format_shape(sizes[block_index])}, as block {block_index + 1} of '
      f'teachers.{name} does; describe a net that does, student=..., or cut '
      'the teachers elsewhere.'
    )
  return builders.conv(widths, tuple(strides))


def _find_stride(
  input_size: tuple[int, int], output_size: tuple[int, int]
) -> int | None:
  """Finds the stride between two sizes, for a convolution that rounds up."""
  for stride in range(1, max(input_size) + 1):
    if tuple(-(-length // stride) for length in input_size) == output_size:
      return stride
  return None


def _fit_widths(widths: tuple[int, ...], num_blocks: int) -> tuple[int, ...]:
  """Takes the last widths, and repeats the first for further blocks."""
  return (widths[0],) * (num_blocks - len(widths)) + widths[-num_blocks:]
