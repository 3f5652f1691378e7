"""Checks a config: each field, and what several fields say together."""

from typing import Any

import ml_collections
import pydantic
from pydantic_core import ErrorDetails

from dualgan_jax import names
from dualgan_jax.config.fields import (
  Experiment,
  GivenTeacher,
  ModuleTeacher,
  TrainedTeacher,
  WeightsTeacher,
  teacher_kind,
)
from dualgan_jax.config.value_types import WRONG_VALUE, brief
from dualgan_jax.errors import UserError
from dualgan_jax.networks.architectures import ARCHITECTURES

# The rows of the results beside those of single teachers.
ROWS = (
  'teachers',
  'compact',
  'compact_before_refine',
  'branched',
  'noise',
  'real_data',
)


def check(
  config: ml_collections.ConfigDict,
) -> ml_collections.FrozenConfigDict:
  """Checks a config, and fills in the defaults of fields that it leaves out.

  Args:
    config: as `builders.get_config` makes it.

  Returns:
    The same values, frozen.

  Raises:
    UserError: a field is missing, unknown or wrong; the message names it.
  """
  if not isinstance(
    config, ml_collections.ConfigDict | ml_collections.FrozenConfigDict
  ):
    raise UserError(
      f'config: {brief(config)}, but it should be a ConfigDict, as '
      'get_config() of a preset returns it.'
    )
  values = config.to_dict()
  _check_names(values)
  try:
    experiment = Experiment.model_validate(values)
  except pydantic.ValidationError as e:
    raise UserError(_sentence(e.errors()[0])) from e
  for check_rule in (
    _check_teachers,
    _check_data,
    _check_nets,
    _check_dual,
    _check_refine,
  ):
    check_rule(experiment)
  return ml_collections.FrozenConfigDict(experiment.model_dump())


def _sentence(error: ErrorDetails) -> str:
  """Says what is wrong with a field, and what to do."""
  # The kind of a teacher is a part of its place, and no field.
  place = error['loc']
  if place[0] == 'teachers':
    place = (*place[:2], *place[3:])
  field = '.'.join(map(str, place))
  if error['type'] == 'missing':
    return f'{field}: missing; add it to the config.'
  if error['type'] == 'extra_forbidden':
    return f'{field}: no such field; remove it from the config.'
  # pydantic itself complains only of what should have fields of its own.
  is_value = error['type'] == WRONG_VALUE
  wanted = error['ctx']['wanted'] if is_value else 'a group'
  return f'{field}: {brief(error["input"])}, but it should be {wanted}.'


def _check_names(values: dict[str, Any]) -> None:
  """Checks the names of teachers and data sets."""
  teachers = values.get('teachers')
  if not isinstance(teachers, dict) or not teachers:
    raise UserError('teachers: name at least one teacher.')
  for name in teachers:
    if fault := names.name_fault(name):
      raise UserError(f'teachers: the name {brief(name)} {fault}.')
    if name in ROWS:
      raise UserError(
        f'teachers.{name}: the results have a row of that name; name the '
        'teacher otherwise.'
      )
  data = values.get('data', {})
  if not isinstance(data, dict) or (
    not data and 'trained' in map(teacher_kind, teachers.values())
  ):
    raise UserError('data: name at least one data set.')
  for name in data:
    if fault := names.name_fault(name):
      raise UserError(f'data: the name {brief(name)} {fault}.')


def _check_teachers(experiment: Experiment) -> None:
  for name, teacher in experiment.teachers.items():
    field = f'teachers.{name}'
    has_data = isinstance(teacher, TrainedTeacher) or teacher.data is not None
    if has_data and teacher.data not in experiment.data:
      raise UserError(
        f'{field}.data: there is no data set {brief(teacher.data)}; there are '
        f'{", ".join(experiment.data) or "none"}.'
      )
    if (
      isinstance(teacher, WeightsTeacher)
      and teacher.stem_pool is not None
      and ARCHITECTURES[teacher.architecture].stem_pool is None
    ):
      raise UserError(
        f'{field}.stem_pool: no pool can follow the first convolution of a '
        f'{teacher.architecture}; leave it out.'
      )
    if isinstance(teacher, ModuleTeacher | GivenTeacher):
      continue
    if teacher.single_label and len(teacher.labels) < 2:
      raise UserError(
        f'{field}.single_label: it has one label only, which a softmax always '
        'gives; name all its labels, or set it to False.'
      )


def _check_data(experiment: Experiment) -> None:
  teachers = experiment.teachers.values()
  # Other people's teachers are only tested on data, on any.
  if not all(isinstance(teacher, TrainedTeacher) for teacher in teachers):
    return
  for name in experiment.data:
    if name not in {teacher.data for teacher in teachers}:
      raise UserError(
        f'data.{name}: no teacher is trained on it; take it out, or name it in '
        'teachers.<name>.data.'
      )


def _check_nets(experiment: Experiment) -> None:
  nets = {
    f'teachers.{name}': teacher
    for name, teacher in experiment.teachers.items()
    if isinstance(teacher, TrainedTeacher)
  }
  for field, net in {**nets, 'student': experiment.student}.items():
    for part in ('depths', 'strides'):
      entries = getattr(net, part)
      if len(entries) != len(net.widths):
        raise UserError(
          f'{field}.{part}: {len(entries)} values for {len(net.widths)} '
          f'blocks; give one per entry of {field}.widths.'
        )


def _check_dual(experiment: Experiment) -> None:
  dual = experiment.dual
  if dual.steps and not experiment.objective.groups:
    raise UserError(
      'dual.steps: blocks learn from groups, and objective.groups is False; '
      'set dual.steps to 0, or objective.groups to True.'
    )
  if dual.steps and not dual.lambda_own and not dual.lambda_generated:
    raise UserError(
      'dual.lambda_own: blocks learn nothing if it and dual.lambda_generated '
      'are 0; set one of them above 0, or dual.steps to 0.'
    )


def _check_refine(experiment: Experiment) -> None:
  height, width, _ = experiment.image
  if experiment.refine.shift >= min(height, width):
    raise UserError(
      f'refine.shift: {experiment.refine.shift} pixels move an image of '
      f'{height}×{width} out of sight; take fewer.'
    )
