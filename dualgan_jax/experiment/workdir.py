"""Manages a run's folder: its lock, and a folder with a record per stage.

Of the processes of a run, only the first one writes here.
"""

import errno
import os
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import filelock

from dualgan_jax.config import stage_fields, stage_table
from dualgan_jax.config.stage_fields import StageFields
from dualgan_jax.errors import TrainingError, UserError
from dualgan_jax.experiment import stage_records
from dualgan_jax.training import parallel

_LOCK = 'lock'
_MEASUREMENTS = {
  stage.name for stage in stage_table.STAGES if stage.is_measurement
}
# Files and folders that stage `evaluate` writes beside its folder.
_RESULTS = ('results.json', 'student', 'branched', 'report.md', 'report.html')


class Workdir:
  """A run's folder, locked while it is open.

  A stage's folder holds its record, checkpoints, metrics and pictures.

  Attributes:
    path: absolute path of the folder.
  """

  def __init__(self, path: str):
    """Makes and locks the folder.

    Args:
      path: path of the folder, which may start with `~`.

    Raises:
      UserError: the folder can't be written, another process has locked it, or
        it holds files and no run.
    """
    self.path = stage_records.absolute(path)
    # The system frees it when the process ends, also after a kill.
    self._lock = filelock.FileLock(
      self.path / _LOCK, blocking=False, fallback_to_soft=False
    )
    self._identity = None
    parallel.on_first(self._make_and_lock)

  def _make_and_lock(self):
    """Makes and locks the folder, in the first process."""
    try:
      self.path.mkdir(parents=True, exist_ok=True)
      may_be_used = _is_run_or_empty(self.path)
    except OSError as error:
      raise _make_write_error(self.path, error) from error
    if not may_be_used:
      raise UserError(
        f'workdir: {self.path} holds files, and no run; name a new or an empty '
        'folder.'
      )
    try:
      self._lock.acquire()
      # Another file under this path later shows that the folder was replaced.
      self._identity = (self.path / _LOCK).stat()
    except filelock.Timeout as error:
      raise UserError(
        f'workdir: another process works in {self.path}; wait for it, stop it, '
        'or name another folder.'
      ) from error
    except OSError as error:
      if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
        raise UserError(
          f'workdir: {self.path} cannot be locked ({error.strerror}); name '
          'a folder on a file system that has locks.'
        ) from error
      raise _make_write_error(self.path, error) from error

  def __enter__(self) -> 'Workdir':
    return self

  def __exit__(self, *_) -> None:
    self._lock.release()

  def check_in_place(self) -> None:
    """Checks that the folder is still the one that the run has locked.

    Raises:
      TrainingError: the folder was moved, deleted or replaced.
    """
    parallel.on_first(self._check_in_place)

  def _check_in_place(self):
    """Compares the lock file with the one that was locked."""
    try:
      is_in_place = os.path.samestat((self.path / _LOCK).stat(), self._identity)
    except OSError:
      is_in_place = False
    if not is_in_place:
      raise TrainingError(
        f'workdir: {self.path} was moved or deleted while this run worked in '
        'it; bring it back and start the same command again, which goes on '
        'from what is saved there.'
      )

  def stage(self, stage: str) -> pathlib.Path:
    """Returns the folder of a stage."""
    return self.path / stage

  def finished(self, stage: str) -> bool:
    """Returns whether a stage is finished."""
    return stage_records.is_finished(self.path, stage)

  def seconds(self, stage: str) -> float | None:
    """Returns the seconds that a stage took; None if it is not finished."""
    return (stage_records.read(self.path, stage) or {}).get('seconds')

  def begin(self, stage: str, fields: Mapping[str, Any]) -> pathlib.Path | None:
    """Records the fields that a stage is begun with.

    An earlier, unfinished attempt with other fields is set aside.

    Args:
      stage: one of `stage_table.NAMES`.
      fields: the fields that it depends on, with their values.

    Returns:
      The folder that an earlier attempt was moved to, or None.
    """
    return parallel.on_first(lambda: self._begin(stage, fields))

  def _begin(self, stage, fields):
    """Records the beginning of a stage, in the first process."""
    self._check_in_place()
    aside_folder, record = None, stage_records.read(self.path, stage)
    # An attempt with the same fields is resumed from its checkpoints.
    if record and stage_fields.differing(record['fields'], fields):
      aside_folder = self._set_aside(stage)
    stage_records.write(self.path, stage, {'fields': fields, 'finished': False})
    return aside_folder

  def _set_aside(self, stage):
    """Renames a stage's folder to STAGE.aside-N, with N not in use."""
    suffixes = [
      path.name.removeprefix(f'{stage}.aside-')
      for path in self.path.glob(f'{stage}.aside-*')
    ]
    last_number = max(
      (int(suffix) for suffix in suffixes if suffix.isdecimal()), default=0
    )
    aside_folder = self.path / f'{stage}.aside-{last_number + 1}'
    self.stage(stage).rename(aside_folder)
    if stage == 'evaluate':
      # Left here, they would look like results of what comes next.
      for name in _RESULTS:
        if (self.path / name).exists():
          (self.path / name).rename(aside_folder / name)
    return aside_folder

  def finish(
    self,
    stage: str,
    fields: Mapping[str, Any],
    seconds: float,
  ) -> None:
    """Records that a stage is finished.

    Args:
      stage: one of `stage_table.NAMES`.
      fields: the fields that it depends on, with their values.
      seconds: how long its trainings took.
    """
    record = {
      'fields': dict(fields),
      'finished': True,
      'seconds': round(seconds, 1),
    }

    # A folder that was moved away must not be made anew by its record.
    def write_record():
      self._check_in_place()
      stage_records.write(self.path, stage, record)

    parallel.on_first(write_record)

  def set_aside_stale(
    self,
    fields: StageFields,
    stages: Sequence[str],
    damaged_stages: Sequence[str] = (),
  ) -> list[pathlib.Path]:
    """Sets aside the stages that have to run again, and all later stages.

    A measurement has to run again if its fields have changed, or if its results
    are damaged.

    Args:
      fields: as `stage_fields.by_stage` returns them.
      stages: the stages that will run, in their order.
      damaged_stages: finished stages whose results are lost or damaged.

    Returns:
      The folders that the stages were moved to.

    Raises:
      UserError: a stage that is needed will not run, and is not finished with
        these fields.
    """
    # A stage reads the outcomes of all earlier stages.
    last_index = stage_table.NAMES.index(stages[-1])
    for stage in stage_table.NAMES[:last_index]:
      if stage in stages:
        continue
      if stage_records.differences(self.path, stage, fields) != []:
        raise UserError(
          f'stage: {stages[-1]} needs {stage}, which is not finished in '
          f'{self.path} as this config has it; run it first, or leave --stage '
          'out.'
        )
    return (
      parallel.on_first(
        lambda: self._set_aside_stale(fields, stages, damaged_stages)
      )
      or []
    )

  def _set_aside_stale(self, fields, stages, damaged_stages):
    """Sets stages aside, in the first process."""
    aside_folders, is_outdated = [], False
    for stage in stage_table.NAMES:
      will_run = stage in stages
      is_outdated |= will_run and (
        stage in damaged_stages or self._is_stale(stage, fields)
      )
      if is_outdated and self.stage(stage).exists():
        aside_folders.append(self._set_aside(stage))
      # An unfinished stage is resumed, so it stays; later stages build on it.
      is_outdated |= will_run and not self.finished(stage)
    return aside_folders

  def _is_stale(self, stage, fields):
    """Returns whether a finished measurement was made with other fields."""
    return stage in _MEASUREMENTS and bool(
      stage_records.differences(self.path, stage, fields)
    )

  def take_over(
    self, source: str, fields: StageFields
  ) -> tuple[list[str], list[str]]:
    """Copies finished teachers and generator from another run's folder.

    Nothing is copied if this folder has finished teachers: the generator there
    was trained with others. A generator with other fields is not copied.

    Args:
      source: path of the other run's folder.
      fields: as `stage_fields.by_stage` returns them.

    Returns:
      The stages that were copied, and the fields in which the generator there
      differs.

    Raises:
      UserError: `source` has other teachers or unfinished ones, or they cannot
        be copied.
    """
    outcome = parallel.on_first(lambda: self._take_over(source, fields))
    return outcome or ([], [])

  def _take_over(self, source, fields):
    """Copies stages, in the first process."""
    if self.finished('pretrain'):
      return [], []
    stage_records.check_source(source, fields)
    origin, copied_stages = stage_records.absolute(source), []
    # Stages that were begun here belong to other teachers.
    for stage in stage_table.NAMES:
      if self.stage(stage).exists():
        self._set_aside(stage)
    # Teachers come last: after an interruption, all is copied again.
    for stage in reversed(stage_records.COPIED_STAGES):
      if stage_records.differences(origin, stage, fields) == []:
        self._copy_stage(origin, stage)
        copied_stages.insert(0, stage)
    return copied_stages, stage_records.differences(
      origin, 'generator', fields
    ) or []

  def _copy_stage(self, origin, stage):
    """Copies the folder of a stage, whole or not at all."""
    unfinished_copy = self.path / f'{stage}.part'
    shutil.rmtree(unfinished_copy, ignore_errors=True)
    try:
      shutil.copytree(origin / stage, unfinished_copy)
    except shutil.Error as error:
      shutil.rmtree(unfinished_copy, ignore_errors=True)
      # It lists all files that failed; the user can correct one at a time.
      file, _, reason = error.args[0][0]
      if os.strerror(errno.ENOSPC) in reason:
        raise OSError(errno.ENOSPC, reason, str(self.path)) from error
      raise UserError(
        f'init_from: {file} cannot be copied ({reason}); put that right and '
        'start the same command again.'
      ) from error
    unfinished_copy.rename(self.stage(stage))


def _is_run_or_empty(folder: pathlib.Path) -> bool:
  """Returns whether a folder holds a run, or no files of the user."""
  run_names = {_LOCK, 'config.json', 'lost+found', *_RESULTS}
  foreign_names = [
    path.name
    for path in folder.iterdir()
    # A stage that was set aside is 'dual.aside-1'.
    if not path.name.startswith('.')
    and path.name not in run_names
    and path.name.partition('.')[0] not in stage_table.NAMES
  ]
  # Users may add files to the folder of a run, which a record identifies.
  return not foreign_names or any(
    stage_records.read(folder, stage) for stage in stage_table.NAMES
  )


def _make_write_error(folder: pathlib.Path, error: OSError) -> UserError:
  return UserError(
    f'workdir: {folder} cannot be written ({error.strerror}); name another '
    'folder.'
  )
