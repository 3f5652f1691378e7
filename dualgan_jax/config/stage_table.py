"""The table of stages: the fields of each, and its row.

All other lists of stages are derived from it. `experiment.stage_runners` names
the function of each stage, in the same order.
"""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from dualgan_jax.config.teacher_groups import TrainedTeacher
from dualgan_jax.config.value_types import (
  Count,
  Flag,
  Group,
  OptionalCount,
  OptionalMean,
  OptionalSizes,
  OptionalStd,
  Rate,
  Size,
  Sizes,
  Steps,
  Weight,
  choice,
)

if TYPE_CHECKING:
  from dualgan_jax.config.fields import Experiment

# Groups of a config's fields, or values of single fields, by name.
Dependencies = dict[str, Any]
# Descriptions that several stages share.
_BATCH = 'Images per step; 0: the largest batch up to 128 that fits.'
_LEARNING_RATE = 'Learning rate of Adam at the start; it falls to 0.'


class Pretrain(Group):
  """Stage `pretrain`."""

  steps: Steps = Field(600, description='Training steps of each teacher.')
  batch: Count = Field(128, description=_BATCH)
  learning_rate: Rate = Field(2e-3, description=_LEARNING_RATE)
  teacher_data: Annotated[str, choice('shared', 'own')] = Field(
    'shared',
    description='Whether a teacher sees all images of its set, or only those '
    'of its labels.',
  )


class Generator(Group):
  """Stage `generator`."""

  steps: Count = Field(
    1000, description='Training steps; 0: `refine` trains it from the start.'
  )
  batch: Count = Field(128, description=_BATCH)
  learning_rate: Rate = Field(2e-3, description=_LEARNING_RATE)
  latent_dim: Size = Field(64, description='Size of the random part of z.')
  widths: Sizes = Field((64, 32, 16), description='Channels inside G^1 .. G^B.')
  features: OptionalSizes = Field(
    None,
    description='Channels of its features, by block but the last; None: '
    'student.widths. Set it to use one generator for students of other widths.',
  )
  # Both or none of these; then images may leave [0, 1].
  image_mean: OptionalMean = Field(
    None,
    description='Mean that a last batch norm, without scale and bias, gives '
    'its images; None: a sigmoid makes them.',
  )
  image_std: OptionalStd = Field(
    None, description='Standard deviation that it gives them; None: as above.'
  )
  # Only read where `objective.routing` is 'auto'.
  probe_steps: Steps = Field(
    400, description='Steps of the short training that decides on routing.'
  )


class Dual(Group):
  """Stage `dual`."""

  steps: Count = Field(200, description='Training steps of each block.')
  batch: Count = Field(128, description=_BATCH)
  learning_rate: Rate = Field(2e-3, description=_LEARNING_RATE)
  # Each block learns through the teachers' filters.
  filter_start: Annotated[str, choice('stage1', 'fresh')] = Field(
    'stage1', description="Whether filters start from the generator's, or anew."
  )
  lambda_own: Weight = Field(1.0, description='Weight λ^1 of Eq. 16.')
  lambda_generated: Weight = Field(0.0, description='Weight λ^2 of Eq. 16.')


class TargetNet(Group):
  """Stage `targetnet`."""

  # Both TargetNets are distilled from the teachers, one after the other.
  compact_steps: Count = Field(
    1800, description='Training steps of the compact TargetNet.'
  )
  branched_steps: Steps = Field(
    600, description='Training steps of the branched TargetNet.'
  )
  batch: Count = Field(128, description=_BATCH)
  learning_rate: Rate = Field(2e-3, description=_LEARNING_RATE)
  branch_tolerance: Weight = Field(
    0.0,
    description='How much above the lowest L_d a later branch point may be.',
  )


