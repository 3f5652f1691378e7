"""Brings together a config and the teachers that files and callers give.

A run knows such a teacher by a sum, which the config records.
"""

from collections.abc import Mapping
from typing import Any

import ml_collections

from dualgan_jax.config import builders, stage_fields
from dualgan_jax.config.fields import teacher_kind
from dualgan_jax.errors import UserError
from dualgan_jax.experiment import stage_records
from dualgan_jax.teachers import (
  fingerprint,
  protocol,
  user_module,
  weight_files,
)
from dualgan_jax.teachers.teacher import Teacher
from dualgan_jax.training import parallel


def add(
  config: ml_collections.ConfigDict, teachers: Mapping[str, Teacher]
) -> ml_collections.ConfigDict:
  """Gives each teacher in memory an entry of `config.teachers`.

  Args:
    config: as the user gives it, perhaps without teachers; it stays as it is.
    teachers: by name.

  Returns:
    Another config, unless there is nothing to add.

  Raises:
    UserError: they are not given by name, or a name is that of another kind of
      teacher in the config.
  """
  if not isinstance(teachers, Mapping):
    raise UserError(
      f'teachers: a {type(teachers).__name__}, but it should be a dict of '
      'teachers by their names.'
    )
  if not teachers or not hasattr(config, 'to_dict'):
    return config  # `schema.check` says so
  values = config.to_dict()
  entries = dict(values.get('teachers') or {})
  for name in teachers:
    entry = entries.setdefault(name, builders.given())
    if teacher_kind(entry) != 'given':
      raise UserError(
        f'teachers.{name}: the config has another teacher of this name; give '
        'the one that you pass another name.'
      )
  return ml_collections.ConfigDict({**values, 'teachers': entries})


def check_passed(
  config: ml_collections.ConfigDict,
  teachers: Mapping[str, Teacher],
  workdir: str,
) -> None:
  """Sees that all teachers in memory are there, in a second start, too.

  Args:
    config: of `add`.
    teachers: by name.
    workdir: the run's folder, which may record some.

  Raises:
    UserError: one is missing.
  """
  record = stage_records.read(stage_records.absolute(workdir), 'generator')
  names = _given((record or {}).get('fields', {}))
  if hasattr(config, 'to_dict'):
    names |= _given(stage_fields.flatten_fields(config))
  for name in sorted(names - {*teachers}):
    raise UserError(
      f'teachers.{name}: this teacher lies in no file, so it has to be passed '
      f'again; call run or dry_run with teachers={{{name!r}: ...}}.'
    )


def _given(fields: Mapping[str, Any]) -> set[str]:
  """The names of teachers in memory among a config's fields."""
  kinds = (x.rpartition('.') for x in fields if x.startswith('teachers.'))
  return {
    place.removeprefix('teachers.')
    for place, _, last in kinds
    if last == 'given'
  }


def read(
  config: ml_collections.FrozenConfigDict, teachers: Mapping[str, Teacher]
) -> tuple[ml_collections.FrozenConfigDict, dict[str, Teacher]]:
  """Reads and checks all teachers that are not trained here.

  Args:
    config: checked (`schema.check`).
    teachers: those in memory, by name.

  Returns:
    The config with their labels and sums, and by name those that a user's own
    code makes.

  Raises:
    UserError: one is missing, not as it should be, or not the one that the
      config names by its sum.
  """
  values, sums, made = config.to_dict(), {}, {}
  for name, entry in values['teachers'].items():
    field, kind = f'teachers.{name}', teacher_kind(entry)
    if kind == 'trained':
      continue
    if kind == 'weights':
      origin = entry['weights']
      found = weight_files.digest(weight_files.find(f'{field}.weights', origin))
    else:
      origin, teacher, found = (
        _of_file(f'{field}.module', entry['module'], config.image)
        if kind == 'module'
        else _in_memory(field, teachers[name], config.image)
      )
      if entry['labels'] not in (None, teacher.labels):
        raise UserError(
          f'{field}.labels: {origin} has the labels '
          f'{", ".join(teacher.labels)}; leave them out here.'
        )
      entry['labels'] = teacher.labels
      made[name] = teacher.replace(name=name)
    if (entry['sha256'] or found).lower() != found:
      raise UserError(
        f'{field}.sha256: {origin} has the sum {found}; bring the one that was '
        'meant, or set this to its sum if you trust it.'
      )
    entry['sha256'] = sums[field] = found
  parallel.check_same_files(sums)
  return ml_collections.FrozenConfigDict(values), made


def _of_file(field, path, image_shape):
  teacher = user_module.load(field, path)
  protocol.check_teacher(field, teacher, image_shape)
  return path, teacher, fingerprint.of_file(field, path, teacher)


def _in_memory(field, made, image_shape):
  origin = 'the teacher that is passed'
  teacher = protocol.normalize_teacher(field, made, origin)
  protocol.check_teacher(field, teacher, image_shape)
  found = fingerprint.of_functions(field, teacher, image_shape)
  return origin, teacher, found
