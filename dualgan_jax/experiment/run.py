"""Runs an experiment: the stages in order, each once, in one folder."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax
import ml_collections

from dualgan_jax.config import schema, stage_fields, stage_table
from dualgan_jax.config.fields import Experiment
from dualgan_jax.data import data_folder
from dualgan_jax.errors import DISK_FULL, TrainingError, UserError, first_line
from dualgan_jax.experiment import (
  batch_sizes,
  description,
  drawn_teachers,
  external_teachers,
  memory,
  net_drawing,
  rehearsal,
  results,
  run_plan,
  stage_records,
  stage_runners,
  workdir,
)
from dualgan_jax.experiment.context import RunContext
from dualgan_jax.experiment.nets import Nets, build_nets
from dualgan_jax.student import student_config
from dualgan_jax.teachers.teacher import Teacher
from dualgan_jax.training import console, metrics_log, parallel
from dualgan_jax.training.outlook import Outlook

_NO_TEACHERS: Mapping[str, Teacher] = MappingProxyType({})


def run(
  config: ml_collections.ConfigDict,
  workdir_path: str,
  *,
  teachers: Mapping[str, Teacher] = _NO_TEACHERS,
  on_metrics: metrics_log.OnMetrics | None = None,
  stage: str | None = None,
  init_from: str | None = None,
) -> dict[str, Any] | None:
  """Runs an experiment, or resumes it.

  Args:
    config: as the presets' `get_config` makes it.
    workdir_path: path of the run's folder; stages that are finished there are
      not run again.
    teachers: teachers in memory, by name, in addition to `config.teachers`,
      which may be empty or missing then. A resumed run needs them again.
    on_metrics: called for each row of metrics (every `config.log_every` steps)
      on the first process, with the phase's name ('generator/train'), the
      number of steps done, and the metrics by name: floats, or arrays with a
      value per label. If it raises an error, the training is saved, and `run`
      raises the same error.
    stage: the only stage to run, one of `stage_table.NAMES`; None for all.
    init_from: path of another run's folder, to copy finished teachers from, and
      the finished generator if this config would make the same. Ignored if the
      run has finished teachers already.

  Returns:
    The content of `results.json`; None if stage `evaluate` was not to run.

  Raises:
    UserError: config, folder or checkpoints have a fault that the user can
      correct.
    TrainingError: a training diverged, or disk or memory is full.
    InterruptedRun: a signal stopped the run; the same call resumes it.
  """
  if stage is not None and stage not in stage_table.NAMES:
    raise UserError(
      f'stage: {stage!r} is none of {", ".join(stage_table.NAMES)}.'
    )
  try:
    with explain_system_errors(workdir_path):
      return _run(config, workdir_path, teachers, on_metrics, stage, init_from)
  except metrics_log.CallbackError as error:
    failure = error.failure
  # Outside of `except`, or Python would add our error to the user's.
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
    Several lines of text: a drawing of the nets; teachers, labels, shapes,
    costs; devices, memory, and how long each stage may take.

  Raises:
    UserError: `run` would raise it for this config.
  """
  with explain_system_errors(workdir_path):
    config, nets, devices = prepare(config, workdir_path, teachers, init_from)
    fields = stage_fields.by_stage(config)
    # The same checks as in `run`, without the lock.
    stage_records.check_same_fields(workdir_path, fields)
    if init_from and not stage_records.is_finished(workdir_path, 'pretrain'):
      stage_records.check_source(init_from, fields)
  finished_stages = [
    stage
    for stage in stage_table.NAMES
    if stage_records.is_at_hand(stage, fields, workdir_path, init_from)
  ]
  return '\n'.join(
    [
      *net_drawing.draw(nets, config),
      '',
      description.describe(nets, config),
      *run_plan.describe_plan(nets, config, devices, finished_stages),
    ]
  )


@contextlib.contextmanager
def explain_system_errors(workdir_path: str) -> Iterator[None]:
  """Turns errors of the operating system into one sentence that names a cure.

  Args:
    workdir_path: path of the run's folder, for errors that name no file.

  Raises:
    UserError: a file may not be read or written.
    TrainingError: the disk is full, or a file has another problem.
  """
  try:
    yield
  except OSError as error:
    path = error.filename or stage_records.absolute(workdir_path)
    if isinstance(error, PermissionError):
      raise UserError(
        f'workdir: {path} may not be used ({error.strerror}); make it yours '
        'to read and write, or name another folder.'
      ) from error
    problem = (
      'the disk is full' if error.errno in DISK_FULL else first_line(error)
    )
    raise TrainingError(
      f'{path}: {problem}; put that right and start the same command again, '
      'which goes on from what is saved.'
    ) from error


def _run(config, workdir_path, teachers, on_metrics, stage, init_from):
  """Runs the requested stages in the locked folder; see `run`."""
  config, nets, devices = prepare(config, workdir_path, teachers, init_from)
  with workdir.Workdir(workdir_path) as run_folder:
    fields = stage_fields.by_stage(config)
    stage_records.check_same_fields(workdir_path, fields)
    if init_from:
      copied_stages, differences = run_folder.take_over(init_from, fields)
      console.say(_describe_copied(init_from, copied_stages, differences))
    stages = stage_table.NAMES if stage is None else (stage,)
    # Without teachers to train, `pretrain` only reads them.
    if stage is not None and not nets.classifiers:
      stages = tuple(dict.fromkeys(('pretrain', stage)))

    # Stale and damaged outcomes are kept aside before they are made again.
    damaged_stages = (
      _find_damaged_stages(run_folder) if 'evaluate' in stages else ()
    )
    for aside_folder in run_folder.set_aside_stale(
      fields, stages, damaged_stages
    ):
      console.say(
        f'{aside_folder.stem}: done again; the earlier is kept as '
        f'{aside_folder.name}'
      )
    # A second start only reads the results.
    if all(run_folder.finished(name) for name in stages):
      console.say(f'{", ".join(stages)}: done already in {run_folder.path}')
    else:
      if parallel.is_first():
        # The completed config, so that the folder tells what was run.
        config_file = run_folder.path / 'config.json'
        config_file.write_text(config.model_dump_json(indent=1))
      # A broken library should not show after hours of training.
      if 'evaluate' in stages:
        parallel.on_first(
          lambda: rehearsal.check_last_stage(run_folder.path, config.labels)
        )
      outlook = _announce(config, nets, devices, run_folder, stages)
      stage_runners.run_stages(
        RunContext(
          config, nets, run_folder, devices, stages[-1], on_metrics, outlook
        )
      )
    if stages[-1] != 'evaluate':
      return None
    return results.read(run_folder.path)


