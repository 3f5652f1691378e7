"""The stages of a run, one row each: all else that lists stages follows it.

What a stage does stands in `experiment.stage_runners`, in the same order.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

from dualgan_jax.config.fields import teacher_kind

# Groups of a config's values, or single values, by name.
Values = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Stage:
  """What is true of a stage.

  Attributes:
    name: of the stage, its folder and, if it has one, its group of fields.
    dependencies: picks what its outcome depends on from all values of a config.
      What a stage takes over from an earlier one's outcome is that one's.
    uses_data: whether it may open real images.
    is_measurement: whether nothing is built on it, so that it may be done again
      with other fields.
    can_be_taken: whether another run's folder may give its outcome.
    batch_is_shared_by: who needs equal parts of a batch: the devices, and on
      each device, where images may be routed, all teachers or those that are
      asked for a label.
    has_batch: whether it has a batch at all.
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


def _pick(*names: str) -> Callable[[Values], Values]:
  return lambda values: {name: values[name] for name in names}


def _pretrain_dependencies(values: Values) -> Values:
  teachers = {
    name: teacher
    for name, teacher in values['teachers'].items()
    if teacher_kind(teacher) == 'trained'
  }
  used = {teacher['data'] for teacher in teachers.values()}
  data = {name: x for name, x in values['data'].items() if name in used}
  picked = _pick('seed', 'image', 'precision', 'pretrain')(values)
  return {**picked, 'teachers': teachers, 'data': data}


def _generator_dependencies(values: Values) -> Values:
  picked = _pick('seed', 'image', 'precision', 'generator')(values)
  # What others' teachers were trained on makes nothing but a baseline.
  teachers = {
    name: teacher
    if teacher_kind(teacher) == 'trained'
    else {field: x for field, x in teacher.items() if field != 'data'}
    for name, teacher in values['teachers'].items()
  }
  objective = {
    field: x
    for field, x in values['objective'].items()
    if field not in _OBJECTIVE_TEXTS
  }
  return {**picked, 'teachers': teachers, 'objective': objective}


def _baselines_dependencies(values: Values) -> Values:
  picked = _pick(*_OF_A_STUDENT, 'data', 'temperature', 'baselines')(values)
  teachers = {
    name: {'data': teacher['data']}
    for name, teacher in values['teachers'].items()
    if teacher_kind(teacher) != 'trained'
  }
  return {**picked, 'teachers': teachers}


def _evaluate_dependencies(values: Values) -> Values:
  objective = {field: values['objective'][field] for field in _OBJECTIVE_TEXTS}
  picked = _pick('seed', 'data', 'labels', 'experiment')(values)
  return {**picked, 'objective': objective}


# What the results say of an objective, and nothing is trained with.
_OBJECTIVE_TEXTS = ('name', 'oracle')
_OF_A_STUDENT = ('seed', 'student_seed', 'labels', 'student')

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
    _pick(*_OF_A_STUDENT, 'dual'),
    batch_is_shared_by='relevant teachers',
  ),
  Stage(
    'targetnet',
    _pick(*_OF_A_STUDENT, 'temperature', 'targetnet'),
    batch_is_shared_by='relevant teachers',
  ),
  Stage(
    'refine',
    _pick(*_OF_A_STUDENT, 'temperature', 'refine'),
    batch_is_shared_by='all teachers',
  ),
  Stage(
    'baselines',
    _baselines_dependencies,
    uses_data=True,
    is_measurement=True,
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
