"""A run's folder: one run at a time, one folder per stage, its record.

Of several processes that work together only the first writes here.
"""

import fcntl
import json
import os
import pathlib
import shutil
from collections.abc import Sequence

import ml_collections

from dualgan_jax import parallel, settings
from dualgan_jax.errors import UserError

_RECORD = 'stage.json'
# What nothing is built on, so that it may be done again.
_MEASURING = ('baselines', 'evaluate')
# What stage evaluate leaves beside its folder, always and perhaps.
_RESULTS = ('results.json', 'student')
_MORE_RESULTS = ('branched', 'report.md', 'report.html')
# What another run's folder may give.
_TAKEN = ('pretrain', 'generator')


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
    self.path = _path(path)
    self._lock = None
    parallel.on_first(self._take)

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
    return parallel.on_first(lambda: self._begin(stage, config))

  def _begin(self, stage, config):
    aside, old = None, _record(self.path, stage)
    fields = settings.fields(config, stage)
    if old and settings.differing(old['fields'], fields):
      aside = self._set_aside(stage)
    _write(self.stage(stage), {'fields': fields, 'finished': False})
    return aside

  def _set_aside(self, stage):
    taken = [
      int(p.name.rpartition('-')[2]) for p in self.path.glob(f'{stage}.aside-*')
    ]
    aside = self.path / f'{stage}.aside-{max(taken, default=0) + 1}'
    self.stage(stage).rename(aside)
    if stage == 'evaluate':
      # They would pass for what the run has now.
      for made in (*_RESULTS, *_MORE_RESULTS):
        if (self.path / made).exists():
          (self.path / made).rename(aside / made)
    return aside

  def finish(
    self,
    stage: str,
    config: ml_collections.FrozenConfigDict,
    seconds: float,
  ) -> None:
    """Records that a stage is done."""
    record = {
      'fields': settings.fields(config, stage),
      'finished': True,
      'seconds': round(seconds, 1),
    }
    parallel.on_first(lambda: _write(self.stage(stage), record))

  def set_aside_stale(
    self, config: ml_collections.FrozenConfigDict, chosen: Sequence[str]
  ) -> list[pathlib.Path]:
    """Sets aside what is to be made again, and all that was built on it.

    What is to be made again is a measurement with other fields, and an
    evaluation whose results are gone.

    Args:
      config: checked.
      chosen: the stages that are to run, in their order.

    Returns:
      Where it lies now.

    Raises:
      UserError: the last of them needs another stage, which is not done, or
        with other fields.
    """
    last = settings.STAGES.index(chosen[-1])
    for stage in settings.STAGES[:last]:
      if stage not in chosen and _others(self.path, stage, config) != []:
        raise UserError(
          f'stage: {chosen[-1]} needs {stage}, which is not finished in '
          f'{self.path} as this config has it; run it first, or leave --stage '
          'out.'
        )
    return (
      parallel.on_first(lambda: self._set_aside_stale(config, chosen)) or []
    )

  def _set_aside_stale(self, config, chosen):
    aside, again = [], False
    for stage in settings.STAGES:
      own = stage in chosen
      again |= own and self._is_stale(stage, config)
      if again and self.stage(stage).exists():
        aside.append(self._set_aside(stage))
      again |= own and not self.finished(stage)
    return aside

  def _is_stale(self, stage, config):
    if stage not in _MEASURING or not self.finished(stage):
      return False
    gone = stage == 'evaluate' and not all(
      (self.path / x).exists() for x in _RESULTS
    )
    return gone or bool(_others(self.path, stage, config))

  def take_over(
    self, source: str, config: ml_collections.FrozenConfigDict
  ) -> tuple[list[str], list[str]]:
    """Copies finished teachers and generator from another run's folder.

    Nothing is copied if there are finished teachers here: a generator of others
    would not be theirs. One that was made otherwise than this config says stays
    there.

    Returns:
      The stages that were copied, and the fields that such a generator differs
      in.

    Raises:
      UserError: `source` has no finished teachers, or others, or they cannot
        be copied.
    """
    found = parallel.on_first(lambda: self._take_over(source, config))
    return found or ([], [])

  def _take_over(self, source, config):
    if self.finished('pretrain'):
      return [], []
    refuse_source(source, config)
    origin, taken = _path(source), []
    for stage in settings.STAGES:
      if self.stage(stage).exists():
        self._set_aside(stage)
    # Teachers last: if that is stopped on the way, all is copied again.
    for stage in reversed(_TAKEN):
      if _others(origin, stage, config) == []:
        part = self.path / f'{stage}.part'
        shutil.rmtree(part, ignore_errors=True)
        try:
          shutil.copytree(origin / stage, part)
        except shutil.Error as e:  # it tells them all; the first will do
          shutil.rmtree(part, ignore_errors=True)
          file, _, why = e.args[0][0]
          raise UserError(
            f'init_from: {file} cannot be copied ({why}); put that right and '
            'start the same command again.'
          ) from e
        part.rename(self.stage(stage))
        taken.insert(0, stage)
    return taken, _others(origin, 'generator', config) or []


