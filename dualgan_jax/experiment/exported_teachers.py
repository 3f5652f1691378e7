"""Builds the teachers of files of `torch.export`."""

import jax.numpy as jnp

from dualgan_jax.config.teacher_groups import TorchExportTeacher
from dualgan_jax.teachers import (
  exported_teacher,
  protocol,
  reference_logits,
  weight_files,
)
from dualgan_jax.teachers.merging import merge_blocks
from dualgan_jax.teachers.teacher import Teacher


def build(
  name: str,
  teacher_config: TorchExportTeacher,
  dtype: jnp.dtype | None,
) -> tuple[Teacher, Teacher]:
  """Builds a teacher from a file of `torch.export`.

  Args:
    name: name of the teacher.
    teacher_config: its entry of `config.teachers`.
    dtype: type that it computes in; None for that of its input.

  Returns:
    The teacher; and the same in full precision, with no blocks merged.

  Raises:
    UserError: the file is no net that is known, or does not fit the config; its
      logits differ from those of the reference; or it breaks the protocol.
  """
  field = f'teachers.{name}'
  net = exported_teacher.read(
    f'{field}.torch_export', teacher_config.torch_export
  )
  # In full precision, whatever the config says, to be compared with PyTorch.
  unmerged = exported_teacher.make(name, net, _options(field, teacher_config))
  protocol.check_teacher(field, unmerged, net.image_shape)
  if teacher_config.reference:
    path = weight_files.find_local(
      f'{field}.reference', teacher_config.reference
    )
    reference_logits.check(
      f'{field}.reference', path, unmerged, net.image_shape
    )
  teacher = unmerged
  if dtype is not None:
    options = _options(field, teacher_config, dtype=dtype)
    teacher = exported_teacher.make(name, net, options)
  return merge_blocks(f'{field}.merge', teacher, teacher_config.merge), unmerged


def describe(name: str, teacher_config: TorchExportTeacher) -> list[str]:
  """Describes what was understood of a file, line by line.

  Args:
    name: name of the teacher.
    teacher_config: its entry of `config.teachers`.
  """
  net = exported_teacher.read(
    f'teachers.{name}.torch_export', teacher_config.torch_export
  )
  return exported_teacher.describe(net, teacher_config.cut_after)


def _options(field, teacher_config, **changes):
  """Takes what a file does not say of its net from a config."""
  return exported_teacher.Options(
    teacher_config.labels,
    teacher_config.single_label,
    teacher_config.mean,
    teacher_config.std,
    teacher_config.cut_after,
    field=f'{field}.',
    **changes,
  )
