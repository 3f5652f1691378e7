"""The fields that each stage depends on, and how those of two runs differ."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import ml_collections

from dualgan_jax.config import stage_table
from dualgan_jax.config.fields import (
  TEACHER_KINDS,
  DataSet,
  Experiment,
  Group,
  TrainedTeacher,
)

# By stage, the fields that it depends on, with their values.
StageFields = Mapping[str, Mapping[str, Any]]
# Fields that there were once, and the value that they have now for good.
_REMOVED = {
  'generator.b1': 0.5,
  'targetnet.measure_batches': 8,
  'refine.generator_learning_rate': 1e-3,
}


def flattened(config: ml_collections.FrozenConfigDict) -> dict[str, Any]:
  """Lists all fields of a config: {'generator.steps': 1000, ...}."""
  return dict(_flatten('', config.to_dict()))


def by_stage(config: ml_collections.FrozenConfigDict) -> StageFields:
  """Lists the fields that each stage depends on.

  Args:
    config: checked.

  Returns:
    By stage, fields and their values: {'dual': {'dual.steps': 200, ...}, ...}.
    Fields that only say where a file lies are left out.
  """
  values = config.to_dict()
  return {
    stage.name: {
      field: value
      for field, value in _flatten('', stage.dependencies(values))
      if not _is_place(field)
    }
    for stage in stage_table.STAGES
  }


def differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
  """Names the fields that two results of `by_stage` disagree in.

  Args:
    old: perhaps of another version. A field that it has not yet has its
      default; one that is no more must be as it is now for good.
    new: of this version.

  Returns:
    One text per field, with both values.
  """
  old = {**{k: x for k, x in _defaults(new) if k not in old}, **old}
  new = {**{k: x for k, x in _defaults(old) if k not in new}, **new}
  return [
    f'{k} ({_shown(old, k)} there, {_shown(new, k)} now{_cause(k)})'
    for k in sorted({*old, *new})
    if (k in old) != (k in new) or _as_list(old[k]) != _as_list(new[k])
  ]


def _defaults(names: Iterable[str]) -> Iterator[tuple[str, Any]]:
  """Gives the default of each named field that has one."""
  for name in names:
    group, _, field = name.rpartition('.')
    for model in _models(group):
      info = model.model_fields.get(field)
      if info is not None and not info.is_required():
        yield name, info.default
        break
    else:
      if name in _REMOVED:
        yield name, _REMOVED[name]


def _models(group: str) -> Sequence[type[Group]]:
  """Finds what a group of fields may be of."""
  part, _, rest = group.partition('.')
  if part == 'teachers':
    return (TrainedTeacher, *TEACHER_KINDS.values())
  if part == 'data':
    return (DataSet,)
  if not part:
    return (Experiment,)
  info = None if rest else Experiment.model_fields.get(part)
  model = info and info.annotation
  if isinstance(model, type) and issubclass(model, Group):
    return (model,)
  return ()


def _as_list(value: Any) -> Any:
  """Makes the list of a tuple that it is in a record."""
  return list(value) if isinstance(value, tuple) else value


def _is_place(field: str) -> bool:
  """Whether a field only says where something lies."""
  parts = field.split('.')
  return (parts[0], parts[-1]) in (
    ('data', 'path'),
    ('teachers', 'weights'),
    ('teachers', 'reference'),
    ('teachers', 'module'),
  )


def _flatten(prefix: str, values: dict) -> Iterator[tuple[str, Any]]:
  for name, value in values.items():
    if isinstance(value, dict):
      yield from _flatten(f'{prefix}{name}.', value)
    else:
      yield f'{prefix}{name}', value


def _cause(field: str) -> str:
  if field.startswith('teachers.') and field.endswith('.sha256'):
    return ': the teacher, its file or what that reads, has changed'
  return ''


def _shown(values: dict, field: str) -> str:
  if field not in values:
    return 'nothing'
  value = values[field]
  return repr(tuple(value) if isinstance(value, list) else value)
