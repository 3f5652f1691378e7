"""Checks a config: each field, and rules that several fields must obey."""

from typing import Any

import ml_collections
import pydantic
from pydantic_core import ErrorDetails

from dualgan_jax import names
from dualgan_jax.config import renamed_fields, stage_fields, training_budget
from dualgan_jax.config.fields import DataSet, Experiment
from dualgan_jax.config.teacher_groups import (
  GivenTeacher,
  ModuleTeacher,
  StudentTeacher,
  TrainedTeacher,
  WeightsTeacher,
  find_teacher_group,
)
from dualgan_jax.config.value_types import WRONG_VALUE, show_value
from dualgan_jax.errors import UserError
from dualgan_jax.networks.architectures import ARCHITECTURES

# Rows of the results beside those of single teachers, by model.
MODEL_ROWS = (
  'teachers',
  'fedavg',
  'mean_logits',
  'entropy_weights',
  'compact',
  'compact_before_refine',
  'branched',
  'noise',
  'real_data',
)


def check(config: ml_collections.ConfigDict) -> Experiment:
  """Checks a config, and fills in the defaults of fields that it leaves out.

  Args:
    config: a config, as `builders.get_config` builds it.

  Returns:
    The same values and the defaults, which nothing changes any more.

  Raises:
    UserError: a field is missing, unknown or wrong; the message names it.
  """
  if not isinstance(
    config, ml_collections.ConfigDict | ml_collections.FrozenConfigDict
  ):
    raise UserError(
      f'config: {show_value(config)}, but it should be a ConfigDict, as '
      'get_config() of a preset returns it.'
    )
  config_values = renamed_fields.rename(config.to_dict())
  # Names come first: they are parts of the paths in all other messages.
  _check_names(config_values)
  try:
    experiment = Experiment.model_validate(config_values)
  except pydantic.ValidationError as error:
    # One sentence at a time; the next one follows when this is put right.
    raise UserError(_field_error_message(error.errors()[0])) from error
  # Rules of several fields may rely on each field being right.
  for check_rule in (
    _check_teachers,
    _check_data,
    _check_nets,
    _check_image_statistics,
    _check_dual,
    _check_untrained,
    _check_augmentation,
  ):
    check_rule(experiment)
  return _fill_in_baseline_steps(_fill_in_features(experiment))


def _fill_in_features(experiment: Experiment) -> Experiment:
  """Gives the generator the student's widths, if its features are left open."""
  generator = experiment.generator
  if generator.features is not None:
    return experiment
  # The last group makes the image, so the last block has no features.
  features = experiment.student.widths[:-1]
  return experiment.model_copy(
    update={'generator': generator.model_copy(update={'features': features})}
  )


def _fill_in_baseline_steps(experiment: Experiment) -> Experiment:
  """Gives baselines as many steps as the student has, if they are left open."""
  baselines = experiment.baselines
  if not baselines.enabled or baselines.steps is not None:
    return experiment
  steps = training_budget.num_student_steps(
    stage_fields.flatten_fields(experiment)
  )
  return experiment.model_copy(
    update={'baselines': baselines.model_copy(update={'steps': steps})}
  )


def _field_error_message(details: ErrorDetails) -> str:
  """Formats what is wrong with a field, and the cure, as one sentence."""
  # pydantic puts the kind of a teacher into the path, where no field is.
  location = details['loc']
  if location[0] == 'teachers':
    location = (*location[:2], *location[3:])
  field_path = '.'.join(map(str, location))
  if details['type'] == 'missing':
    return f'{field_path}: missing; add it to the config.'
  if details['type'] == 'extra_forbidden':
    return f'{field_path}: no such field; remove it from the config.'
  # pydantic itself complains only of values where a group should be.
  is_value = details['type'] == WRONG_VALUE
  expectation = details['ctx']['expectation'] if is_value else 'a group'
  shown_value = show_value(details['input'])
  return f'{field_path}: {shown_value}, but it should be {expectation}.'


def _check_names(config_values: dict[str, Any]) -> None:
  """Checks the names of teachers and data sets, and that there are some."""
  teachers = config_values.get('teachers')
  if not isinstance(teachers, dict) or not teachers:
    raise UserError('teachers: name at least one teacher.')
  for name in teachers:
    if name_fault := names.name_fault(name):
      raise UserError(f'teachers: the name {show_value(name)} {name_fault}.')
    if name in MODEL_ROWS:
      raise UserError(
        f'teachers.{name}: the results have a row of that name; name the '
        'teacher otherwise.'
      )

  # Only teachers that are trained here need data.
  data_sets = config_values.get('data', {})
  if not isinstance(data_sets, dict) or (
    not data_sets
    and TrainedTeacher in map(find_teacher_group, teachers.values())
  ):
    raise UserError('data: name at least one data set.')
  for name in data_sets:
    if name_fault := names.name_fault(name):
      raise UserError(f'data: the name {show_value(name)} {name_fault}.')


