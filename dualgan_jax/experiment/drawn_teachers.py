"""Decides how many of the teachers each step asks (`teachers_per_step`)."""

import textwrap
from collections.abc import Sequence

from dualgan_jax.config.fields import Experiment
from dualgan_jax.errors import UserError
from dualgan_jax.experiment import stage_records
from dualgan_jax.experiment.nets import Nets
from dualgan_jax.experiment.routing_decision import (
  configured_routing,
  has_prior,
)
from dualgan_jax.teachers.stack import is_one_net
from dualgan_jax.teachers.teacher import Teacher

# Number of teachers that are all asked where the config does not say.
_MOST_BY_DEFAULT = 8
# Forms of L_ie that compare drawn labels with one another, or look at each.
_ENTROPIES_OF_DRAWN_LABELS = ('normalised', 'bernoulli')


def fill_in(
  config: Experiment,
  nets: Nets,
  recorded_number: int | None = None,
) -> Experiment:
  """Replaces `teachers_per_step` by the number that steps draw, or by 0.

  Args:
    config: a checked config.
    nets: as `build_nets` returns them.
    recorded_number: that the run was begun with, if the config leaves it open.

  Returns:
    The config, with 0 if all teachers are asked.

  Raises:
    UserError: the config wants a draw, and these teachers cannot be drawn.
  """
  number, num_teachers = config.teachers_per_step, len(config.teachers)
  if number is None:
    number = recorded_number
  if number is None:
    is_drawn = num_teachers > _MOST_BY_DEFAULT and not find_fault(config, nets)
    number = _MOST_BY_DEFAULT if is_drawn else 0
  elif number >= num_teachers:
    number = 0
  elif number and (fault := find_fault(config, nets, number)):
    raise UserError(
      f'teachers_per_step: {fault}, or set teachers_per_step to 0.'
    )
  return config.model_copy(update={'teachers_per_step': number})


def read_record(workdir: str, init_from: str | None) -> int | None:
  """Reads the number that a run's generator was begun with.

  Args:
    workdir: the run's folder.
    init_from: another run's folder, which stages may be copied from, or None.

  Returns:
    0 if it was begun by a version that asked all teachers; None if it was never
    begun.
  """
  for folder in filter(None, (workdir, init_from)):
    record = stage_records.read(stage_records.absolute(folder), 'generator')
    if record is not None:
      return record['fields'].get('teachers_per_step', 0)
  return None


def describe(config: Experiment, nets: Nets) -> list[str]:
  """Describes how many teachers a step asks, where there are many.

  Args:
    config: a config that `fill_in` returned.
    nets: as `build_nets` returns them.

  Returns:
    Lines of at most 80 characters, or none.
  """
  num_teachers = len(config.teachers)
  if config.teachers_per_step:
    return [
      f'teachers: each step draws {config.teachers_per_step} of '
      f'{num_teachers} (teachers_per_step)'
    ]
  if num_teachers <= _MOST_BY_DEFAULT:
    return []
  fault = find_fault(config, nets)
  return textwrap.wrap(
    f'teachers: each step asks all {num_teachers} of them (teachers_per_step)'
    + (f'; some cannot be drawn: {fault}' if fault else ''),
    80,
  )


def find_fault(
  config: Experiment, nets: Nets, number: int = _MOST_BY_DEFAULT
) -> str | None:
  """Finds out why steps cannot draw some of the teachers.

  Args:
    config: a checked config.
    nets: as `build_nets` returns them.
    number: number of teachers in a draw.

  Returns:
    The beginning of a sentence that says what to change; None if they can.
  """
  teachers = list(nets.teachers.values())
  is_routed = configured_routing(config, teachers)
  if is_routed or (is_routed is None and has_prior(config, teachers)):
    return (
      'routed images each belong to one of all teachers; set '
      "objective.routing to 'off'"
    )
  if config.dual.steps:
    return 'stage dual asks all teachers; set dual.steps to 0'
  if fault := _find_label_fault(config, teachers, number):
    return fault
  kinds = {teacher.single_label for teacher in teachers}
  if len(kinds) > 1 or not is_one_net(teachers, config.image_shape):
    return 'only teachers of one net can be drawn; take such'
  return None


def _find_label_fault(
  config: Experiment, teachers: Sequence[Teacher], number: int
) -> str | None:
  """Finds out why the teachers' labels do not allow a draw, as `find_fault`."""
  label_sets = [teacher.labels for teacher in teachers]
  if len({*label_sets}) == 1:
    return None
  num_labels = len(label_sets[0])
  union = {label for labels in label_sets for label in labels}
  if len(union) < len(label_sets) * num_labels or any(
    len(labels) != num_labels for labels in label_sets
  ):
    return (
      'teachers that are drawn answer the same labels in the same order, or '
      'equally many that no other answers; name their labels so'
    )
  if {*config.labels} != union:
    return (
      'a student of teachers that are drawn answers all labels; ask for all'
    )
  if number * num_labels < 2:
    return 'a single label tells nothing of the others; draw 2 teachers or more'
  # A class among drawn labels is none for an image of another label.
  objective = config.objective
  if not teachers[0].single_label and (
    objective.one_hot == 'class'
    or objective.entropy not in _ENTROPIES_OF_DRAWN_LABELS
  ):
    return (
      'labels that are drawn are judged one by one; set objective.one_hot to '
      "'labels' and objective.entropy to 'normalised'"
    )
  return None
