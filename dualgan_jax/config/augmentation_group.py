"""Declares how the images that a student learns from are changed."""

from pydantic import Field

from dualgan_jax.config.value_types import Count, Flag, Group, Share


class Augmentation(Group):
  """Random changes of the images that the student learns from, end to end.

  The teachers answer the changed images.
  """

  shift: Count = Field(0, description='Pixels that they move by, at most.')
  flip: Flag = Field(False, description='Whether half of them are mirrored.')
  mixup: Share = Field(
    0.0, description='Share of them that is blended with another.'
  )
