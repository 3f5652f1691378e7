"""Runs an experiment: the stages in order, each once, in one folder."""

import contextlib
from collections.abc import Mapping
from types import MappingProxyType

import ml_collections

from dualgan_jax.config import schema, stage_fields, stage_table
from dualgan_jax.data import data_folder
from dualgan_jax.errors import DISK_FULL, TrainingError, UserError, first_line
from dualgan_jax.experiment import (
  batch_sizes,
  description,
  generator_features,
  memory,
  own_teachers,
  rehearsal,
  results,
  stage_records,
  stage_runners,
  workdir,
)
from dualgan_jax.experiment.context import RunContext
from dualgan_jax.experiment.nets import build_nets
from dualgan_jax.student import student_config
from dualgan_jax.teachers.teacher import Teacher
from dualgan_jax.training import console, metrics_log, parallel

_NO_TEACHERS: Mapping[str, Teacher] = MappingProxyType({})


def run(
  config: ml_collections.ConfigDict,
  workdir_path: str,
  *,
  teachers: Mapping[str, Teacher] = _NO_TEACHERS,
  on_metrics: metrics_log.OnMetrics | None = None,
  stage: str | None = None,
  init_from: str | None = None,
) -> dict | None:
  """Runs an experiment, or goes on with it.

  Args:
    config: as `experiments/configs` make them.
    workdir_path: the run's folder; what is finished there is not done again.
    teachers: by name, teachers in memory, beside those of `config.teachers`,
      which may be empty or missing then. A second start is given them again.
    on_metrics: called with a phase's name ('generator/train'), its steps done
      and its metrics by name, a float or an array of one per label, for each
      row of metrics (`config.log_every`), on the first process. If it raises,
      the training is saved, and `run` raises the same.
    stage: only this one of `stage_table.NAMES`; all of them if None.
    init_from: another run's folder, to take finished teachers from, unless
      there are some already, and with them the finished generator if this
      config would make the same.

  Returns:
    What `results.json` holds, or None if stage `evaluate` was not to run.

  Raises:
    UserError: config, folder or checkpoints are not as they should be.
    TrainingError: a training diverged, or disk or memory is full.
    InterruptedRun: a signal came; the same call goes on.
  """
  if stage is not None and stage not in stage_table.NAMES:
    raise UserError(
      f'stage: {stage!r} is none of {", ".join(stage_table.NAMES)}.'
    )
  try:
    with _system_told(workdir_path):
      return _run(config, workdir_path, teachers, on_metrics, stage, init_from)
  except metrics_log.CallbackError as e:
    failure = e.failure
  # Out here, or Python would add our error to the user's.
  raise failure


def dry_run(
  config: ml_collections.ConfigDict,
  workdir_path: str,
  *,
  teachers: Mapping[str, Teacher] = _NO_TEACHERS,
  init_from: str | None = None,
) -> str:
  """Builds everything that `run` would train, and describes it.

  Args:
    config: as for `run`.
    workdir_path: as for `run`; nothing is written.
    teachers: as for `run`.
    init_from: as for `run`.

  Returns:
    Lines of text: teachers, labels, shapes, costs.

  Raises:
    UserError: what `run` would refuse for the config.
  """
  with _system_told(workdir_path):
    config, design, _ = _prepare(config, workdir_path, teachers, init_from)
    fields = stage_fields.by_stage(config)
    stage_records.check_same_fields(workdir_path, fields)
    if init_from and not stage_records.is_finished(workdir_path, 'pretrain'):
      stage_records.check_source(init_from, fields)
  return description.describe(design, config)


