"""Declares the fields of the objective and of each stage.

`fields` declares all other fields, and the config that holds these groups.
"""

from typing import Annotated

from pydantic import Field

from dualgan_jax import losses
from dualgan_jax.config.value_types import (
  Count,
  Flag,
  Group,
  Name,
  OptionalSizes,
  Rate,
  Share,
  Size,
  Sizes,
  Steps,
  Weight,
  choice,
)

# Descriptions that several stages share.
_BATCH = 'Images per step; 0: the largest batch up to 128 that fits.'
_LEARNING_RATE = 'Learning rate of Adam at the start; it falls to 0.'


class Objective(Group):
  """What the generator learns: the weights of its loss."""

  name: Name = Field('default', description='Name of its row in the results.')
  oracle: Flag = Field(
    False, description='Whether real data chose these values.'
  )
  # Eq. 8; the paper leaves the weights of its terms open.
  alpha: Weight = Field(0.0, description='Weight of L_a in Eq. 8.')
  beta: Weight = Field(1.0, description='Weight of L_ie in Eq. 8.')
  gamma: Weight = Field(0.1, description='Weight of L_dis in Eq. 8.')
  entropy: Annotated[str, choice(*losses.ENTROPY_FORMS)] = Field(
    'normalised', description='Form of the entropy in L_ie.'
  )
  # The paper has no such term.
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
  # Without groups the student learns end to end only.
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
    description='Channels of its features, by block but the last; None: '
    'student.widths. Set it to use one generator for students of other widths.',
  )
  # Only read where `objective.routing` is 'auto'.
  probe_steps: Steps = Field(
    400, description='Steps of the short training that decides on routing.'
  )


class Dual(Group):
  """Stage `dual`."""

  steps: Count = Field(200, description='Training steps of each block.')
  batch: Count = Field(128, description=_BATCH)
  learning_rate: Rate = Field(2e-3, description=_LEARNING_RATE)
  # Each block learns through the teachers' filters.
  filters: Annotated[str, choice('stage1', 'fresh')] = Field(
    'stage1', description="Whether filters start from the generator's, or anew."
  )
  lambda_own: Weight = Field(1.0, description='Weight λ^1 of Eq. 16.')
  lambda_generated: Weight = Field(0.0, description='Weight λ^2 of Eq. 16.')


class TargetNet(Group):
  """Stage `targetnet`."""

  # Both TargetNets are distilled from the teachers, one after the other.
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
  # Generator and student train in turn.
  disagreement: Weight = Field(
    1.0, description="Weight of the generator's reward for disagreement."
  )
  replays: Steps = Field(
    1,
    description='Steps of the student on replayed images, for each step of the '
    'generator.',
  )
  # Augmentation of replayed images.
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
