"""Every field of a config, declared once: type, bounds, default, meaning.

`schema.check` checks a config against it. The builders' defaults, `--help` and
the page docs/fields.md come from here, too.
"""

from typing import Annotated, Any

import pydantic
from pydantic import Field

from dualgan_jax import losses
from dualgan_jax.config.value_types import (
  Count,
  Flag,
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
  OptionalSizes,
  OptionalText,
  Rate,
  Share,
  Size,
  Sizes,
  Std,
  Steps,
  Text,
  Weight,
  choice,
  sizes,
)
from dualgan_jax.networks.architectures import ARCHITECTURES
from dualgan_jax.networks.classifier import KINDS

_BATCH = 'Images per step; 0: the largest batch up to 128 that fits.'
_LEARNING_RATE = 'Learning rate of Adam at the start; it falls to 0.'


class Group(pydantic.BaseModel):
  """Fields that belong together."""

  model_config = pydantic.ConfigDict(extra='forbid', frozen=True)


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
  size: OptionalImageShape = Field(
    None, description='Shape of images that it takes; None: that of `image`.'
  )
  mean: Mean = Field(
    (0.0,), description='Mean to subtract from images in [0, 1].'
  )
  deviation: Std = Field(
    (1.0,), description='Standard deviation to divide them by then.'
  )
  merge: Annotated[tuple[int, ...], sizes(may_be_empty=True)] = Field(
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
  shift: Count = Field(
    0, description='Pixels that training images move by, at most.'
  )
  flip: Flag = Field(
    False, description='Whether half of the training images are mirrored.'
  )
  overlay: Count = Field(
    0, description='How often each training image is laid over another.'
  )


class Objective(Group):
  """What the generator learns: the weights of its loss."""

  name: Name = Field('default', description='Name of its row in the results.')
  oracle: Flag = Field(
    False, description='Whether real data chose these values.'
  )
  alpha: Weight = Field(0.0, description='Weight of L_a in Eq. 8.')
  beta: Weight = Field(1.0, description='Weight of L_ie in Eq. 8.')
  gamma: Weight = Field(0.1, description='Weight of L_dis in Eq. 8.')
  entropy: Annotated[str, choice(*losses.ENTROPY_FORMS)] = Field(
    'normalised', description='Form of the entropy in L_ie.'
  )
  prior: Weight = Field(
    1.0, description='Weight of the batch-norm statistics prior.'
  )
  one_hot: Annotated[str, choice('labels', 'class')] = Field(
    'labels',
    description='L_oh label by label (Eq. 5, 6), or of one class per image.',
  )
  never_empty: Flag = Field(
    True, description='Whether each image has a pseudo label at least.'
  )
  groups: Flag = Field(
    True, description='Whether teachers judge the groups, too (Eq. 4, 9, 11).'
  )
  image_filter: Flag = Field(
    False, description="Whether a filter stands before a teacher's first block."
  )
  routing: Annotated[str, choice('auto', 'on', 'images', 'off')] = Field(
    'auto',
    description='Whether each image belongs to one teacher: auto measures, '
    'on and off decide, images routes but lets all teachers answer.',
  )


class Pretrain(Group):
  """Stage `pretrain`."""

  steps: Steps = Field(600, description='Training steps of each teacher.')
  batch: Count = Field(128, description=_BATCH)
  learning_rate: Rate = Field(2e-3, description=_LEARNING_RATE)
  teacher_data: Annotated[str, choice('shared', 'own')] = Field(
    'shared',
    description='Whether a teacher sees all images of its set, or only those '
    'of its labels.',
  )


class Generator(Group):
  """Stage `generator`."""

  steps: Steps = Field(1000, description='Training steps.')
  batch: Count = Field(128, description=_BATCH)
  learning_rate: Rate = Field(2e-3, description=_LEARNING_RATE)
  noise: Size = Field(64, description='Size of the random part of z.')
  widths: Sizes = Field((64, 32, 16), description='Channels inside G^1 .. G^B.')
  features: OptionalSizes = Field(
    None,
    description='Channels of its features, by block of the student; None: '
    "the student's.",
  )
  probe_steps: Steps = Field(
    400, description='Steps of the short training that decides on routing.'
  )


class Dual(Group):
  """Stage `dual`."""

  steps: Count = Field(200, description='Training steps of each block.')
  batch: Count = Field(128, description=_BATCH)
  learning_rate: Rate = Field(2e-3, description=_LEARNING_RATE)
  filters: Annotated[str, choice('stage1', 'fresh')] = Field(
    'stage1', description="Whether filters start from the generator's, or anew."
  )
  lambda_own: Weight = Field(1.0, description='Weight λ^1 of Eq. 16.')
  lambda_generated: Weight = Field(0.0, description='Weight λ^2 of Eq. 16.')


class TargetNet(Group):
  """Stage `targetnet`."""

  compact_steps: Steps = Field(
    1800, description='Training steps of the compact TargetNet.'
  )
  branched_steps: Steps = Field(
    600, description='Training steps of the branched TargetNet.'
  )
  batch: Count = Field(128, description=_BATCH)
  learning_rate: Rate = Field(2e-3, description=_LEARNING_RATE)
  branch_tolerance: Weight = Field(
    0.0,
    description='How much above the lowest L_d a later branch point may be.',
  )


class Refine(Group):
  """Stage `refine`."""

  steps: Count = Field(
    1000, description='Steps of the generator; 0: no refinement.'
  )
  batch: Count = Field(128, description=_BATCH)
  learning_rate: Rate = Field(2e-3, description='Learning rate of the student.')
  disagreement: Weight = Field(
    1.0, description="Weight of the generator's reward for disagreement."
  )
  replays: Steps = Field(
    1,
    description='Steps of the student on replayed images, for each step of the '
    'generator.',
  )
  shift: Count = Field(
    0, description='Pixels that replayed images move by, at most.'
  )
  flip: Flag = Field(
    False, description='Whether half of the replayed images are mirrored.'
  )
  mixup: Share = Field(
    0.0, description='Share of replayed images that is blended with another.'
  )
  pool_batches: Steps = Field(
    300, description='Batches that are kept for replay.'
  )


class Baselines(Group):
  """Stage `baselines`."""

  steps: Count = Field(1800, description='Training steps of each baseline.')
  batch: Count = Field(128, description=_BATCH)
  learning_rate: Rate = Field(2e-3, description=_LEARNING_RATE)


# The fields of a teacher that say by which of these it is described.
TEACHER_KINDS: dict[str, type[Group]] = {
  'weights': WeightsTeacher,
  'module': ModuleTeacher,
  'given': GivenTeacher,
}


def teacher_kind(teacher: Any) -> str:
  """Tells how a teacher of a config is made.

  Args:
    teacher: a group of fields, checked or not.

  Returns:
    'trained', or the field that says where else it comes from.
  """
  if isinstance(teacher, Group):
    names = set(type(teacher).model_fields)
  else:
    names = set(teacher) if hasattr(teacher, 'keys') else set()
  return next((kind for kind in TEACHER_KINDS if kind in names), 'trained')


Teacher = Annotated[
  Annotated[TrainedTeacher, pydantic.Tag('trained')]
  | Annotated[WeightsTeacher, pydantic.Tag('weights')]
  | Annotated[ModuleTeacher, pydantic.Tag('module')]
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
  devices: Count = Field(
    0, description='Number of devices that share a batch; 0: all of them.'
  )
  steps_per_call: Count = Field(
    0, description='Steps per call of the devices; 0: what suits them.'
  )
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
