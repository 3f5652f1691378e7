"""Selects the fields that each stage depends on, and compares those of runs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from dualgan_jax.config import renamed_fields, stage_table
from dualgan_jax.config.fields import DataSet, Experiment
from dualgan_jax.config.teacher_groups import TEACHER_GROUPS
from dualgan_jax.config.value_types import Group

# By stage, the fields that it depends on, with their values.
StageFields = Mapping[str, Mapping[str, Any]]
# Fields of earlier versions, and the values that now hold everywhere.
_REMOVED = {
  'generator.b1': 0.5,
  'targetnet.measure_batches': 8,
}
# Fields of this version, and what held before there were these.
_BEFORE_THERE_WERE = {
  'refine.branched_steps': 0,
  'baselines.enabled': True,
  'teachers_per_step': 0,
}


def flatten_fields(config: Experiment) -> dict[str, Any]:
  """Lists all fields of a config: {'generator.steps': 1000, ...}."""
  return dict(_flatten('', config))


def by_stage(config: Experiment) -> StageFields:
  """Lists the fields that each stage depends on.

  Args:
    config: a checked config.

  Returns:
    By stage, fields and their values: {'dual': {'dual.steps': 200, ...}, ...}.
    Fields that only say where a file lies are left out.
  """
  return {
    stage.name: {
      field: value
      for field, value in _flatten('', stage.dependencies(config))
      if not _is_place(field)
    }
    for stage in stage_table.STAGES
  }


def differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
  """Lists the fields in which two results of `by_stage` differ.

  Args:
    old: fields of an earlier run, perhaps by another version. A field that it
      does not have yet counts as its default, and a removed one as the value
      that now holds everywhere.
    new: fields of this version.

  Returns:
    One text per field, with both values.
  """
  old = renamed_fields.rename_flat(old)
  # A record without them is of a version whose stage did not depend on them.
  earlier_values = {
    field: value for field, value in _BEFORE_THERE_WERE.items() if field in new
  }
  old = {**_later_dependencies(new), **earlier_values, **old}
  old = {**_missing_defaults(new, old), **old}
  new = {**_missing_defaults(old, new), **new}
  differences = []
  for field in sorted({*old, *new}):
    is_in_both = field in old and field in new
    if is_in_both and _as_list(old[field]) == _as_list(new[field]):
      continue
    differences.append(
      f'{field} ({_show_field(old, field)} there, {_show_field(new, field)} '
      f'now{_find_cause(field)})'
    )
  return differences


def _later_dependencies(fields: Mapping[str, Any]) -> dict[str, Any]:
  """Selects the fields that some stages depend on only by now."""
  return {
    field: value
    for field, value in fields.items()
    if field.startswith('augmentation.')
  }


def _missing_defaults(
  fields: Iterable[str], known_fields: Mapping[str, Any]
) -> dict[str, Any]:
  """Collects the defaults of the fields that `known_fields` lacks."""
  return {
    field: default
    for field, default in _iterate_defaults(fields)
    if field not in known_fields
  }


def _iterate_defaults(fields: Iterable[str]) -> Iterator[tuple[str, Any]]:
  """Iterates over fields that have a default, with their defaults."""
  for field in fields:
    group_path, _, field_name = field.rpartition('.')
    for group in _find_groups(group_path):
      field_info = group.model_fields.get(field_name)
      if field_info is not None and not field_info.is_required():
        yield field, field_info.default
        break
    else:
      # No group has it: it is a field of an earlier version.
      if field in _REMOVED:
        yield field, _REMOVED[field]


def _find_groups(group_path: str) -> Sequence[type[Group]]:
  """Finds the classes that may describe a group of fields.

  Args:
    group_path: such as 'teachers.low' or 'generator'; '' for the top.
  """
  group_name, _, path_rest = group_path.partition('.')
  # Fields alone do not tell of which kind a teacher was.
  if group_name == 'teachers':
    return TEACHER_GROUPS
  if group_name == 'data':
    return (DataSet,)
  if not group_name:
    return (Experiment,)
  field_info = None if path_rest else Experiment.model_fields.get(group_name)
  group = field_info and field_info.annotation
  if isinstance(group, type) and issubclass(group, Group):
    return (group,)
  return ()


def _as_list(value: Any) -> Any:
  """Turns a tuple into a list, which it is in a record of JSON."""
  return list(value) if isinstance(value, tuple) else value


def _is_place(field: str) -> bool:
  """Returns whether a field only says where a file lies."""
  path_parts = field.split('.')
  return (path_parts[0], path_parts[-1]) in (
    ('data', 'path'),
    ('teachers', 'weights'),
    ('teachers', 'torch_export'),
    ('teachers', 'reference'),
    ('teachers', 'module'),
    ('teachers', 'student'),
  )


def _flatten(
  prefix: str, group: Mapping[str, Any] | Group
) -> Iterator[tuple[str, Any]]:
  """Iterates over the values in nested groups, with their paths."""
  # Single values first, then the groups.
  for name, value in sorted(
    dict(group).items(), key=lambda item: isinstance(item[1], dict | Group)
  ):
    if isinstance(value, dict | Group):
      yield from _flatten(f'{prefix}{name}.', value)
    else:
      yield f'{prefix}{name}', value


def _find_cause(field: str) -> str:
  # Nobody sets this field by hand, so its two values would explain nothing.
  if field.startswith('teachers.') and field.endswith('.sha256'):
    return ': the teacher, its file or what that reads, has changed'
  return ''


def _show_field(fields: Mapping[str, Any], field: str) -> str:
  if field not in fields:
    return 'nothing'
  value = fields[field]
  return repr(tuple(value) if isinstance(value, list) else value)
