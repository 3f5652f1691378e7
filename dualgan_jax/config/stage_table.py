"""The table of stages: all other lists of stages are derived from it.

`experiment.stage_runners` names the function of each stage, in the same order.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

from dualgan_jax.config.fields import Experiment, TrainedTeacher

# Groups of a config's fields, or values of single fields, by name.
Dependencies = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Stage:
  """A stage of a run.

  Attributes:
    name: name of the stage, of its folder and of its group of fields.
    dependencies: selects, from a config, the groups and fields that the outcome
      depends on. Fields that only shaped an earlier stage's outcome are left
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
  dependencies: Callable[[Experiment], Dependencies]
  uses_data: bool = False
  is_measurement: bool = False
  can_be_taken: bool = False
  batch_is_shared_by: Literal[
    'devices', 'all teachers', 'relevant teachers'
  ] = 'devices'
  has_batch: bool = True
  is_of_student: bool = False


def _pick(*names: str) -> Callable[[Experiment], Dependencies]:
  """Returns a function that selects the named groups and fields."""
  return lambda config: {name: getattr(config, name) for name in names}


def _pretrain_dependencies(config: Experiment) -> Dependencies:
  """Selects the teachers that are trained here, and their data sets."""
  teachers = {
    name: teacher
    for name, teacher in config.teachers.items()
    if isinstance(teacher, TrainedTeacher)
  }
  names_in_use = {teacher.data for teacher in teachers.values()}
  data_sets = {
    name: data_set
    for name, data_set in config.data.items()
    if name in names_in_use
  }
  picked_fields = _pick('seed', 'image', 'precision', 'pretrain')(config)
  return {**picked_fields, 'teachers': teachers, 'data': data_sets}


def _generator_dependencies(config: Experiment) -> Dependencies:
  """Selects all teachers, and the fields of the objective that train."""
  picked_fields = _pick('seed', 'image', 'precision', 'generator')(config)
  # The data set of a teacher from a file only makes a baseline.
  teachers = {
    name: teacher
    if isinstance(teacher, TrainedTeacher)
    else teacher.model_dump(exclude={'data'})
    for name, teacher in config.teachers.items()
  }
  objective = config.objective.model_dump(exclude=_OBJECTIVE_TEXTS)
  return {**picked_fields, 'teachers': teachers, 'objective': objective}


def _baselines_dependencies(config: Experiment) -> Dependencies:
  """Selects all data sets, and those of teachers from files."""
  picked_fields = _pick(*_STUDENT_GROUPS, 'data', 'temperature', 'baselines')(
    config
  )
  teachers = {
    name: {'data': teacher.data}
    for name, teacher in config.teachers.items()
    if not isinstance(teacher, TrainedTeacher)
  }
  return {**picked_fields, 'teachers': teachers}


def _evaluate_dependencies(config: Experiment) -> Dependencies:
  """Selects data, labels, and the names that stand in the results."""
  objective = config.objective.model_dump(include=_OBJECTIVE_TEXTS)
  picked_fields = _pick('seed', 'data', 'labels', 'experiment')(config)
  return {**picked_fields, 'objective': objective}


# Fields of an objective that stand in the results, and train nothing.
_OBJECTIVE_TEXTS = {'name', 'oracle'}
# Fields that every training of a student depends on.
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
