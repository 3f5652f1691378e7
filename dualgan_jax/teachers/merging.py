"""Merges blocks of a teacher, so that all teachers have as many."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import chex

from dualgan_jax.errors import UserError
from dualgan_jax.teachers.teacher import BlockFn, Teacher

_PLACES = ('first', 'second')


@dataclasses.dataclass(frozen=True)
class _MergedBlock:
  """Two blocks, one after the other."""

  first: BlockFn
  second: BlockFn

  def __call__(self, variables: Any, features: chex.Array) -> chex.Array:
    for place in _PLACES:
      block_variables = {
        collection: by_place[place]
        for collection, by_place in variables.items()
        if place in by_place
      }
      features = getattr(self, place)(block_variables, features)
    return features


def merged(teacher: Teacher, block_number: int) -> Teacher:
  """Merges blocks b and b + 1 of a teacher into one.

  Args:
    teacher: of B blocks.
    block_number: b, 1 .. B - 1.

  Returns:
    The same function in B - 1 blocks.
  """
  pair = slice(block_number - 1, block_number + 1)
  parts = dict(zip(_PLACES, teacher.variables[pair], strict=True))
  # 'params' stay apart from 'batch_stats', which no gradient moves.
  collections = dict.fromkeys(
    collection for part in parts.values() for collection in part
  )
  variables = {
    collection: {
      place: part[collection]
      for place, part in parts.items()
      if collection in part
    }
    for collection in collections
  }

  def replace_pair(entries, entry):
    return (
      *entries[: block_number - 1],
      entry,
      *entries[block_number + 1 :],
    )

  return dataclasses.replace(
    teacher,
    blocks=replace_pair(teacher.blocks, _MergedBlock(*teacher.blocks[pair])),
    variables=replace_pair(teacher.variables, variables),
  )


def merge_blocks(
  field: str, teacher: Teacher, block_numbers: Sequence[int]
) -> Teacher:
  """Merges some blocks of a teacher, each with the next one.

  Args:
    field: of the config or argument, for the message.
    teacher: of B blocks.
    block_numbers: some of 1 .. B - 1.

  Raises:
    UserError: there is no such block.
  """
  num_blocks = len(teacher.blocks)
  # From the last, or numbers would change on the way.
  for block_number in sorted({*block_numbers}, reverse=True):
    if block_number >= num_blocks:
      raise UserError(
        f'{field}: there is no block after block {block_number} of '
        f'{num_blocks}; name smaller ones.'
      )
    teacher = merged(teacher, block_number)
  return teacher
