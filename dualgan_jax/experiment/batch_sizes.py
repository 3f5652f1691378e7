"""Sees that devices, and teachers on each of them, share batches equally."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import ml_collections

from dualgan_jax.config import stage_table
from dualgan_jax.errors import UserError

# What a batch of 0 stands for: the largest that can be shared up to this.
_LARGEST = 128


def equal_parts(
  config: ml_collections.FrozenConfigDict,
  num_devices: int,
  num_relevant_teachers: int,
) -> dict[str, int]:
  """Counts the equal parts that each stage's batch is cut into.

  Where each image may belong to one teacher, every teacher gets as many.

  Args:
    config: checked.
    num_devices: that share a batch.
    num_relevant_teachers: those with a label that is asked for.

  Returns:
    By stage.
  """
  num_teachers = {
    'devices': 1,
    'all teachers': len(config.teachers),
    'relevant teachers': num_relevant_teachers,
  }
  may_be_routed = config.objective.routing != 'off'
  return {
    stage.name: num_devices
    * (num_teachers[stage.batch_is_shared_by] if may_be_routed else 1)
    for stage in stage_table.STAGES
    if stage.has_batch
  }


def fill_in(
  config: ml_collections.FrozenConfigDict,
  parts: Mapping[str, int],
  recorded: Mapping[str, int] = MappingProxyType({}),
) -> ml_collections.FrozenConfigDict:
  """Gives each stage whose batch is 0 one that can be shared.

  Args:
    config: checked.
    parts: of `equal_parts`.
    recorded: by stage, the batch that it was begun with earlier, perhaps on
      another number of devices; it is gone on with.

  Returns:
    The config, with the largest batches of at most 128 that fit.
  """
  values = config.to_dict()
  for stage, count in parts.items():
    if not values[stage]['batch']:
      fitting = max(_LARGEST - _LARGEST % count, count)
      values[stage]['batch'] = recorded.get(stage, fitting)
  return ml_collections.FrozenConfigDict(values)


def check(
  config: ml_collections.FrozenConfigDict,
  parts: Mapping[str, int],
  stages: Sequence[str],
  num_devices: int,
  recorded: Mapping[str, int] = MappingProxyType({}),
) -> None:
  """Sees that the batches of some stages can be shared.

  Args:
    config: filled in.
    parts: of `equal_parts`.
    stages: those that will be trained.
    num_devices: that share a batch, for the message.
    recorded: by stage, the batch that it was begun with earlier, where the
      config leaves it open.

  Raises:
    UserError: some cannot; names them all, and values that suit every stage,
      or a stage that was begun on other devices.
  """
  wrong = [stage for stage in stages if config[stage].batch % parts[stage]]
  if not wrong:
    return
  for stage in wrong:
    if stage in recorded:
      raise UserError(
        f'{stage}.batch: this stage was begun with batches of '
        f'{config[stage].batch}, which cannot be cut into {parts[stage]} equal '
        'parts; go on with as many devices as before, or delete the folder of '
        'that stage to begin it again.'
      )
  unit = math.lcm(*(parts[stage] for stage in stages))
  batch = config[wrong[0]].batch
  below, above = batch - batch % unit, batch - batch % unit + unit
  fields = ', '.join(f'{x}.batch ({config[x].batch})' for x in wrong)
  among = f'{num_devices} device{"s" if num_devices > 1 else ""}'
  if any(parts[stage] > num_devices for stage in wrong):
    among += ' and the teachers on each, as routing needs it'
  raise UserError(
    f'{fields}: cannot be shared equally by {among}; '
    f'{f"{below} and {above} suit" if below else f"{above} suits"} every '
    'stage, and 0 takes the largest up to 128 that fits.'
  )
