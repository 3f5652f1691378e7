"""Which fields a stage depends on, and how two runs' fields differ."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import ml_collections

from dualgan_jax.config.fields import (
  TEACHER_KINDS,
  DataSet,
  Experiment,
  Group,
  TrainedTeacher,
  teacher_kind,
)

STAGES = (
  'pretrain',
  'generator',
  'dual',
  'targetnet',
  'refine',
  'baselines',
  'evaluate',
)

# The fields that a stage's outcome depends on, by their first part. Those that
# a stage takes over from an earlier one's outcome are that one's.
READS = {
  'pretrain': ('seed', 'image', 'precision', 'data', 'teachers', 'pretrain'),
  'generator': (
    'seed',
    'image',
    'precision',
    'teachers',
    'objective',
    'generator',
  ),
  'dual': ('seed', 'student_seed', 'labels', 'student', 'dual'),
  'targetnet': (
    'seed',
    'student_seed',
    'labels',
    'student',
    'temperature',
    'targetnet',
  ),
  'refine': (
    'seed',
    'student_seed',
    'labels',
    'student',
    'temperature',
    'refine',
  ),
  'baselines': (
    'seed',
    'student_seed',
    'data',
    'labels',
    'student',
    'temperature',
    'baselines',
  ),
  'evaluate': ('seed', 'data', 'labels', 'experiment', 'objective'),
}
# Of an objective, what the results say of it, and nothing is trained with.
_OBJECTIVE_TEXTS = ('name', 'oracle')
# Fields that there were once, and the value that they have now for good.
_REMOVED = {
  'generator.b1': 0.5,
  'targetnet.measure_batches': 8,
  'refine.generator_learning_rate': 1e-3,
}


def flattened(config: ml_collections.FrozenConfigDict) -> dict[str, Any]:
  """Lists all fields of a config: {'generator.steps': 1000, ...}."""
  return dict(_flatten('', config.to_dict()))


def fields_of(
  config: ml_collections.FrozenConfigDict, *stages: str
) -> dict[str, Any]:
  """Lists the fields that stages depend on: {'generator.steps': 1000, ...}.

  Args:
    config: checked.
    *stages: of `STAGES`.
  """
  values = config.to_dict()
  teachers = values['teachers']
  # What others' teachers were trained on makes nothing but a baseline.
  given = {
    name: {'data': teacher['data']}
    for name, teacher in teachers.items()
    if teacher_kind(teacher) != 'trained'
  }
  found: dict[str, Any] = {}
  for stage in stages:
    groups = {part: values[part] for part in READS[stage]}
    if stage == 'pretrain':
      groups['teachers'] = {k: v for k, v in teachers.items() if k not in given}
      used = {teacher['data'] for teacher in groups['teachers'].values()}
      groups['data'] = {k: v for k, v in groups['data'].items() if k in used}
    elif stage == 'generator':
      groups['teachers'] = {k: {**v} for k, v in teachers.items()}
      for name in given:
        del groups['teachers'][name]['data']
      groups['objective'] = {
        k: v
        for k, v in groups['objective'].items()
        if k not in _OBJECTIVE_TEXTS
      }
    elif stage == 'baselines':
      groups['teachers'] = given
    elif stage == 'evaluate':
      groups['objective'] = {
        k: values['objective'][k] for k in _OBJECTIVE_TEXTS
      }
    found.update(_flatten('', groups))
  return {k: v for k, v in found.items() if not _is_place(k)}


def differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
  """Names the fields that two results of `fields_of` disagree in.

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
  is_group = isinstance(model, type) and issubclass(model, Group)
  return (model,) if is_group else ()


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
    return ": the teacher's file, or what it reads, has changed"
  return ''


def _shown(values: dict, field: str) -> str:
  if field not in values:
    return 'nothing'
  value = values[field]
  return repr(tuple(value) if isinstance(value, list) else value)
