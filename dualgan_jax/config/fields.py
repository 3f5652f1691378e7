"""Declares every field of a config once: type, bounds, default, meaning.

Groups that have a file of their own: teachers (`teacher_groups`), the stages
(`stage_table`) and the generator's loss (`objective_group`). `schema.check`
checks a config against these declarations; the builders' defaults, `--help` and
the page docs/fields.md are derived from them.
"""

from typing import Annotated

from pydantic import Field

from dualgan_jax.config.augmentation_group import Augmentation
from dualgan_jax.config.objective_group import Objective
from dualgan_jax.config.stage_table import StageGroups
from dualgan_jax.config.teacher_groups import Net, Teacher
from dualgan_jax.config.value_types import (
  Count,
  Flag,
  Group,
  ImageShape,
  Labels,
  Name,
  OptionalCount,
  OptionalShare,
  OptionalText,
  Rate,
  Steps,
  Text,
  choice,
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
  # Federated learning: each client trains a teacher on its own share.
  clients: Count = Field(
    0,
    description='Number of clients that the training images are split over; '
    '0: they are not.',
  )
  alpha: Rate = Field(
    0.5,
    description='Concentration of the Dirichlet distribution that draws the '
    "shares; the smaller, the more unlike are the clients' labels.",
  )


class Experiment(StageGroups):
  """All fields of a config."""

  experiment: Name = Field(description='Name in the results.')
  image_shape: ImageShape = Field(description='Shape of generated images.')
  labels: Labels = Field(
    description='Labels that the student answers (Y_cst), in its order.'
  )
  student: Net = Field(description='Student, the dual generator T.')
  teachers: dict[str, Teacher] = Field(description='Teachers by name.')
  teachers_per_step: OptionalCount = Field(
    None,
    description='Number of teachers that each step draws, in each device; 0: '
    'all of them; None: all of up to 8, and 8 of more, if they can be drawn.',
  )
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
  save_minutes: Rate = Field(5.0, description='Minutes between checkpoints.')
  save_every: Count = Field(
    0, description='Steps between further checkpoints; 0: none.'
  )
  precision: Annotated[str, choice('float32', 'bfloat16')] = Field(
    'float32', description='Format of numbers that nets compute in.'
  )
  temperature: Rate = Field(3.0, description='Temperature of distillation.')
  distillation: Annotated[str, choice('labels', 'class')] = Field(
    'labels',
    description='Distillation loss: label by label, or of one class per image, '
    'if the student ends in a softmax.',
  )
  augmentation: Augmentation = Augmentation()
  objective: Objective = Objective()