def _run(config, workdir_path, teachers, on_metrics, stage, init_from):
  config, design, devices = _prepare(config, workdir_path, teachers, init_from)
  with workdir.Workdir(workdir_path) as folder:
    fields = stage_fields.by_stage(config)
    stage_records.check_same_fields(workdir_path, fields)
    if init_from:
      console.say(_taken(init_from, *folder.take_over(init_from, fields)))
    chosen = stage_table.NAMES if stage is None else (stage,)
    if stage is not None and not design.classifiers:
      chosen = tuple(dict.fromkeys(('pretrain', stage)))  # nothing to train
    damaged = _damaged(folder) if 'evaluate' in chosen else ()
    for aside in folder.set_aside_stale(fields, chosen, damaged):
      console.say(
        f'{aside.stem}: done again; the earlier is kept as {aside.name}'
      )
    if all(folder.finished(s) for s in chosen):
      console.say(f'{", ".join(chosen)}: done already in {folder.path}')
    else:
      if parallel.is_first():
        (folder.path / 'config.json').write_text(config.to_json(indent=1))
      if 'evaluate' in chosen:
        parallel.on_first(
          lambda: rehearsal.check_last_stage(folder.path, config.labels)
        )
      stage_runners.run_stages(
        RunContext(config, design, folder, devices, chosen[-1], on_metrics)
      )
    if chosen[-1] != 'evaluate':
      return None
    return results.read(folder.path)


def _prepare(config, workdir_path, teachers, init_from):
  """Checks all that can be checked before a folder is touched."""
  config = own_teachers.add(config, teachers)
  own_teachers.check_passed(config, teachers, workdir_path)
  config = schema.check(config)
  for name, data_config in config.data.items():
    data_folder.find(name, data_config)
  config, made_by_users = own_teachers.read(config, teachers)
  config = generator_features.fill_in(config, workdir_path, init_from)
  design = build_nets(config, made_by_users)
  if fault := student_config.net_fault(
    {
      'labels': config.labels,
      'image': config.image,
      'net': {
        **config.student.to_dict(),
        'single_label': design.student.single_label,
      },
    }
  ):
    # Of a student's folder, whose `net` is the config's group `student`.
    raise UserError(f'student: {fault.replace("net.", "student.")}.')
  devices = parallel.choose_devices(config.devices)
  parts = batch_sizes.equal_parts(
    config, len(devices), len(design.label_map.relevant_teachers)
  )
  # Batches that are left open, of stages that go on.
  recorded = {
    stage: batch
    for stage, batch in stage_records.batches(workdir_path, init_from).items()
    if not config[stage].batch
  }
  config = batch_sizes.fill_in(config, parts, recorded)
  trained = _list_trained_stages(config, design, workdir_path, init_from)
  batch_sizes.check(config, parts, trained, len(devices), recorded)
  memory.check_fits(design, config, devices, trained)
  return config, design, devices


def _list_trained_stages(config, design, workdir_path, init_from):
  """Lists the stages that will be trained, and not taken from a folder."""
  fields = stage_fields.by_stage(config)
  trained, is_outdated = [], False
  for stage in stage_table.STAGES:
    if not stage.has_batch:
      continue
    trains = config[stage.name].get('steps', True)
    if stage.name == 'pretrain':
      trains = design.classifiers
    if not trains:
      continue
    # What is built on something that is trained again is trained again, too.
    is_outdated |= not stage_records.is_at_hand(
      stage.name, fields, workdir_path, init_from
    )
    if is_outdated:
      trained.append(stage.name)
  return trained


def _damaged(folder):
  """The finished stages whose results are lost or damaged; says which."""
  if not folder.finished('evaluate'):
    return ()
  damage = results.damage(folder.path)
  for line in damage:
    console.say(f'evaluate: {line}')
  return ('evaluate',) if damage else ()


def _taken(init_from, stages, other):
  """What to tell about `Workdir.take_over`."""
  if not stages:
    return 'init_from: nothing is taken, the teachers here are finished'
  said = f'init_from: {" and ".join(stages)} taken from {init_from}'
  if other:
    return f'{said}; its generator was made otherwise: {", ".join(other)}'
  if 'generator' not in stages:
    return f'{said}; its generator is not finished'
  return said


@contextlib.contextmanager
def _system_told(workdir_path):
  try:
    yield
  except OSError as e:
    place = e.filename or stage_records.absolute(workdir_path)
    if isinstance(e, PermissionError):
      raise UserError(
        f'workdir: {place} may not be used ({e.strerror}); make it yours '
        'to read and write, or name another folder.'
      ) from e
    problem = 'the disk is full' if e.errno in DISK_FULL else first_line(e)
    raise TrainingError(
      f'{place}: {problem}; put that right and start the same command again, '
      'which goes on from what is saved.'
    ) from e
