"""Counts what a student's training consists of."""

from collections.abc import Mapping
from typing import Any


def num_student_steps(fields: Mapping[str, Any]) -> int:
  """Counts the optimiser's steps of the compact student, in all stages.

  Stage `dual` trains one block at a time; as many steps as there are blocks
  count as one step of the whole student.

  Args:
    fields: of a checked config, as `stage_fields.flatten_fields` lists them.
  """
  return (
    fields['dual.steps']
    + fields['targetnet.compact_steps']
    + fields['refine.steps'] * (1 + fields['refine.replay_steps'])
  )


def num_generated_images(fields: Mapping[str, Any]) -> int:
  """Counts the generated images that the compact student learns from.

  Images that are replayed, as they are or changed, count once.

  Args:
    fields: as in `num_student_steps`; batches are numbers above 0.
  """
  num_blocks = len(fields['student.widths'])
  return (
    num_blocks * fields['dual.steps'] * fields['dual.batch']
    + fields['targetnet.compact_steps'] * fields['targetnet.batch']
    + fields['refine.steps'] * fields['refine.batch']
  )
