"""Declares every field of a config once: type, bounds, default, meaning.

The groups of the stages stand in `stage_groups`. `schema.check` checks a config
against these declarations; the builders' defaults, `--help` and the page
docs/fields.md are derived from them.
"""

from typing import Annotated, Any

import pydantic
from pydantic import Field

from dualgan_jax.config.stage_groups import (
  Baselines,
  Dual,
  Generator,
  Objective,
  Pretrain,
  Refine,
  TargetNet,
)
from dualgan_jax.config.value_types import (
  Count,
  Flag,
  Group,
  ImageShape,
  Index,
  Labels,
  Mean,
  Name,
  OptionalCount,
  OptionalFlag,
  OptionalImageShape,
  OptionalLabels,
  OptionalShare,
  OptionalText,
  Rate,
  Sizes,
  Std,
  Steps,
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


class WeightsTeacher(Group):
  """A teacher from a PyTorch weight file."""

  labels: Labels = Field(
    description='Labels that it answers, in the order of its logits.'
  )
  architecture: Annotated[str, choice(*ARCHITECTURES)] = Field(
    description='Net that the weights are of.'
  )
  weights: Text = Field(
    description='Weight file: a path, or hf://owner/name[/file].'
  )
  single_label: Flag = Field(
    False, description='Whether it was trained with a softmax.'
  )
  # Filled in when a run begins, so that a changed file is noticed later.
  sha256: OptionalText = Field(
    None, description='SHA-256 that the file must have; None: any.'
  )
  index: Index = Field(
    None, description='State dict to take, if the file has several.'
  )
  stem_pool: OptionalFlag = Field(
    None,
    description='Whether a max pool follows the first convolution; '
    "None: the architecture's usual.",
  )
  reference: OptionalText = Field(
    None, description='Path of an .npz with images and logits to compare with.'
  )
  data: OptionalText = Field(
    None, description='Set of `data` that it was trained on, if known.'
  )
  # How the images were prepared that the weights were trained on.
  size: OptionalImageShape = Field(
    None, description='Shape of images that it takes; None: that of `image`.'
  )
  mean: Mean = Field(
    (0.0,), description='Mean to subtract from images in [0, 1].'
  )
  deviation: Std = Field(
    (1.0,), description='Standard deviation to divide them by then.'
  )
  merge: Annotated[tuple[int, ...], size_tuple(may_be_empty=True)] = Field(
    (), description='Numbers of blocks to merge with the next one.'
  )


class ModuleTeacher(Group):
  """A teacher that a Python file makes."""

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


class StudentTeacher(Group):
  """A teacher that was a run's student."""

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


class GivenTeacher(Group):
  """A teacher in memory, passed as `run(config, ..., teachers={NAME: ...})`."""

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


class DataSet(Group):
  """A set of real images, to pretrain teachers and to evaluate."""

  source: Text = Field(description='Name on the Hugging Face Hub.')
  path: OptionalText = Field(
    None, description='Local folder to read instead of the Hub.'
  )
  subset: OptionalText = Field(
    None, description='Subset to take, if the set has several.'
  )
  # Data sets on the Hub name their parts and columns as they like.
  train_part: Text = Field('train', description='Name of the training part.')
  test_part: Text = Field('test', description='Name of the part to test on.')
  image_column: OptionalText = Field(
    None, description='Column of the images; None: found by its type.'
  )
  label_column: OptionalText = Field(
    None, description='Column of the labels; None: found by its type.'
  )
  test_fraction: OptionalShare = Field(
    None, description='Share to hold out for tests, if there is no test part.'
  )
  # Augmentation of training images; those for tests stay as they are.
  shift: Count = Field(
    0, description='Pixels that training images move by, at most.'
  )
  flip: Flag = Field(
    False, description='Whether half of the training images are mirrored.'
  )
  overlay: Count = Field(
    0, description='How often each training image is laid over another.'
  )


# By the field that only this kind of teacher has, its group.
TEACHER_KINDS: dict[str, type[Group]] = {
  'weights': WeightsTeacher,
  'module': ModuleTeacher,
  'student': StudentTeacher,
  'given': GivenTeacher,
}


def teacher_kind(teacher: Any) -> str:
  """Returns the kind of a teacher: how it is made.

  Args:
    teacher: a group of fields, as an instance or a mapping, checked or not.

  Returns:
    'trained', or the field that says where else it comes from.
  """
  if isinstance(teacher, Group):
    field_names = set(type(teacher).model_fields)
  else:
    # A wrong value, such as a number, is for pydantic to complain of.
    field_names = set(teacher) if hasattr(teacher, 'keys') else set()
  return next(
    (kind for kind in TEACHER_KINDS if kind in field_names), 'trained'
  )


# pydantic would try all kinds, and complain of a wrong field once for each.
Teacher = Annotated[
  Annotated[TrainedTeacher, pydantic.Tag('trained')]
  | Annotated[WeightsTeacher, pydantic.Tag('weights')]
  | Annotated[ModuleTeacher, pydantic.Tag('module')]
  | Annotated[StudentTeacher, pydantic.Tag('student')]
  | Annotated[GivenTeacher, pydantic.Tag('given')],
  pydantic.Discriminator(teacher_kind),
]


class Experiment(Group):
  """All fields of a config."""

  experiment: Name = Field(description='Name in the results.')
  image: ImageShape = Field(description='Shape of generated images.')
  labels: Labels = Field(
    description='Labels that the student answers (Y_cst), in its order.'
  )
  student: Net = Field(description='Student, the dual generator T.')
  teachers: dict[str, Teacher] = Field(description='Teachers by name.')
  data: dict[str, DataSet] = Field(
    {}, description='Sets of real images by name.'
  )
  seed: Count = Field(0, description='Seed of all random numbers.')
  student_seed: OptionalCount = Field(
    None,
    description='Seed of the stages after `generator`; None: `seed`.',
  )
  # How a run is executed: these fields change no numbers.
  devices: Count = Field(
    0, description='Number of devices that share a batch; 0: all of them.'
  )
  steps_per_call: Count = Field(
    0, description='Steps per call of the devices; 0: what suits them.'
  )
  # Rows of curves that a report shows, and work that a kill may cost.
  log_every: Steps = Field(20, description='Steps between rows of metrics.')
  save_every: Steps = Field(200, description='Steps between checkpoints.')
  precision: Annotated[str, choice('float32', 'bfloat16')] = Field(
    'float32', description='Format of numbers that nets compute in.'
  )
  temperature: Rate = Field(3.0, description='Temperature of distillation.')
  objective: Objective = Objective()
  pretrain: Pretrain = Pretrain()
  generator: Generator = Generator()
  dual: Dual = Dual()
  targetnet: TargetNet = TargetNet()
  refine: Refine = Refine()
  baselines: Baselines = Baselines()
