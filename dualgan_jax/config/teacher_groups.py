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
  OptionalCount,
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

_ImageMean = Annotated[
  Mean, Field(description='Mean to subtract from images in [0, 1].')
]
_ImageStd = Annotated[
  Std, Field(description='Standard deviation to divide them by then.')
]
# Of a teacher that is not trained here.
_TrainingSet = Annotated[
  OptionalText,
  Field(description='Set of `data` that it was trained on, if known.'),
]


def _labels_field(origin: str) -> Any:
  """Declares the labels of a teacher that knows its own."""
  return Field(
    None, description=f'Labels, in the order of its logits; None: {origin}.'
  )


def _sum_field(subject: str) -> Any:
  """Declares the sum that a teacher's parts must have.

  It is filled in when a run begins, so that a change is noticed later.
  """
  return Field(None, description=f'SHA-256 of {subject}; None: any.')


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
  client: OptionalCount = Field(
    None,
    description='Client whose share of the set it is trained on, from 0; None '
    'if the set is not split (`data.<set>.clients`).',
  )
  single_label: Flag = Field(
    False, description='Whether its labels exclude one another (softmax).'
  )
  mean: _ImageMean = (0.0,)
  std: _ImageStd = (1.0,)


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
  data: _TrainingSet = None
  # How the images were prepared that it was trained on.
  mean: _ImageMean = (0.0,)
  std: _ImageStd = (1.0,)
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
  labels: OptionalLabels = _labels_field('as the file says')
  sha256: OptionalText = _sum_field('file and variables')
  data: _TrainingSet = None


class StudentTeacher(ExternalTeacher):
  """A teacher that was a run's student."""

  origin_field = 'student'
  student: Text = Field(description='Folder of the student, like DIR/student.')
  labels: OptionalLabels = _labels_field('those that it has')
  sha256: OptionalText = _sum_field('config and variables')
  data: _TrainingSet = None


class GivenTeacher(ExternalTeacher):
  """A teacher in memory, passed as `run(config, ..., teachers={NAME: ...})`."""

  origin_field = 'given'
  given: Flag = Field(description='True; says that the teacher is passed.')
  labels: OptionalLabels = _labels_field('those that it has')
  sha256: OptionalText = _sum_field('functions and variables')
  data: _TrainingSet = None


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
