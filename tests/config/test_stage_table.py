"""The table of stages fits the config, and its rows fit one another."""

import pytest

from dualgan_jax.config import stage_fields, stage_table
from dualgan_jax.config.fields import Experiment
from dualgan_jax.config.schema import check
from dualgan_jax.presets import digits


@pytest.mark.parametrize(
  'stage', stage_table.STAGES, ids=lambda stage: stage.name
)
def test_a_stage_that_trains_has_a_group_of_fields(stage):
  group = Experiment.model_fields.get(stage.name)
  assert stage.has_batch == (group is not None)
  if group:
    assert 'batch' in type(group.default).model_fields


@pytest.mark.parametrize(
  'stage', stage_table.STAGES, ids=lambda stage: stage.name
)
def test_a_stage_depends_on_its_own_fields(stage):
  fields = stage_fields.by_stage(check(digits.get_config()))[stage.name]
  prefix = f'{stage.name}.'
  assert stage.has_batch == any(field.startswith(prefix) for field in fields)
  assert stage.is_of_student == ('student_seed' in fields)


def test_every_field_belongs_to_a_stage_or_to_the_execution():
  config = check(digits.get_config())
  fields_of_stages = set().union(*stage_fields.by_stage(config).values())
  other_fields = stage_fields.flatten_fields(config).keys() - fields_of_stages
  assert other_fields == {
    *('devices', 'steps_per_call', 'log_every'),
    *('save_minutes', 'save_every'),
    'data.digits.path',
  }


def test_every_group_of_a_stage_has_a_row():
  assert list(stage_table.StageGroups.model_fields) == [
    stage.name for stage in stage_table.STAGES if stage.has_batch
  ]


def test_nothing_is_built_on_a_measurement():
  are_measurements = [stage.is_measurement for stage in stage_table.STAGES]
  first_measurement = are_measurements.index(True)
  assert all(are_measurements[first_measurement:])
