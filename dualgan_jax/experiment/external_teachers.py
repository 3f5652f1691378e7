"""Adds the teachers that are not trained here, from files and from callers.

A run identifies such a teacher by a checksum, which the config records.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import ml_collections

from dualgan_jax.config import builders
from dualgan_jax.config.fields import Experiment
from dualgan_jax.config.teacher_groups import (
  FileTeacher,
  GivenTeacher,
  ModuleTeacher,
  StudentTeacher,
  TrainedTeacher,
  find_teacher_group,
)
from dualgan_jax.errors import UserError
from dualgan_jax.experiment import stage_records
from dualgan_jax.student import student_teacher
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
  """Adds an entry of `config.teachers` for each teacher in memory.

  Args:
    config: the user's config, perhaps without teachers; it is not changed.
    teachers: teachers in memory, by name.

  Returns:
    Another config, unless there is nothing to add.

  Raises:
    UserError: `teachers` is no dict, or the config has another kind of teacher
      of the same name.
  """
  if not isinstance(teachers, Mapping):
    raise UserError(
      f'teachers: a {type(teachers).__name__}, but it should be a dict of '
      'teachers by their names.'
    )
  # `schema.check` reports a config of a wrong type.
  if not teachers or not hasattr(config, 'to_dict'):
    return config
  values = config.to_dict()
  entries = dict(values.get('teachers') or {})
  for name in teachers:
    # The config may have an entry already, with the teacher's data set.
    entry = entries.setdefault(name, builders.given())
    if find_teacher_group(entry) is not GivenTeacher:
      raise UserError(
        f'teachers.{name}: the config has another teacher of this name; give '
        'the one that you pass another name.'
      )
  return ml_collections.ConfigDict({**values, 'teachers': entries})


def check_passed_again(workdir: str, teachers: Mapping[str, Teacher]) -> None:
  """Checks that a resumed run has all teachers in memory that it began with.

  Args:
    workdir: the run's folder, whose record names them.
    teachers: teachers in memory, by name.

  Raises:
    UserError: a teacher is missing.
  """
  record = stage_records.read(stage_records.absolute(workdir), 'generator')
  _check_passed(
    _find_names_in_memory((record or {}).get('fields', {})), teachers
  )


def read(
  config: Experiment, teachers: Mapping[str, Teacher]
) -> tuple[Experiment, dict[str, Teacher]]:
  """Reads and checks all teachers that are not trained here.

  Args:
    config: a checked config.
    teachers: teachers in memory, by name.

  Returns:
    The config with their labels and checksums; and, by name, the teachers that
    a user's code made.

  Raises:
    UserError: a teacher is missing, breaks the protocol, or has another
      checksum than the config says.
  """
  _check_passed(
    [
      name
      for name, entry in config.teachers.items()
      if isinstance(entry, GivenTeacher)
    ],
    teachers,
  )
  entries, checksums, made_teachers = dict(config.teachers), {}, {}
  for name, entry in config.teachers.items():
    field, labels = f'teachers.{name}', entry.labels
    if isinstance(entry, TrainedTeacher):
      continue
    # Nets of files are built later, by `build_nets`.
    if isinstance(entry, FileTeacher):
      origin = getattr(entry, entry.origin_field)
      checksum = weight_files.digest(
        weight_files.find(f'{field}.{entry.origin_field}', origin)
      )
    else:
      image_shape = config.image_shape
      match entry:
        case ModuleTeacher():
          found = _read_module(f'{field}.module', entry.module, image_shape)
        case StudentTeacher():
          found = _read_student(field, entry.student, image_shape)
        case _:
          found = _read_from_memory(field, teachers[name], image_shape)
      origin, teacher, checksum = found
      # The labels of a teacher are part of its code.
      if labels not in (None, teacher.labels):
        raise UserError(
          f'{field}.labels: {origin} has the labels '
          f'{", ".join(teacher.labels)}; leave them out here.'
        )
      labels = teacher.labels
      made_teachers[name] = teacher.replace(name=name)
    # A checksum in the config detects another file of the same name.
    if (entry.sha256 or checksum).lower() != checksum:
      raise UserError(
        f'{field}.sha256: {origin} has the sum {checksum}; bring the one that '
        'was meant, or set this to its sum if you trust it.'
      )
    entries[name] = entry.model_copy(
      update={'labels': labels, 'sha256': checksum}
    )
    checksums[field] = checksum
  # Processes on several hosts may read different files of the same name.
  parallel.check_same_files(checksums)
  return config.model_copy(update={'teachers': entries}), made_teachers


def _check_passed(
  names: Iterable[str], teachers: Mapping[str, Teacher]
) -> None:
  """Checks that there is a teacher in memory of each name."""
  for name in sorted({*names} - {*teachers}):
    raise UserError(
      f'teachers.{name}: this teacher lies in no file, so it has to be passed '
      f'again; call run or dry_run with teachers={{{name!r}: ...}}.'
    )


def _find_names_in_memory(fields: Mapping[str, Any]) -> set[str]:
  """Finds the names of teachers in memory among a config's fields."""
  # Such an entry has a field `given`: 'teachers.NAME.given'.
  field_parts = (
    field.rpartition('.') for field in fields if field.startswith('teachers.')
  )
  return {
    group_path.removeprefix('teachers.')
    for group_path, _, field_name in field_parts
    if field_name == 'given'
  }


def _read_module(
  field: str, path: str, image_shape: tuple[int, int, int]
) -> tuple[str, Teacher, str]:
  """Reads a teacher from a user's file: origin, teacher, checksum."""
  teacher = user_module.load(field, path)
  protocol.check_teacher(field, teacher, image_shape)
  return path, teacher, fingerprint.of_file(field, path, teacher)


def _read_student(
  field: str, folder: str, image_shape: tuple[int, int, int]
) -> tuple[str, Teacher, str]:
  """Reads a student's folder as a teacher: origin, teacher, checksum."""
  teacher = student_teacher.load_teacher(folder)
  protocol.check_teacher(f'{field}.student', teacher, image_shape)
  return folder, teacher, student_teacher.digest(folder)


def _read_from_memory(
  field: str, passed_teacher: Any, image_shape: tuple[int, int, int]
) -> tuple[str, Teacher, str]:
  """Checks a teacher that a caller passed: origin, teacher, checksum."""
  origin = 'the teacher that is passed'
  teacher = protocol.normalize_teacher(field, passed_teacher, origin)
  protocol.check_teacher(field, teacher, image_shape)
  checksum = fingerprint.of_functions(field, teacher, image_shape)
  return origin, teacher, checksum
