"""A run's folder: one run at a time, one folder per stage, its record.

Of several processes that work together only the first writes here.
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
_MEASUREMENTS = {x.name for x in stage_table.STAGES if x.is_measurement}
# Those that another run's folder may give.
_TAKEN = [x.name for x in stage_table.STAGES if x.can_be_taken]
# What stage evaluate leaves beside its folder.
_RESULTS = ('results.json', 'student', 'branched', 'report.md', 'report.html')


class Workdir:
  """`DIR`, locked while it is open.

  A stage's folder holds its record, which names the fields it was begun with
  and whether it is finished, beside checkpoints, metrics and pictures.
  """

  def __init__(self, path: str):
    """Makes and locks the folder.

    Raises:
      UserError: it can't be written, another process has it, or it holds files
        and no run.
    """
    self.path = stage_records.absolute(path)
    # It frees itself when the process ends, however it ends.
    self._lock = filelock.FileLock(
      self.path / _LOCK, blocking=False, fallback_to_soft=False
    )
    self._identity = None
    parallel.on_first(self._take)

  def _take(self):
    try:
      self.path.mkdir(parents=True, exist_ok=True)
      is_ours = _is_run_or_empty(self.path)
    except OSError as e:
      raise _not_writable(self.path, e) from e
    if not is_ours:
      raise UserError(
        f'workdir: {self.path} holds files, and no run; name a new or an empty '
        'folder.'
      )
    try:
      self._lock.acquire()
      self._identity = (self.path / _LOCK).stat()
    except filelock.Timeout as e:
      raise UserError(
        f'workdir: another process works in {self.path}; wait for it, stop it, '
        'or name another folder.'
      ) from e
    except OSError as e:
      if e.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
        raise UserError(
          f'workdir: {self.path} cannot be locked ({e.strerror}); name a '
          'folder on a file system that has locks.'
        ) from e
      raise _not_writable(self.path, e) from e

  def __enter__(self) -> 'Workdir':
    return self

  def __exit__(self, *_) -> None:
    self._lock.release()

  def check_in_place(self) -> None:
    """Sees that the folder is still where the run has begun.

    Raises:
      TrainingError: somebody has moved, deleted or replaced it.
    """
    parallel.on_first(self._check_in_place)

  def _check_in_place(self):
    try:
      in_place = os.path.samestat((self.path / _LOCK).stat(), self._identity)
    except OSError:
      in_place = False
    if not in_place:
      raise TrainingError(
        f'workdir: {self.path} was moved or deleted while this run worked in '
        'it; bring it back and start the same command again, which goes on '
        'from what is saved there.'
      )

  def stage(self, stage: str) -> pathlib.Path:
    """A stage's folder."""
    return self.path / stage

  def finished(self, stage: str) -> bool:
    """Whether a stage is done."""
    return stage_records.is_finished(self.path, stage)

  def seconds(self, stage: str) -> float | None:
    """What a finished stage took; None for another."""
    return (stage_records.read(self.path, stage) or {}).get('seconds')

  def begin(self, stage: str, fields: Mapping[str, Any]) -> pathlib.Path | None:
    """Records what a stage is begun with.

    A stage that was begun with other fields and never finished is set aside.

    Args:
      stage: one of `stage_table.NAMES`.
      fields: that it depends on, with their values.

    Returns:
      Where an earlier, unfinished attempt lies now, if there was one.
    """
    return parallel.on_first(lambda: self._begin(stage, fields))

  def _begin(self, stage, fields):
    self._check_in_place()
    aside, old = None, stage_records.read(self.path, stage)
    if old and stage_fields.differing(old['fields'], fields):
      aside = self._set_aside(stage)
    stage_records.write(self.path, stage, {'fields': fields, 'finished': False})
    return aside

  def _set_aside(self, stage):
    suffixes = [
      path.name.removeprefix(f'{stage}.aside-')
      for path in self.path.glob(f'{stage}.aside-*')
    ]
    last = max((int(x) for x in suffixes if x.isdecimal()), default=0)
    aside = self.path / f'{stage}.aside-{last + 1}'
    self.stage(stage).rename(aside)
    if stage == 'evaluate':
      # They would pass for what the run has now.
      for made in _RESULTS:
        if (self.path / made).exists():
          (self.path / made).rename(aside / made)
    return aside

  def finish(
    self,
    stage: str,
    fields: Mapping[str, Any],
    seconds: float,
  ) -> None:
    """Records that a stage is done.

    Args:
      stage: one of `stage_table.NAMES`.
      fields: that it depends on, with their values.
      seconds: that its trainings took.
    """
    record = {
      'fields': dict(fields),
      'finished': True,
      'seconds': round(seconds, 1),
    }

    def write():
      self._check_in_place()
      stage_records.write(self.path, stage, record)

    parallel.on_first(write)

  def set_aside_stale(
    self,
    fields: StageFields,
    chosen: Sequence[str],
    damaged: Sequence[str] = (),
  ) -> list[pathlib.Path]:
    """Sets aside what is to be made again, and all that was built on it.

    What is to be made again is a measurement with other fields, and an
    evaluation whose results are gone or damaged.

    Args:
      fields: of `stage_fields.by_stage`.
      chosen: the stages that are to run, in their order.
      damaged: finished stages whose results are.

    Returns:
      Where it lies now.

    Raises:
      UserError: the last of them needs another stage, which is not done, or
        with other fields.
    """
    last = stage_table.NAMES.index(chosen[-1])
    for stage in stage_table.NAMES[:last]:
      if stage in chosen:
        continue
      if stage_records.differences(self.path, stage, fields) != []:
        raise UserError(
          f'stage: {chosen[-1]} needs {stage}, which is not finished in '
          f'{self.path} as this config has it; run it first, or leave --stage '
          'out.'
        )
    return (
      parallel.on_first(lambda: self._set_aside_stale(fields, chosen, damaged))
      or []
    )

  def _set_aside_stale(self, fields, chosen, damaged):
    aside, again = [], False
    for stage in stage_table.NAMES:
      own = stage in chosen
      again |= own and (stage in damaged or self._is_stale(stage, fields))
      if again and self.stage(stage).exists():
        aside.append(self._set_aside(stage))
      again |= own and not self.finished(stage)
    return aside

  def _is_stale(self, stage, fields):
    return stage in _MEASUREMENTS and bool(
      stage_records.differences(self.path, stage, fields)
    )

  def take_over(
    self, source: str, fields: StageFields
  ) -> tuple[list[str], list[str]]:
    """Copies finished teachers and generator from another run's folder.

    Nothing is copied if there are finished teachers here: a generator of others
    would not be theirs. One that was made otherwise than this config says stays
    there.

    Args:
      source: path of the other run's folder.
      fields: of `stage_fields.by_stage`.

    Returns:
      The stages that were copied, and the fields that such a generator differs
      in.

    Raises:
      UserError: `source` has no finished teachers, or others, or they cannot
        be copied.
    """
    found = parallel.on_first(lambda: self._take_over(source, fields))
    return found or ([], [])

  def _take_over(self, source, fields):
    if self.finished('pretrain'):
      return [], []
    stage_records.check_source(source, fields)
    origin, taken = stage_records.absolute(source), []
    for stage in stage_table.NAMES:
      if self.stage(stage).exists():
        self._set_aside(stage)
    # Teachers last: if that is stopped on the way, all is copied again.
    for stage in reversed(_TAKEN):
      if stage_records.differences(origin, stage, fields) == []:
        part = self.path / f'{stage}.part'
        shutil.rmtree(part, ignore_errors=True)
        try:
          shutil.copytree(origin / stage, part)
        except shutil.Error as e:  # it tells them all; the first will do
          shutil.rmtree(part, ignore_errors=True)
          file, _, why = e.args[0][0]
          if os.strerror(errno.ENOSPC) in why:
            raise OSError(errno.ENOSPC, why, str(self.path)) from e
          raise UserError(
            f'init_from: {file} cannot be copied ({why}); put that right and '
            'start the same command again.'
          ) from e
        part.rename(self.stage(stage))
        taken.insert(0, stage)
    return taken, stage_records.differences(origin, 'generator', fields) or []


def _is_run_or_empty(folder: pathlib.Path) -> bool:
  """Whether a folder may be worked in without touching what is somebody's."""
  ours = {_LOCK, 'config.json', 'lost+found', *_RESULTS}
  foreign = [
    x.name
    for x in folder.iterdir()
    # A stage that was set aside is 'dual.aside-1'.
    if not x.name.startswith('.')
    and x.name not in ours
    and x.name.partition('.')[0] not in stage_table.NAMES
  ]
  return not foreign or any(
    stage_records.read(folder, x) for x in stage_table.NAMES
  )


def _not_writable(folder: pathlib.Path, error: OSError) -> UserError:
  return UserError(
    f'workdir: {folder} cannot be written ({error.strerror}); name another '
    'folder.'
  )
