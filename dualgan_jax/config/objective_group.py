"""Declares the objective of the generator: weights and forms of its losses."""

from typing import Annotated

from pydantic import Field

from dualgan_jax import losses
from dualgan_jax.config.value_types import Flag, Group, Name, Weight, choice


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
  bn_prior_weight: Weight = Field(
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
