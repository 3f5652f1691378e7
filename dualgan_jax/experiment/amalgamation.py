"""From teachers in memory to a student, in one call."""

import itertools
import os
from collections.abc import Mapping, Sequence
from typing import Any

from dualgan_jax.config import builders, stage_table
from dualgan_jax.errors import UserError
from dualgan_jax.experiment import stage_records
from dualgan_jax.experiment.run import run
from dualgan_jax.reporting import cost
from dualgan_jax.student.student import Student, load
from dualgan_jax.teachers import forward, protocol
from dualgan_jax.teachers.teacher import Teacher

# The least width of a block, and the greatest of the first one, which doubles
# from block to block, as in a ResNet.
_NARROWEST, _WIDEST = 8, 64


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

  It is `run` with a config that is made for these teachers; `workdir` holds all
  that a run leaves, and the same call goes on with one that was interrupted.

  Args:
    teachers: as many blocks each; by name, or each with a name of its own.
    workdir: the run's folder.
    labels: that the student answers; all that the teachers do if None.
    image_shape: (height, width, channels) of the images that are generated;
      that of the teachers if None.
    student: its net, as `builders.conv` describes it; if None, a convolution
      per block, about as wide as the smallest teacher.
    **config_fields: other fields than usual, {'generator.steps': 100}.

  Raises:
    UserError: the teachers don't fit together, or a field is wrong.
    TrainingError: as `run` raises it.
    InterruptedRun: as `run` raises it.
  """
  named = _named(teachers)
  image_shape = image_shape or _common_image_shape(named)
  config = builders.get_config()
  config.experiment = 'amalgamation'
  config.image = tuple(image_shape)
  union = dict.fromkeys(x for t in named.values() for x in t.labels)
  config.labels = tuple(union if labels is None else labels)
  config.student = dict(student or _student(named, image_shape))
  blocks = len(config.student.widths)
  config.generator.widths = _last(config.generator.widths, blocks)
  for stage in stage_table.STAGES:
    if stage.has_batch:
      # The largest that devices and teachers can share.
      config[stage.name].batch = 0
  run(builders.changed(config, config_fields), workdir, teachers=named)
  return load(stage_records.absolute(workdir) / 'student')


def _named(teachers):
  """Gives teachers by name, and sees that they are some."""
  if not isinstance(teachers, Mapping):
    named = {getattr(t, 'name', None): t for t in teachers}
    if len(named) < len(teachers):
      raise UserError(
        'teachers: some have the same name; give each another one, or a dict '
        'of teachers by their names.'
      )
    teachers = named
  if not teachers:
    raise UserError('teachers: give at least one teacher.')
  return {
    name: protocol.normalize_teacher(f'teachers.{name}', t, 'this entry')
    for name, t in teachers.items()
  }


def _common_image_shape(named):
  shapes = {t.image_shape for t in named.values() if t.image_shape}
  if len(shapes) != 1:
    known = (
      ' and '.join(protocol.format_shape(x) for x in sorted(shapes)) or 'none'
    )
    raise UserError(
      f'image_shape: the teachers name {known}; give the (height, width, '
      'channels) of the images to generate.'
    )
  return shapes.pop()


def _student(named, image_shape):
  """A net about as wide as the smallest teacher, with features of its sizes."""
  name = min(
    named, key=lambda name: cost.count_parameters(named[name].variables)
  )
  shape_text = protocol.format_shape(image_shape)
  with protocol.user_errors(
    f'teachers.{name}: cannot answer images of {shape_text}'
  ):
    shapes = forward.feature_shapes(named[name], image_shape)
  widths = tuple(
    min(max(shape[-1], _NARROWEST), _WIDEST * 2**b)
    for b, shape in enumerate(shapes)
  )
  sizes = [tuple(shape[:2]) for shape in (image_shape, *shapes)]
  strides = [_stride(*pair) for pair in itertools.pairwise(sizes)]
  if shapes and strides[-1] is None:
    strides[-1] = 1  # nothing has to meet what the last block gives
  if None in strides:
    b = strides.index(None)
    raise UserError(
      f'student: no stride makes {protocol.format_shape(sizes[b + 1])} of '
      f'{protocol.format_shape(sizes[b])}, as block {b + 1} of '
      f'teachers.{name} does; describe a net that does, student=..., or cut '
      'the teachers elsewhere.'
    )
  return builders.conv(widths, tuple(strides))


def _stride(before, after):
  """The stride of a convolution that rounds up, from one size to another."""
  for stride in range(1, max(before) + 1):
    if tuple(-(-x // stride) for x in before) == after:
      return stride
  return None


def _last(widths, blocks):
  """As many of the generator's usual widths as there are blocks."""
  return (widths[0],) * (blocks - len(widths)) + widths[-blocks:]