def _check_teachers(experiment: Experiment) -> None:
  """Checks each teacher's data set, pool and labels."""
  for name, teacher in experiment.teachers.items():
    teacher_path = f'teachers.{name}'
    has_data = isinstance(teacher, TrainedTeacher) or teacher.data is not None
    if has_data and teacher.data not in experiment.data:
      raise UserError(
        f'{teacher_path}.data: there is no data set '
        f'{show_value(teacher.data)}; there are '
        f'{", ".join(experiment.data) or "none"}.'
      )
    if isinstance(teacher, TrainedTeacher):
      _check_client(teacher_path, teacher, experiment.data[teacher.data])
    if (
      isinstance(teacher, WeightsTeacher)
      and teacher.stem_pool is not None
      and ARCHITECTURES[teacher.architecture][0].stem_pool is None
    ):
      raise UserError(
        f'{teacher_path}.stem_pool: no pool can follow the first convolution '
        f'of a {teacher.architecture}; leave it out.'
      )
    # The labels of a Python file are known only when it has run.
    if isinstance(teacher, ModuleTeacher | StudentTeacher | GivenTeacher):
      continue
    if teacher.single_label and len(teacher.labels) < 2:
      raise UserError(
        f'{teacher_path}.single_label: it has one label only, which a softmax '
        'always gives; name all its labels, or set it to False.'
      )


def _check_client(
  teacher_path: str, teacher: TrainedTeacher, data_set: DataSet
) -> None:
  """Checks that a teacher names a client if, and only if, its set is split."""
  num_clients, client = data_set.clients, teacher.client
  if not num_clients and client is not None:
    raise UserError(
      f'{teacher_path}.client: data.{teacher.data} is not split over clients; '
      f'set data.{teacher.data}.clients to their number, or leave it out.'
    )
  if num_clients and (client is None or client >= num_clients):
    raise UserError(
      f'{teacher_path}.client: {client}, but data.{teacher.data} is split over '
      f'{num_clients} clients; give the number of one, from 0 to '
      f'{num_clients - 1}.'
    )


def _check_data(experiment: Experiment) -> None:
  """Checks that every data set has a use."""
  teachers = experiment.teachers.values()
  # Teachers from files are evaluated on any data.
  if not all(isinstance(teacher, TrainedTeacher) for teacher in teachers):
    return
  for name in experiment.data:
    if name not in {teacher.data for teacher in teachers}:
      raise UserError(
        f'data.{name}: no teacher is trained on it; take it out, or name it in '
        'teachers.<name>.data.'
      )


def _check_nets(experiment: Experiment) -> None:
  """Checks that each net has one width, depth and stride per block."""
  nets = {
    f'teachers.{name}': teacher
    for name, teacher in experiment.teachers.items()
    if isinstance(teacher, TrainedTeacher)
  }
  for net_path, net in {**nets, 'student': experiment.student}.items():
    num_blocks = len(net.widths)
    for field_name in ('depths', 'strides'):
      num_values = len(getattr(net, field_name))
      if num_values != num_blocks:
        raise UserError(
          f'{net_path}.{field_name}: {num_values} values for {num_blocks} '
          f'blocks; give one per entry of {net_path}.widths.'
        )


def _check_dual(experiment: Experiment) -> None:
  """Checks that blocks have something to learn from in stage `dual`."""
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


def _check_untrained(experiment: Experiment) -> None:
  """Checks that generator and student learn somewhere."""
  dual_steps = experiment.dual.steps
  compact_steps = experiment.targetnet.compact_steps
  refine_steps = experiment.refine.steps
  if not experiment.generator.steps and (
    dual_steps or compact_steps or not refine_steps
  ):
    raise UserError(
      'generator.steps: with 0 of them only stage refine trains the generator; '
      'set dual.steps and targetnet.compact_steps to 0, too, and refine.steps '
      'above 0.'
    )
  if not (dual_steps or compact_steps or refine_steps):
    raise UserError(
      'targetnet.compact_steps: the compact TargetNet learns nothing if it, '
      'dual.steps and refine.steps are 0; set one of them above 0.'
    )


def _check_image_statistics(experiment: Experiment) -> None:
  """Checks that generated images have both statistics or none."""
  generator = experiment.generator
  if (generator.image_mean is None) != (generator.image_std is None):
    raise UserError(
      'generator.image_mean: it goes with generator.image_std; set both, or '
      'leave both at None.'
    )
  for name in ('image_mean', 'image_std'):
    values = getattr(generator, name) or ()
    if len(values) > 1 and len(values) != experiment.image_shape[-1]:
      raise UserError(
        f'generator.{name}: {len(values)} values for '
        f'{experiment.image_shape[-1]} channel(s); give one for all, or one '
        'for each.'
      )


def _check_augmentation(experiment: Experiment) -> None:
  """Checks that no shift moves all pixels out of an image."""
  height, width, _ = experiment.image_shape
  shift = experiment.augmentation.shift
  if shift >= min(height, width):
    raise UserError(
      f'augmentation.shift: {shift} pixels move an image of {height}×{width} '
      'out of sight; take fewer.'
    )
