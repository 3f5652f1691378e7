"""Chooses and checks batches that devices and teachers share equally."""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from dualgan_jax.config import stage_table
from dualgan_jax.config.fields import Experiment
from dualgan_jax.errors import UserError
from dualgan_jax.method.labels import have_same_labels

# Upper bound of the batch that a config leaves open with 0.
_MAX_DEFAULT_BATCH = 128
# Images per step that keep a core of a CPU busy.
_MIN_SHARE = 16


def equal_parts(
  config: Experiment,
  num_devices: int,
  num_relevant_teachers: int,
) -> dict[str, int]:
  """Counts the equal parts that each stage's batch is cut into.

  Where each image may belong to one teacher, every teacher gets as many.

  Args:
    config: a checked config.
    num_devices: number of devices that share a batch.
    num_relevant_teachers: number of teachers with a label in Y_cst.

  Returns:
    By stage, the number of parts.
  """
  num_teachers = {
    'devices': 1,
    'all teachers': len(config.teachers),
    'relevant teachers': num_relevant_teachers,
  }
  # Where a short training decides, batches must suit both outcomes. It need not
  # where all teachers answer the same labels.
  routing = config.objective.routing
  may_be_routed = routing != 'off' and not (
    routing == 'auto'
    and have_same_labels(teacher.labels for teacher in config.teachers.values())
  )
  return {
    stage.name: num_devices
    * (num_teachers[stage.batch_is_shared_by] if may_be_routed else 1)
    for stage in stage_table.STAGES
    if stage.has_batch
  }


def most_devices(
  config: Experiment,
  max_devices: int,
  recorded_batches: Mapping[str, int] = MappingProxyType({}),
) -> int:
  """Finds on how many devices of a CPU a run is best shared.

  Args:
    config: a checked config.
    max_devices: upper bound of the number, such as that of cores.
    recorded_batches: by stage, the batch that it was begun with earlier.

  Returns:
    The largest power of 2 that cuts all batches into equal parts of 16 images
    or more; 1 if there is none.
  """
  num_devices = 2 ** int(math.log2(max_devices))
  while num_devices > 1:
    # How many teachers are relevant may stand in a user's code only.
    candidates = [
      equal_parts(config, num_devices, num_relevant)
      for num_relevant in range(1, len(config.teachers) + 1)
    ]
    if all(
      _can_share(config, num_parts, num_devices, recorded_batches)
      for num_parts in candidates
    ):
      break
    num_devices //= 2
  return num_devices


def _can_share(config, num_parts, num_devices, recorded_batches):
  """Returns whether devices get equal parts of all batches, large enough."""
  filled = fill_in(config, num_parts, recorded_batches)
  batches = {stage: getattr(filled, stage).batch for stage in num_parts}
  return all(
    batch % num_parts[stage] == 0 and batch // num_devices >= _MIN_SHARE
    for stage, batch in batches.items()
  )


def fill_in(
  config: Experiment,
  num_parts: Mapping[str, int],
  recorded_batches: Mapping[str, int] = MappingProxyType({}),
) -> Experiment:
  """Replaces each batch of 0 by one that can be shared.

  Args:
    config: a checked config.
    num_parts: as `equal_parts` returns it.
    recorded_batches: by stage, the batch that it was begun with earlier,
      perhaps on another number of devices. It takes precedence, so that a run
      can be resumed.

  Returns:
    The config, with the largest batches of at most 128 that fit.
  """
  groups = {}
  for stage, stage_parts in num_parts.items():
    if not getattr(config, stage).batch:
      # Beyond the bound, each part has one image.
      default_batch = max(
        _MAX_DEFAULT_BATCH - _MAX_DEFAULT_BATCH % stage_parts, stage_parts
      )
      batch = recorded_batches.get(stage, default_batch)
      groups[stage] = getattr(config, stage).model_copy(update={'batch': batch})
  return config.model_copy(update=groups)


def check(
  config: Experiment,
  num_parts: Mapping[str, int],
  stages: Sequence[str],
  num_devices: int,
  recorded_batches: Mapping[str, int] = MappingProxyType({}),
) -> None:
  """Checks that the batches of some stages can be shared.

  Args:
    config: a config that `fill_in` returned.
    num_parts: as `equal_parts` returns it.
    stages: the stages that will be trained.
    num_devices: number of devices that share a batch, for the message.
    recorded_batches: by stage, the batch that it was begun with earlier, where
      the config leaves it open.

  Raises:
    UserError: a batch cannot be shared; names all of them, and values that suit
      every stage, or a stage that was begun on other devices.
  """
  unfit_stages = [
    stage for stage in stages if getattr(config, stage).batch % num_parts[stage]
  ]
  if not unfit_stages:
    return
  # A stage that was begun cannot change its batch, so its cure is another.
  for stage in unfit_stages:
    if stage in recorded_batches:
      raise UserError(
        f'{stage}.batch: this stage was begun with batches of '
        f'{recorded_batches[stage]}, which cannot be cut into '
        f'{num_parts[stage]} equal parts; go on with as many devices as '
        'before, or delete the folder of that stage to begin it again.'
      )
  # The nearest batches that suit every stage, and not only the unfit ones.
  common_multiple = math.lcm(*(num_parts[stage] for stage in stages))
  batch = getattr(config, unfit_stages[0]).batch
  smaller_batch = batch - batch % common_multiple
  larger_batch = smaller_batch + common_multiple
  suggestion = (
    f'{smaller_batch} and {larger_batch} suit'
    if smaller_batch
    else f'{larger_batch} suits'
  )
  fields = ', '.join(
    f'{stage}.batch ({getattr(config, stage).batch})' for stage in unfit_stages
  )
  sharers = f'{num_devices} device{"s" if num_devices > 1 else ""}'
  if any(num_parts[stage] > num_devices for stage in unfit_stages):
    sharers += ' and the teachers on each, as routing needs it'
  raise UserError(
    f'{fields}: cannot be shared equally by {sharers}; {suggestion} every '
    'stage, and 0 takes the largest up to 128 that fits.'
  )
