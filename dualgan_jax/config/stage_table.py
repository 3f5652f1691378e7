"""The table of stages: all other lists of stages are derived from it.

`experiment.stage_runners` has the function of each stage, in the same order.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

from dualgan_jax.config.fields import teacher_kind

# Groups of a config's values, or single values, by name.
Values = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Stage:
  """A stage of a run.

  Attributes:
    name: name of the stage, of its folder and of its group of fields.
    dependencies: selects, from all values of a config, those that the outcome
      depends on. Values that only shaped an earlier stage's outcome are left
      out.
    uses_data: whether it may open real images.
    is_measurement: whether no later stage builds on it, so that it may run
      again with other fields.
    can_be_taken: whether `--init_from` may take its outcome from another run.
    batch_is_shared_by: who needs equal parts of a batch: the devices only; or,
      where images may be routed, also all teachers, or the teachers that own a
      label of the student, on each device.
    has_batch: whether it has a field `batch`.
    is_of_student: whether its random numbers follow `student_seed`.
  """

  name: str
  dependencies: Callable[[Values], Values]
  uses_data: bool = False
  is_measurement: bool = False
  can_be_taken: bool = False
  batch_is_shared_by: Literal[
    'devices', 'all teachers', 'relevant teachers'
  ] = 'devices'
  has_batch: bool = True
  is_of_student: bool = False


def _pick(*names: str) -> Callable[[Values], Values]:
  """Returns a function that selects the named values."""
  return lambda values: {name: values[name] for name in names}


def _pretrain_dependencies(values: Values) -> Values:
  """Selects the teachers that are trained here, and their data sets."""
  teachers = {
    name: teacher
    for name, teacher in values['teachers'].items()
    if teacher_kind(teacher) == 'trained'
  }
  names_in_use = {teacher['data'] for teacher in teachers.values()}
  data_sets = {
    name: data_set
    for name, data_set in values['data'].items()
    if name in names_in_use
  }
  picked_values = _pick('seed', 'image', 'precision', 'pretrain')(values)
  return {**picked_values, 'teachers': teachers, 'data': data_sets}


def _generator_dependencies(values: Values) -> Values:
  """Selects all teachers, and the fields of the objective that train."""
  picked_values = _pick('seed', 'image', 'precision', 'generator')(values)
  # The data set of a teacher from a file only makes a baseline.
  teachers = {
    name: teacher
    if teacher_kind(teacher) == 'trained'
    else {field: value for field, value in teacher.items() if field != 'data'}
    for name, teacher in values['teachers'].items()
  }
  objective = {
    field: value
    for field, value in values['objective'].items()
    if field not in _OBJECTIVE_TEXTS
  }
  return {**picked_values, 'teachers': teachers, 'objective': objective}


def _baselines_dependencies(values: Values) -> Values:
  """Selects all data sets, and those of teachers from files."""
  picked_values = _pick(*_STUDENT_GROUPS, 'data', 'temperature', 'baselines')(
    values
  )
  teachers = {
    name: {'data': teacher['data']}
    for name, teacher in values['teachers'].items()
    if teacher_kind(teacher) != 'trained'
  }
  return {**picked_values, 'teachers': teachers}


def _evaluate_dependencies(values: Values) -> Values:
  """Selects data, labels, and the names that stand in the results."""
  objective = {field: values['objective'][field] for field in _OBJECTIVE_TEXTS}
  picked_values = _pick('seed', 'data', 'labels', 'experiment')(values)
  return {**picked_values, 'objective': objective}


# Fields of an objective that stand in the results, and train nothing.
_OBJECTIVE_TEXTS = ('name', 'oracle')
# Values that every training of a student depends on.
_STUDENT_GROUPS = ('seed', 'student_seed', 'labels', 'student')

STAGES = (
  Stage(
    'pretrain',
    _pretrain_dependencies,
    uses_data=True,
    can_be_taken=True,
  ),
  Stage(
    'generator',
    _generator_dependencies,
    can_be_taken=True,
    batch_is_shared_by='all teachers',
  ),
  Stage(
    'dual',
    _pick(*_STUDENT_GROUPS, 'dual'),
    batch_is_shared_by='relevant teachers',
    is_of_student=True,
  ),
  Stage(
    'targetnet',
    _pick(*_STUDENT_GROUPS, 'temperature', 'targetnet'),
    batch_is_shared_by='relevant teachers',
    is_of_student=True,
  ),
  Stage(
    'refine',
    _pick(*_STUDENT_GROUPS, 'temperature', 'refine'),
    batch_is_shared_by='all teachers',
    is_of_student=True,
  ),
  Stage(
    'baselines',
    _baselines_dependencies,
    uses_data=True,
    is_measurement=True,
    is_of_student=True,
  ),
  Stage(
    'evaluate',
    _evaluate_dependencies,
    uses_data=True,
    is_measurement=True,
    has_batch=False,
  ),
)
NAMES = tuple(stage.name for stage in STAGES)
