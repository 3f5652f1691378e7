"""Fields are declared once: their defaults, their page, their readers."""

import re
import typing

import ml_collections
import pytest

from dualgan_jax.config import builders, objectives, reference
from dualgan_jax.config.stage_table import Generator, Refine
from dualgan_jax.config.teacher_groups import TEACHER_GROUPS
from dualgan_jax.config.value_types import Group
from tests.paths import ROOT

_GROUPS = reference.GROUPS.values()


def test_the_page_of_fields_is_written_from_them():
  page = (ROOT / 'docs' / 'fields.md').read_text(encoding='utf-8')
  assert page == reference.format_page() + '\n', (
    'python -m dualgan_jax.config.reference > docs/fields.md writes it anew'
  )


def test_the_page_has_every_kind_of_teacher():
  assert {*TEACHER_GROUPS} < {*_GROUPS}


@pytest.mark.parametrize('group', _GROUPS)
def test_every_field_has_a_meaning(group):
  for name, info in group.model_fields.items():
    is_group = isinstance(info.default, Group)
    assert is_group or info.description.endswith('.'), name


@pytest.mark.parametrize('group', _GROUPS)
def test_every_field_is_read(group):
  code = '\n'.join(
    path.read_text(encoding='utf-8')
    for path in (ROOT / 'dualgan_jax').rglob('*.py')
    if path.parent.name not in ('config', 'presets')
  )
  for name in group.model_fields:
    assert re.search(rf"\.{name}\b|\['{name}'\]|'{name}'", code), name


def test_builders_give_the_defaults():
  config = builders.get_config()
  assert config.refine.to_dict() == Refine().model_dump()
  assert config.objective.to_dict() == objectives.default().to_dict()
  assert 'labels' not in config  # it has none


def test_an_open_field_takes_a_value_of_its_type_only():
  config = ml_collections.ConfigDict(builders.get_config())
  config.generator.features = (8, 8)
  with pytest.raises(TypeError, match='tuple'):
    config.generator.features = 'wide'
  config.student_seed = 3
  with pytest.raises(TypeError, match='int'):
    config.student_seed = '3'


def test_a_field_is_found_by_its_path():
  assert reference.find_field('teachers.low.widths').name == 'widths'
  assert reference.find_field('teachers.files.weights').default == ''
  assert reference.find_field('seed').default == '0'
  assert (
    reference.find_field('generator.batch').accepted_values
    == 'a whole number from 0'
  )
  assert reference.find_field('generator.stesp') is None


def test_hints_are_what_a_type_checker_needs():
  hints = typing.get_type_hints(Generator)
  assert hints['widths'] == tuple[int, ...]
  assert hints['learning_rate'] is float
