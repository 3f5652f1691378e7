"""The record of a stage, `DIR/<stage>/stage.json`: made with what, and done?"""

import json
import os
import pathlib
from typing import Any

from dualgan_jax.config import stage_fields, stage_table
from dualgan_jax.config.stage_fields import StageFields
from dualgan_jax.errors import UserError

_FILE = 'stage.json'
# Of records; those of the first versions say none.
_FORMAT = 1
# Those that another run's folder may give.
_TAKEN = tuple(stage.name for stage in stage_table.STAGES if stage.can_be_taken)


def read(workdir: pathlib.Path, stage: str) -> dict[str, Any] | None:
  """Reads a stage's record.

  Args:
    workdir: a run's folder.
    stage: one of `stage_table.NAMES`.

  Returns:
    'fields', what the stage was begun with, 'finished' and, of a finished one,
    its 'seconds'; None if the stage was never begun.

  Raises:
    UserError: the file is damaged, or may not be read.
  """
  file = workdir / stage / _FILE
  try:
    record = json.loads(file.read_bytes()) if _exists(file) else None
  except PermissionError as e:
    raise UserError(
      f'{file}: you may not read it; ask for the right to, or name another '
      'folder.'
    ) from e
  except (OSError, ValueError, RecursionError) as e:
    raise _damaged(file) from e
  if record is not None and not _is_record(record):
    raise _damaged(file)
  if record is not None and record.get('format', 0) > _FORMAT:
    raise UserError(
      f'{file}: is of a newer version of dualgan_jax; install that, or name '
      'another folder.'
    )
  return record


def write(workdir: pathlib.Path, stage: str, record: dict[str, Any]) -> None:
  """Writes a stage's record, whole or not at all."""
  folder = workdir / stage
  folder.mkdir(parents=True, exist_ok=True)
  part = folder / f'{_FILE}.part'
  part.write_text(json.dumps({'format': _FORMAT, **record}, indent=1))
  part.replace(folder / _FILE)


def differences(
  workdir: pathlib.Path, stage: str, fields: StageFields
) -> list[str] | None:
  """Names the fields that a finished stage was made with other values of.

  Args:
    workdir: a run's folder.
    stage: one of `stage_table.NAMES`.
    fields: of `stage_fields.by_stage`.

  Returns:
    One text per field, with both values; None if the stage is not finished.
  """
  record = read(workdir, stage)
  if not (record and record['finished']):
    return None
  return stage_fields.differing(record['fields'], fields[stage])


def check_same_fields(path: str, fields: StageFields) -> None:
  """Checks that what is finished in a folder was made with these fields.

  Measurements may have others, and so may all stages after one that is not
  finished: they are done again with it.

  Args:
    path: of a run's folder.
    fields: of `stage_fields.by_stage`.

  Raises:
    UserError: it was not; names the fields.
  """
  for stage in stage_table.STAGES:
    other = differences(absolute(path), stage.name, fields)
    if stage.is_measurement or other is None:
      return
    if other:
      raise UserError(
        f'{", ".join(other)}: stage {stage.name} in {absolute(path)} was made '
        'otherwise; set that back, name another workdir, or delete the folder '
        'of that stage to do it again with all that come after it.'
      )


def check_source(source: str, fields: StageFields) -> None:
  """Checks that another run's folder holds the teachers of a config.

  Args:
    source: path of the other run's folder.
    fields: of `stage_fields.by_stage`.

  Raises:
    UserError: they are not finished there, or others.
  """
  other = differences(absolute(source), 'pretrain', fields)
  if other is None or other:
    raise UserError(
      f'init_from: {absolute(source)} holds no finished stage pretrain made '
      f'with this config{": " if other else ""}{", ".join(other or ())}; name '
      'the workdir of a run that has trained these teachers.'
    )


def is_finished(folder: str | pathlib.Path, stage: str) -> bool:
  """Returns whether a stage is done in a run's folder."""
  return (read(absolute(folder), stage) or {}).get('finished', False)


def is_at_hand(
  stage: str,
  fields: StageFields,
  workdir: str,
  init_from: str | None,
) -> bool:
  """Returns whether nothing of a stage will be trained.

  Args:
    stage: one of `stage_table.NAMES`.
    fields: of `stage_fields.by_stage`.
    workdir: the run's folder, where the stage may be done.
    init_from: another run's folder, which it may be taken over from, or None.
  """
  if differences(absolute(workdir), stage, fields) == []:
    return True
  if not init_from or stage not in _TAKEN or is_finished(workdir, 'pretrain'):
    return False
  return differences(absolute(init_from), stage, fields) == []


def batches(workdir: str, init_from: str | None) -> dict[str, int]:
  """Reads the batch that each stage of a run was begun with.

  Args:
    workdir: the run's folder.
    init_from: another run's folder, which stages may be taken over from.

  Returns:
    By stage; those that were never begun are left out.
  """
  found = {}
  for folder, names in ((init_from, _TAKEN), (workdir, stage_table.NAMES)):
    for stage in names if folder else ():
      record = read(absolute(folder), stage)
      batch = record and record['fields'].get(f'{stage}.batch')
      if isinstance(batch, int):
        found[stage] = batch
  return found


def absolute(folder: str | pathlib.Path) -> pathlib.Path:
  """Expands `~`, and makes a path absolute.

  Raises:
    UserError: it is no path.
  """
  if not isinstance(folder, str | os.PathLike) or '\0' in str(folder):
    raise UserError(f'workdir: {folder!r}, but it should be a path.')
  return pathlib.Path(os.path.expanduser(folder)).absolute()


def _exists(file: pathlib.Path) -> bool:
  try:
    return file.exists()
  except OSError as e:
    if isinstance(e, PermissionError):
      raise
    return False  # no system has a file of such a name


def _is_record(record: Any) -> bool:
  return (
    isinstance(record, dict)
    and isinstance(record.get('fields'), dict)
    and isinstance(record.get('finished'), bool)
    and isinstance(record.get('seconds', 0.0), int | float)
    and isinstance(record.get('format', 0), int)
  )


def _damaged(file: pathlib.Path) -> UserError:
  return UserError(
    f'{file}: cannot be read; delete the folder {file.parent} to do that stage '
    'again.'
  )
