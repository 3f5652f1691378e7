"""Declares the fields of nets, and of each kind of teacher."""

from typing import Annotated, Any, ClassVar

import pydantic
from pydantic import Field

from dualgan_jax.config.value_types import (
  Flag,
  Group,
  Index,
  Labels,
  Mean,
  OptionalFlag,
  OptionalImageShape,
  OptionalLabels,
  OptionalText,
  OptionalTexts,
  Sizes,
  Std,
  Text,
  choice,
  size_tuple,
)
from dualgan_jax.networks.architectures import ARCHITECTURES
from dualgan_jax.networks.classifier import KINDS


class Net(Group):
  """A classifier that is trained here: `student`, and trained teachers."""

  kind: Annotated[str, choice(*KINDS)] = Field(description='Kind of block.')
  widths: Sizes = Field(description='Channels of each block.')
  depths: Sizes = Field(
    description='Convolutions, or residual units, of each block.'
  )
  strides: Sizes = Field(description='Stride of each block.')
  hidden_widths: Annotated[tuple[int, ...], size_tuple(may_be_empty=True)] = (
    Field((), description='Widths of dense layers before that of the logits.')
  )
  batch_norm: Flag = Field(
    True, description='Whether batch norm follows each convolution.'
  )


class TrainedTeacher(Net):
  """A teacher that stage `pretrain` trains."""

  labels: Labels = Field(
    description='Labels that it answers, in the order of its logits.'
  )
  data: Text = Field(description='Set of `data` that it is trained on.')
  single_label: Flag = Field(
    False, description='Whether its labels exclude one another (softmax).'
  )
  mean: Mean = Field(
    (0.0,), description='Mean to subtract from images in [0, 1].'
  )
  std: Std = Field(
    (1.0,), description='Standard deviation to divide them by then.'
  )


class ExternalTeacher(Group):
  """A teacher that is not trained here.

  Attributes:
    origin_field: the field that says where it comes from, and that no other
      kind of teacher has.
  """

  origin_field: ClassVar[str]


class FileTeacher(ExternalTeacher):
  """A teacher from a file that says nothing of its images or labels."""

  labels: Labels = Field(
    description='Labels that it answers, in the order of its logits.'
  )
  single_label: Flag = Field(
    False, description='Whether it was trained with a softmax.'
  )
  # Filled in when a run begins, so that a changed file is noticed later.
  sha256: OptionalText = Field(
    None, description='SHA-256 that the file must have; None: any.'
  )
  reference: OptionalText = Field(
    None, description='Path of an .npz with images and logits to compare with.'
  )
  data: OptionalText = Field(
    None, description='Set of `data` that it was trained on, if known.'
  )
  # How the images were prepared that it was trained on.
  mean: Mean = Field(
    (0.0,), description='Mean to subtract from images in [0, 1].'
  )
  std: Std = Field(
    (1.0,), description='Standard deviation to divide them by then.'
  )
  merge: Annotated[tuple[int, ...], size_tuple(may_be_empty=True)] = Field(
    (), description='Numbers of blocks to merge with the next one.'
  )


class WeightsTeacher(FileTeacher):
  """A teacher from a PyTorch weight file."""

  origin_field = 'weights'
  architecture: Annotated[str, choice(*ARCHITECTURES)] = Field(
    description='Net that the weights are of.'
  )
  weights: Text = Field(
    description='Weight file: a path, or hf://owner/name[/file].'
  )
  index: Index = Field(
    None, description='State dict to take, if the file has several.'
  )
  stem_pool: OptionalFlag = Field(
    None,
    description='Whether a max pool follows the first convolution; '
    "None: the architecture's usual.",
  )
  image_shape: OptionalImageShape = Field(
    None,
    description='Shape of images that it takes; None: that of the config.',
  )


class TorchExportTeacher(FileTeacher):
  """A teacher from a file of `torch.export`, which has its whole net."""

  origin_field = 'torch_export'
  torch_export: Text = Field(
    description='The file: a path, or hf://owner/name/file.'
  )
  cut_after: OptionalTexts = Field(
    None,
    description='Modules to cut into blocks after; None: after the last '
    'place of each spatial size.',
  )


class ModuleTeacher(ExternalTeacher):
  """A teacher that a Python file makes."""

  origin_field = 'module'
  module: Text = Field(description='Path of the Python file.')
  labels: OptionalLabels = Field(
    None,
    description='Labels, in the order of its logits; None: as the file says.',
  )
  sha256: OptionalText = Field(
    None, description='SHA-256 of file and variables; None: any.'
  )
  data: OptionalText = Field(
    None, description='Set of `data` that it was trained on, if known.'
  )


class StudentTeacher(ExternalTeacher):
  """A teacher that was a run's student."""

  origin_field = 'student'
  student: Text = Field(description='Folder of the student, like DIR/student.')
  labels: OptionalLabels = Field(
    None,
    description='Labels, in the order of its logits; None: those that it has.',
  )
  sha256: OptionalText = Field(
    None, description='SHA-256 of config and variables; None: any.'
  )
  data: OptionalText = Field(
    None, description='Set of `data` that it was trained on, if known.'
  )


class GivenTeacher(ExternalTeacher):
  """A teacher in memory, passed as `run(config, ..., teachers={NAME: ...})`."""

  origin_field = 'given'
  given: Flag = Field(description='True; says that the teacher is passed.')
  labels: OptionalLabels = Field(
    None,
    description='Labels, in the order of its logits; None: those that it has.',
  )
  sha256: OptionalText = Field(
    None, description='SHA-256 of functions and variables; None: any.'
  )
  data: OptionalText = Field(
    None, description='Set of `data` that it was trained on, if known.'
  )


_EXTERNAL_TEACHERS = (
  WeightsTeacher,
  TorchExportTeacher,
  ModuleTeacher,
  StudentTeacher,
  GivenTeacher,
)
TEACHER_GROUPS = (TrainedTeacher, *_EXTERNAL_TEACHERS)


def find_teacher_group(teacher: Any) -> type[Group]:
  """Finds the group that describes a teacher, by the fields that it has.

  Args:
    teacher: a mapping, or any wrong value, not checked yet; or a group.
  """
  if isinstance(teacher, Group):
    return type(teacher)
  # A wrong value, such as a number, is for pydantic to complain of.
  field_names = set(teacher) if hasattr(teacher, 'keys') else set()
  for group in _EXTERNAL_TEACHERS:
    if group.origin_field in field_names:
      return group
  return TrainedTeacher


# pydantic would try all kinds, and complain of a wrong field once for each.
Teacher = Annotated[
  Annotated[TrainedTeacher, pydantic.Tag('TrainedTeacher')]
  | Annotated[WeightsTeacher, pydantic.Tag('WeightsTeacher')]
  | Annotated[TorchExportTeacher, pydantic.Tag('TorchExportTeacher')]
  | Annotated[ModuleTeacher, pydantic.Tag('ModuleTeacher')]
  | Annotated[StudentTeacher, pydantic.Tag('StudentTeacher')]
  | Annotated[GivenTeacher, pydantic.Tag('GivenTeacher')],
  pydantic.Discriminator(lambda teacher: find_teacher_group(teacher).__name__),
]
