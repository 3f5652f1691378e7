"""What stages say of themselves fits the config, and one another."""

import pytest

from dualgan_jax.config import stage_fields, stage_table
from dualgan_jax.config.fields import Experiment
from dualgan_jax.config.schema import check
from dualgan_jax.presets import digits


@pytest.mark.parametrize('stage', stage_table.STAGES, ids=lambda x: x.name)
def test_a_stage_that_trains_has_a_group_of_fields(stage):
  group = Experiment.model_fields.get(stage.name)
  assert stage.has_batch == (group is not None)
  if group:
    assert 'batch' in type(group.default).model_fields


@pytest.mark.parametrize('stage', stage_table.STAGES, ids=lambda x: x.name)
def test_a_stage_depends_on_its_own_fields(stage):
  fields = stage_fields.by_stage(check(digits.get_config()))[stage.name]
  assert stage.has_batch == any(x.startswith(f'{stage.name}.') for x in fields)
  assert stage.is_of_student == ('student_seed' in fields)


def test_every_field_belongs_to_a_stage_or_says_how_to_run():
  config = check(digits.get_config())
  read = set().union(*stage_fields.by_stage(config).values())
  left = stage_fields.flatten_fields(config).keys() - read
  assert left == {
    *('devices', 'steps_per_call', 'log_every', 'save_every'),
    'data.digits.path',
  }


def test_nothing_is_built_on_a_measurement():
  first = [stage.is_measurement for stage in stage_table.STAGES].index(True)
  assert all(stage.is_measurement for stage in stage_table.STAGES[first:])