def prepare(
  config: ml_collections.ConfigDict,
  workdir_path: str,
  teachers: Mapping[str, Teacher],
  init_from: str | None,
) -> tuple[Experiment, Nets, list[jax.Device]]:
  """Completes the config, builds the nets, and checks all before any writing.

  Args:
    config: as for `run`, like the others.

  Returns:
    The config with all fields filled in, the nets, and the devices.

  Raises:
    UserError: `run` would raise it for this config.
  """
  # The config: its fields, its files, and the teachers that exist already.
  config = external_teachers.add(config, teachers)
  external_teachers.check_passed_again(workdir_path, teachers)
  config = schema.check(config)
  for name, data_config in config.data.items():
    data_folder.find(name, data_config)
  config, made_teachers = external_teachers.read(config, teachers)

  # The nets, and the folder that the student will be written to.
  nets = build_nets(config, made_teachers)
  config = drawn_teachers.fill_in(
    config, nets, drawn_teachers.read_record(workdir_path, init_from)
  )
  _check_student(config, nets)

  # Batches, which depend on the devices of this machine.
  devices = parallel.choose_devices(config.devices)
  num_parts = batch_sizes.equal_parts(
    config, len(devices), len(nets.label_map.relevant_teachers)
  )
  # A stage goes on with the batch that it was begun with.
  recorded_batches = {
    stage: batch
    for stage, batch in stage_records.batches(workdir_path, init_from).items()
    if not getattr(config, stage).batch
  }
  config = batch_sizes.fill_in(config, num_parts, recorded_batches)
  trained_stages = _list_trained_stages(config, nets, workdir_path, init_from)
  batch_sizes.check(
    config, num_parts, trained_stages, len(devices), recorded_batches
  )
  memory.check_fits(nets, config, devices, trained_stages)
  return config, nets, devices


def _announce(
  config: Experiment,
  nets: Nets,
  devices: Sequence[jax.Device],
  run_folder: workdir.Workdir,
  stages: Sequence[str],
) -> Outlook | None:
  """Prints what is to be done; returns the outlook of the first process."""
  if not parallel.is_first() or not console.is_verbose():
    return None
  stages_to_do = [name for name in stages if not run_folder.finished(name)]
  outlook = run_plan.make_outlook(nets, config, devices, stages_to_do)
  for line in run_plan.describe_run(
    nets, config, devices, str(run_folder.path), stages_to_do, outlook
  ):
    console.say(line)
  return outlook


def _check_student(config: Experiment, nets: Nets) -> None:
  """Checks that the student's folder can be read again once it is written."""
  folder_config = {
    'labels': config.labels,
    'image': config.image_shape,
    'net': {
      **dict(config.student),
      'single_label': nets.student.single_label,
    },
  }
  if fault := student_config.net_fault(folder_config):
    # The `net` of a student's folder is the config's group `student`.
    raise UserError(f'student: {fault.replace("net.", "student.")}.')


def _list_trained_stages(
  config: Experiment,
  nets: Nets,
  workdir_path: str,
  init_from: str | None,
) -> list[str]:
  """Lists the stages that will be trained, and not read from a folder."""
  fields = stage_fields.by_stage(config)
  trained_stages, is_outdated = [], False
  for stage in stage_table.STAGES:
    if not stage.has_batch:
      continue
    # A stage with 0 steps trains nothing; `targetnet` has no such field.
    group = getattr(config, stage.name)
    has_training = getattr(group, 'steps', True) and (
      group is not config.baselines or config.baselines.enabled
    )
    if stage.name == 'pretrain':
      has_training = nets.classifiers
    if not has_training:
      continue
    # A stage that builds on a stage that is trained again is trained again.
    is_outdated |= not stage_records.is_at_hand(
      stage.name, fields, workdir_path, init_from
    )
    if is_outdated:
      trained_stages.append(stage.name)
  return trained_stages


def _find_damaged_stages(run_folder: workdir.Workdir) -> tuple[str, ...]:
  """Finds finished stages whose results are lost, and reports the damage."""
  if not run_folder.finished('evaluate'):
    return ()
  faults = results.find_damage(run_folder.path)
  for fault in faults:
    console.say(f'evaluate: {fault}')
  return ('evaluate',) if faults else ()


def _describe_copied(
  init_from: str, copied_stages: Sequence[str], differences: Sequence[str]
) -> str:
  """Describes what `Workdir.take_over` has copied, and why not the rest."""
  if not copied_stages:
    return 'init_from: nothing is taken, the teachers here are finished'
  message = f'init_from: {" and ".join(copied_stages)} taken from {init_from}'
  if differences:
    return (
      f'{message}; its generator was made otherwise: {", ".join(differences)}'
    )
  if 'generator' not in copied_stages:
    return f'{message}; its generator is not finished'
  return message
