"""Reads and writes the record of a stage, `DIR/<stage>/stage.json`.

It holds the fields that the stage was begun with, and whether it is finished.
"""

import json
import os
import pathlib
from typing import Any

from dualgan_jax.config import stage_fields, stage_table
from dualgan_jax.config.stage_fields import StageFields
from dualgan_jax.errors import UserError

_FILE = 'stage.json'
# Version of the records' format; the first versions wrote records without it.
_FORMAT = 1
# Stages that may be copied from another run's folder.
COPIED_STAGES = tuple(
  stage.name for stage in stage_table.STAGES if stage.can_be_taken
)


def read(workdir: pathlib.Path, stage: str) -> dict[str, Any] | None:
  """Reads a stage's record.

  Args:
    workdir: a run's folder.
    stage: one of `stage_table.NAMES`.

  Returns:
    'fields' that the stage was begun with, 'finished' and, if it is, 'seconds';
    None if the stage was never begun.

  Raises:
    UserError: the file is damaged, or may not be read.
  """
  file = workdir / stage / _FILE
  try:
    record = json.loads(file.read_bytes()) if _exists(file) else None
  except PermissionError as error:
    raise UserError(
      f'{file}: you may not read it; ask for the right to, or name another '
      'folder.'
    ) from error
  except (OSError, ValueError, RecursionError) as error:
    raise _make_damage_error(file) from error
  if record is not None and not _is_record(record):
    raise _make_damage_error(file)
  # An older version cannot know what a newer one has written.
  if record is not None and record.get('format', 0) > _FORMAT:
    raise UserError(
      f'{file}: is of a newer version of dualgan_jax; install that, or name '
      'another folder.'
    )
  return record


def write(workdir: pathlib.Path, stage: str, record: dict[str, Any]) -> None:
  """Writes a stage's record.

  Args:
    workdir: a run's folder.
    stage: one of `stage_table.NAMES`.
    record: as `read` returns it.
  """
  folder = workdir / stage
  folder.mkdir(parents=True, exist_ok=True)
  # A kill in between leaves the old record.
  unfinished_file = folder / f'{_FILE}.part'
  unfinished_file.write_text(
    json.dumps({'format': _FORMAT, **record}, indent=1)
  )
  unfinished_file.replace(folder / _FILE)


def differences(
  workdir: pathlib.Path, stage: str, fields: StageFields
) -> list[str] | None:
  """Lists the fields whose values differ from those of a finished stage.

  Args:
    workdir: a run's folder.
    stage: one of `stage_table.NAMES`.
    fields: as `stage_fields.by_stage` returns them.

  Returns:
    One text per field, with both values; None if the stage is not finished.
  """
  record = read(workdir, stage)
  if not (record and record['finished']):
    return None
  return stage_fields.differing(record['fields'], fields[stage])


def check_same_fields(path: str, fields: StageFields) -> None:
  """Checks that the finished stages of a folder were made with these fields.

  Measurements may have other fields, and so may all stages after an unfinished
  stage: they are run again.

  Args:
    path: path of a run's folder.
    fields: as `stage_fields.by_stage` returns them.

  Raises:
    UserError: a stage was made with other fields; names them.
  """
  for stage in stage_table.STAGES:
    field_differences = differences(absolute(path), stage.name, fields)
    # All that follows may run again, so its fields do not matter.
    if stage.is_measurement or field_differences is None:
      return
    if field_differences:
      raise UserError(
        f'{", ".join(field_differences)}: stage {stage.name} in '
        f'{absolute(path)} was made otherwise; set that back, name another '
        'workdir, or delete the folder of that stage to do it again with all '
        'that come after it.'
      )


def check_source(source: str, fields: StageFields) -> None:
  """Checks that another run's folder holds the teachers of a config.

  Args:
    source: path of the other run's folder.
    fields: as `stage_fields.by_stage` returns them.

  Raises:
    UserError: it holds other teachers, or they are not finished.
  """
  field_differences = differences(absolute(source), 'pretrain', fields)
  if field_differences != []:
    raise UserError(
      f'init_from: {absolute(source)} holds no finished stage pretrain made '
      f'with this config{": " if field_differences else ""}'
      f'{", ".join(field_differences or ())}; name the workdir of a run that '
      'has trained these teachers.'
    )


def is_finished(folder: str | pathlib.Path, stage: str) -> bool:
  """Returns whether a stage is finished in a run's folder.

  Args:
    folder: the run's folder.
    stage: one of `stage_table.NAMES`.
  """
  return (read(absolute(folder), stage) or {}).get('finished', False)


def is_at_hand(
  stage: str,
  fields: StageFields,
  workdir: str,
  init_from: str | None,
) -> bool:
  """Returns whether a stage is finished with these fields, or can be copied.

  Args:
    stage: one of `stage_table.NAMES`.
    fields: as `stage_fields.by_stage` returns them.
    workdir: the run's folder.
    init_from: another run's folder, which stages may be copied from, or None.
  """
  if differences(absolute(workdir), stage, fields) == []:
    return True
  # A generator is never copied alone, as it was trained with other teachers.
  if (
    not init_from
    or stage not in COPIED_STAGES
    or is_finished(workdir, 'pretrain')
  ):
    return False
  return differences(absolute(init_from), stage, fields) == []


def batches(workdir: str, init_from: str | None) -> dict[str, int]:
  """Reads the batch that each stage of a run was begun with.

  Args:
    workdir: the run's folder.
    init_from: another run's folder, which stages may be copied from, or None.

  Returns:
    By stage; stages that were never begun are left out.
  """
  batches_by_stage = {}
  # The run's folder comes last, as it takes precedence.
  for folder, stages in (
    (init_from, COPIED_STAGES),
    (workdir, stage_table.NAMES),
  ):
    for stage in stages if folder else ():
      record = read(absolute(folder), stage)
      batch = record and record['fields'].get(f'{stage}.batch')
      if isinstance(batch, int):
        batches_by_stage[stage] = batch
  return batches_by_stage


def absolute(folder: str | pathlib.Path) -> pathlib.Path:
  """Expands `~`, and makes a path absolute.

  Args:
    folder: path of a folder.

  Raises:
    UserError: `folder` is no path.
  """
  # The system refuses a NUL byte with an error that names no path.
  if not isinstance(folder, str | os.PathLike) or '\0' in str(folder):
    raise UserError(f'workdir: {folder!r}, but it should be a path.')
  return pathlib.Path(os.path.expanduser(folder)).absolute()


def _exists(file: pathlib.Path) -> bool:
  """Returns whether a file exists; its name may be too long for any file."""
  try:
    return file.exists()
  except PermissionError:
    raise
  except OSError:
    return False


def _is_record(record: Any) -> bool:
  """Returns whether the content of a file has the form of a record."""
  return (
    isinstance(record, dict)
    and isinstance(record.get('fields'), dict)
    and isinstance(record.get('finished'), bool)
    and isinstance(record.get('seconds', 0.0), int | float)
    and isinstance(record.get('format', 0), int)
  )


def _make_damage_error(file: pathlib.Path) -> UserError:
  return UserError(
    f'{file}: cannot be read; delete the folder {file.parent} to do that stage '
    'again.'
  )
