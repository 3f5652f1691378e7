"""A run's folder: one run at a time, one folder per stage, its record.

Of several processes that work together only the first writes here.
"""

import fcntl
import json
import pathlib
import shutil

import ml_collections

from dualgan_jax import parallel, settings
from dualgan_jax.errors import UserError

_RECORD = 'stage.json'


class Workdir:
  """`DIR`, locked while it is open.

  A stage's folder holds its record, which names the fields it was begun with
  and whether it is finished, beside checkpoints, metrics and pictures.
  """

  def __init__(self, path: str):
    """Makes and locks the folder.

    Raises:
      UserError: it can't be written, or another process has it.
    """
    self.path = pathlib.Path(path).expanduser().absolute()
    self._lock = None
    if parallel.is_first():
      self._take()
    parallel.wait('the lock')

  def _take(self):
    try:
      self.path.mkdir(parents=True, exist_ok=True)
      self._lock = (self.path / 'lock').open('w')
    except OSError as e:
      raise UserError(
        f'workdir: {self.path} cannot be written ({e.strerror}); name another '
        'folder.'
      ) from e
    try:
      # The system lets go of it when the process ends, however it ends.
      fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as e:
      self._lock.close()
      raise UserError(
        f'workdir: another process works in {self.path}; wait for it, stop it, '
        'or name another folder.'
      ) from e
    except OSError as e:
      self._lock.close()
      raise UserError(
        f'workdir: {self.path} cannot be locked ({e.strerror}); name a folder '
        'on a file system that has locks.'
      ) from e

  def __enter__(self) -> 'Workdir':
    return self

  def __exit__(self, *_) -> None:
    if self._lock is not None:
      self._lock.close()

  def stage(self, stage: str) -> pathlib.Path:
    """A stage's folder."""
    return self.path / stage

  def finished(self, stage: str) -> bool:
    """Whether a stage is done."""
    return is_finished(self.path, stage)

  def seconds(self, stage: str) -> float | None:
    """What a finished stage took; None for another."""
    return (_record(self.path, stage) or {}).get('seconds')

  def begin(
    self, stage: str, config: ml_collections.FrozenConfigDict
  ) -> pathlib.Path | None:
    """Records what a stage is begun with.

    A stage that was begun with other fields and never finished is set aside.

    Returns:
      Where an earlier, unfinished attempt lies now, if there was one.
    """
    fields = settings.fields(config, stage)
    old = _record(self.path, stage)
    parallel.wait(f'begin {stage}')
    aside = None
    if parallel.is_first():
      aside = self._begin(stage, old, fields)
    parallel.wait(f'begun {stage}')
    return aside

  def _begin(self, stage, old, fields):
    aside = None
    if old and settings.differing(old['fields'], fields):
      taken = [
        int(p.name.rpartition('-')[2])
        for p in self.path.glob(f'{stage}.aside-*')
      ]
      aside = self.path / f'{stage}.aside-{max(taken, default=0) + 1}'
      self.stage(stage).rename(aside)
    _write(self.stage(stage), {'fields': fields, 'finished': False})
    return aside

  def finish(
    self,
    stage: str,
    config: ml_collections.FrozenConfigDict,
    seconds: float,
  ) -> None:
    """Records that a stage is done."""
    fields = settings.fields(config, stage)
    if parallel.is_first():
      _write(
        self.stage(stage),
        {'fields': fields, 'finished': True, 'seconds': round(seconds, 1)},
      )
    parallel.wait(f'finished {stage}')

  def refuse_other(self, config: ml_collections.FrozenConfigDict) -> None:
    """Sees that what is finished was made with these very fields.

    Raises:
      UserError: it was not; names the fields.
    """
    for stage in settings.STAGES:
      if self.finished(stage):
        record = _record(self.path, stage)
        other = settings.differing(
          record['fields'], settings.fields(config, stage)
        )
        if other:
          raise UserError(
            f'{", ".join(other)}: stage {stage} in {self.path} was made '
            'otherwise; set that back, or name another workdir.'
          )

  def take_over(
    self, source: str, config: ml_collections.FrozenConfigDict
  ) -> list[str]:
    """Copies finished teachers and generator from another run's folder.

    A generator that was made otherwise than this config says stays there.

    Returns:
      The fields that such a generator differs in.

    Raises:
      UserError: `source` has no finished teachers, or others.
    """
    other = []
    if parallel.is_first():
      other = self._take_over(source, config)
    parallel.wait('taken over')
    return other

  def _take_over(self, source, config):
    origin = pathlib.Path(source).expanduser().absolute()
    other, stages = [], ('pretrain', 'generator')
    if all(self.stage(stage).exists() for stage in stages):
      return other
    for stage in stages:
      # Teachers that are here already must be those of a generator from there.
      if self.stage(stage).exists() and stage == 'generator':
        continue
      record = _record(origin, stage) or {'finished': False}
      if record['finished']:
        fields = settings.fields(config, stage)
        other = settings.differing(record['fields'], fields)
      if stage == 'pretrain' and (other or not record['finished']):
        raise UserError(
          f'init_from: {origin} holds no finished stage pretrain made with '
          f'this config{": " if other else ""}{", ".join(other)}; name the '
          'workdir of a run that has trained these teachers.'
        )
      if record['finished'] and not other and not self.stage(stage).exists():
        part = self.path / f'{stage}.part'
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(origin / stage, part)
        part.rename(self.stage(stage))
    return other


def is_finished(folder: pathlib.Path, stage: str) -> bool:
  """Whether a stage is done in a run's folder."""
  return (_record(folder, stage) or {}).get('finished', False)


def generator_features(
  groups: int, *folders: str | None
) -> tuple[int, ...] | None:
  """The feature widths of the first finished generator in these folders.

  Args:
    groups: that it must have, B.
    *folders: working directories.
  """
  for folder in filter(None, folders):
    record = _record(pathlib.Path(folder).expanduser(), 'generator')
    if record and record['finished']:
      found = tuple(record['fields']['generator.features'])
      if len(found) == groups - 1:
        return found
  return None


def _record(path: pathlib.Path, stage: str) -> dict | None:
  file = path / stage / _RECORD
  if not file.exists():
    return None
  try:
    return json.loads(file.read_text())
  except (OSError, ValueError) as e:
    raise UserError(
      f'{file}: cannot be read; delete the folder {file.parent} to do that '
      'stage again.'
    ) from e


def _write(folder: pathlib.Path, record: dict) -> None:
  folder.mkdir(parents=True, exist_ok=True)
  part = folder / f'{_RECORD}.part'
  part.write_text(json.dumps(record, indent=1))
  part.replace(folder / _RECORD)