def refuse_other(path: str, config: ml_collections.FrozenConfigDict) -> None:
  """Sees that what is finished in a folder was made with these very fields.

  What only measures may have others, and so may all that comes after a stage
  which is not finished: it is done again with it.

  Raises:
    UserError: it was not; names the fields.
  """
  for stage in settings.STAGES[: -len(_MEASURING)]:
    other = _others(_path(path), stage, config)
    if other is None:
      return
    if other:
      raise UserError(
        f'{", ".join(other)}: stage {stage} in {_path(path)} was made '
        'otherwise; set that back, name another workdir, or delete the folder '
        'of that stage to do it again with all that come after it.'
      )


def refuse_source(source: str, config: ml_collections.FrozenConfigDict) -> None:
  """Sees that another run's folder holds the teachers of a config.

  Raises:
    UserError: they are not finished there, or others.
  """
  other = _others(_path(source), 'pretrain', config)
  if other is None or other:
    raise UserError(
      f'init_from: {_path(source)} holds no finished stage pretrain made with '
      f'this config{": " if other else ""}{", ".join(other or ())}; name the '
      'workdir of a run that has trained these teachers.'
    )


def is_finished(folder: str | pathlib.Path, stage: str) -> bool:
  """Whether a stage is done in a run's folder."""
  return (_record(_path(folder), stage) or {}).get('finished', False)


def is_at_hand(
  stage: str,
  config: ml_collections.FrozenConfigDict,
  workdir: str,
  init_from: str | None,
) -> bool:
  """Whether nothing of a stage will be trained.

  Args:
    stage: one of `settings.STAGES`.
    config: checked.
    workdir: the run's folder, where the stage may be done.
    init_from: another run's folder, which it may be taken over from, or None.
  """
  if _others(_path(workdir), stage, config) == []:
    return True
  if not init_from or stage not in _TAKEN or is_finished(workdir, 'pretrain'):
    return False
  return _others(_path(init_from), stage, config) == []


def generator_features(
  config: ml_collections.FrozenConfigDict, workdir: str, init_from: str | None
) -> tuple[int, ...] | None:
  """The feature widths of the generator that a run will go on with.

  Args:
    config: checked, its `generator.features` open.
    workdir: the run's folder, where a generator may be begun.
    init_from: another run's folder, which a finished one may be taken over
      from, or None.

  Returns:
    One width per group but the last, or None: there is no such generator.
  """
  for folder in filter(None, (workdir, init_from)):
    record = _record(_path(folder), 'generator')
    if record is None:
      continue
    values = config.to_dict()
    features = tuple(record['fields']['generator.features'])
    values['generator']['features'] = features
    same = ml_collections.FrozenConfigDict(values)
    same_fields = settings.fields(same, 'generator')
    own = folder == workdir and (
      record['finished']
      or not settings.differing(record['fields'], same_fields)
    )
    if len(features) == len(config.student.widths) - 1 and (
      own or is_at_hand('generator', same, workdir, init_from)
    ):
      return features
  return None


def _others(folder, stage, config) -> list[str] | None:
  """What a finished stage differs from a config in; None for another."""
  record = _record(folder, stage)
  if not (record and record['finished']):
    return None
  return settings.differing(record['fields'], settings.fields(config, stage))


def _path(folder: str | pathlib.Path) -> pathlib.Path:
  return pathlib.Path(os.path.expanduser(folder)).absolute()


def _record(path: pathlib.Path, stage: str) -> dict | None:
  file = path / stage / _RECORD
  try:
    return json.loads(file.read_text()) if file.exists() else None
  except PermissionError as e:
    raise UserError(
      f'{file}: you may not read it; ask for the right to, or name another '
      'folder.'
    ) from e
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