class Refine(Group):
  """Stage `refine`."""

  steps: Count = Field(
    1000, description='Steps of the generator; 0: no refinement.'
  )
  batch: Count = Field(128, description=_BATCH)
  learning_rate: Rate = Field(2e-3, description='Learning rate of the student.')
  generator_learning_rate: Rate = Field(
    1e-3, description='Learning rate of the generator.'
  )
  # Generator and student train in turn.
  adversarial_weight: Weight = Field(
    1.0, description="Weight of the generator's reward for disagreement."
  )
  replay_steps: Count = Field(
    1,
    description='Steps of the student on replayed images, for each step of the '
    'generator.',
  )
  replay_buffer_batches: Steps = Field(
    300, description='Batches that are kept for replay.'
  )
  branched_steps: Count = Field(
    600,
    description='Steps of the branched TargetNet on replayed images.',
  )


class Baselines(Group):
  """Stage `baselines`."""

  enabled: Flag = Field(
    False,
    description='Whether the same student also learns from noise and, if there '
    'are any, from real images, to compare with.',
  )
  steps: OptionalCount = Field(
    None, description="Steps of each baseline; None: as many as the student's."
  )
  batch: Count = Field(128, description=_BATCH)
  learning_rate: Rate = Field(2e-3, description=_LEARNING_RATE)


class StageGroups(Group):
  """The groups of all stages that have fields."""

  pretrain: Pretrain = Pretrain()
  generator: Generator = Generator()
  dual: Dual = Dual()
  targetnet: TargetNet = TargetNet()
  refine: Refine = Refine()
  baselines: Baselines = Baselines()


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
  dependencies: Callable[['Experiment'], Dependencies]
  uses_data: bool = False
  is_measurement: bool = False
  can_be_taken: bool = False
  batch_is_shared_by: Literal[
    'devices', 'all teachers', 'relevant teachers'
  ] = 'devices'
  has_batch: bool = True
  is_of_student: bool = False


def _pick(*names: str) -> Callable[['Experiment'], Dependencies]:
  """Returns a function that selects the named groups and fields."""
  return lambda config: {name: getattr(config, name) for name in names}


def _pretrain_dependencies(config: 'Experiment') -> Dependencies:
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
  picked_fields = _pick('seed', 'image_shape', 'precision', 'pretrain')(config)
  return {**picked_fields, 'teachers': teachers, 'data': data_sets}


def _generator_dependencies(config: 'Experiment') -> Dependencies:
  """Selects all teachers, and the fields of the objective that train."""
  picked_fields = _pick(
    *('seed', 'image_shape', 'precision', 'generator', 'teachers_per_step')
  )(config)
  # The data set of a teacher from a file only makes a baseline.
  teachers = {
    name: teacher
    if isinstance(teacher, TrainedTeacher)
    else teacher.model_dump(exclude={'data'})
    for name, teacher in config.teachers.items()
  }
  objective = config.objective.model_dump(exclude=_OBJECTIVE_TEXTS)
  return {**picked_fields, 'teachers': teachers, 'objective': objective}


def _baselines_dependencies(config: 'Experiment') -> Dependencies:
  """Selects all data sets, and those of teachers from files."""
  picked_fields = _pick(*_DISTILLATION_GROUPS, 'data', 'baselines')(config)
  teachers = {
    name: {'data': teacher.data}
    for name, teacher in config.teachers.items()
    if not isinstance(teacher, TrainedTeacher)
  }
  return {**picked_fields, 'teachers': teachers}


def _evaluate_dependencies(config: 'Experiment') -> Dependencies:
  """Selects data, labels, and the names that stand in the results."""
  objective = config.objective.model_dump(include=_OBJECTIVE_TEXTS)
  picked_fields = _pick('seed', 'data', 'labels', 'experiment')(config)
  return {**picked_fields, 'objective': objective}


# Fields of an objective that stand in the results, and train nothing.
_OBJECTIVE_TEXTS = {'name', 'oracle'}
# Fields that every training of a student depends on.
_STUDENT_GROUPS = ('seed', 'student_seed', 'labels', 'student')
# Fields that every training of a whole student depends on.
_DISTILLATION_GROUPS = (
  *_STUDENT_GROUPS,
  'teachers_per_step',
  'temperature',
  'distillation',
  'augmentation',
)

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
    _pick(*_DISTILLATION_GROUPS, 'targetnet'),
    batch_is_shared_by='relevant teachers',
    is_of_student=True,
  ),
  Stage(
    'refine',
    _pick(*_DISTILLATION_GROUPS, 'refine'),
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
