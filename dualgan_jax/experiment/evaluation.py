"""Measures the models of a run, and writes results, report and students."""

import functools
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from dualgan_jax.config import stage_fields, stage_table, training_budget
from dualgan_jax.experiment import (
  calibrated_students,
  ensemble_rows,
  generated_samples,
  real_data,
  teacher_rows,
  versions,
  written_students,
)
from dualgan_jax.experiment.context import RunContext
from dualgan_jax.experiment.outcomes import (
  Model,
  Students,
  Teachers,
  TrainedGenerator,
)
from dualgan_jax.experiment.scorer import Scorer
from dualgan_jax.method.frozen_generator import FrozenGenerator
from dualgan_jax.reporting import (
  diagnosis,
  findings,
  plots,
  report,
  shipped_runs,
)
from dualgan_jax.stages import distillation
from dualgan_jax.student import generated_images
from dualgan_jax.training import parallel

if TYPE_CHECKING:
  from dualgan_jax.data.sources import Split

_NUM_STORED = 256  # images, of those that are drawn
# Keys of `results.json`, in their order.
_RESULT_KEYS = (
  *('experiment', 'objective', 'oracle', 'seed', 'labels', 'images'),
  *('diagnosis', 'metrics', 'intervals', 'per_label', 'confusion'),
  'worst_errors',
  *('temperatures', 'calibration', 'uncalibrated', 'routed', 'misfits'),
  *('branch_points', 'branch_losses'),
  *('student_steps', 'generated_images', 'seconds', 'devices'),
  *('versions', 'command', 'config'),
)


def measure(
  context: RunContext,
  teachers: Teachers,
  trained: TrainedGenerator,
  students: Students,
  baselines: Mapping[str, Model],
) -> None:
  """Runs stage `evaluate`, which writes what people take away from a run.

  This is the only stage that measures on the test part of the data.

  Args:
    context: context of the run.
    teachers: outcome of `pretrain`.
    trained: outcome of `generator`.
    students: outcome of `refine`.
    baselines: outcome of `baselines`, by name.
  """
  if context.workdir.finished('evaluate'):
    return  # Nothing builds on this stage, so there is nothing to read.
  start_time = time.monotonic()
  config = context.config
  train_splits, test_splits = (
    [real_data.load(config, name, part) for name in config.data]
    for part in ('train', 'test')
  )
  # Models are scored on real images, if there are any, and compared with the
  # teachers on generated images.
  scorer = Scorer(config, test_splits)
  generators = generated_samples.list_seen_generators(config, trained, students)
  images, ensemble_logits = generated_samples.draw_samples(
    context, teachers.all_teachers, generators, config.labels
  )

  # What is measured are the students that people take away.
  students, temperatures = calibrated_students.calibrate(
    students,
    images,
    ensemble_logits,
    single_label=context.nets.student.single_label,
    distilled_at=config.temperature,
  )

  # The order of the rows is that of the tables: teachers come first.
  rows, generated_answers = teacher_rows.measure(scorer, config, teachers), {}
  count_images = functools.partial(real_data.count_images, config, train_splits)
  rows |= ensemble_rows.measure(scorer, config, teachers, count_images)
  for name, model in {**students.models, **baselines}.items():
    rows[name], generated_answers[name] = _measure_model(
      scorer, name, model, config.labels, images, ensemble_logits
    )
  scorer.logits.setdefault('teachers', ensemble_logits)

  found = _examine_images(
    context,
    teachers,
    trained.frozen,
    students.models['compact'],
    images,
    generated_answers['compact'],
    ensemble_logits,
  )
  measurements = {
    'images': _count_images(config.data, train_splits, test_splits),
    **_describe_answers(context, scorer, teachers, rows, temperatures, found),
  }
  # The results state the seconds, so what follows is not counted.
  seconds = time.monotonic() - start_time
  context.add_seconds(seconds)
  results = _describe_run(context, trained, students, seconds) | measurements
  # Of several processes, only the first writes into the folder.
  if parallel.is_first():
    _write_samples(context, images, ensemble_logits, train_splits)
    written_students.write(context, teachers, students, results)
    report.write(
      context.workdir.path, {key: results[key] for key in _RESULT_KEYS}
    )
    context.log_results(results)


def _examine_images(
  context: RunContext,
  teachers: Teachers,
  generator: FrozenGenerator,
  student: Model,
  images: np.ndarray,
  student_logits: np.ndarray,
  ensemble_logits: np.ndarray,
) -> findings.Findings:
  """Finds what generated images tell of generator, teachers and student.

  Args:
    context: context of the run.
    teachers: outcome of `pretrain`.
    generator: any state of the one that made the images.
    student: the compact one.
    images: of `generated_samples.draw_samples`.
    student_logits: of the images, [N, |Y_cst|].
    ensemble_logits: the teachers' of the images, [N, |Y_cst|].
  """
  seen_by_teachers = (context, teachers.relevant_teachers, generator, images)
  blends, blend_targets = generated_samples.blend_pairs(*seen_by_teachers)
  blend_answers = jax.jit(student.answer)(student.variables, blends)
  return findings.examine(
    context.config.labels,
    student_logits,
    ensemble_logits,
    (np.asarray(blend_answers), blend_targets),
    generated_samples.owner_logits(*seen_by_teachers),
    generated_samples.statistics_moments(*seen_by_teachers),
    single_label=context.nets.student.single_label,
  )


def _describe_answers(
  context: RunContext,
  scorer: Scorer,
  teachers: Teachers,
  rows: dict[str, dict[str, Any]],
  temperatures: Mapping[str, float],
  found: findings.Findings,
) -> dict[str, Any]:
  """Describes what the models answer: entries of the results.

  Args:
    context: context of the run.
    scorer: has the answers of all models.
    teachers: outcome of `pretrain`.
    rows: scores and costs, by name of the model.
    temperatures: of the students, by name of the model.
    found: what generated images tell.
  """
  per_label = scorer.per_label()
  kept_scores = diagnosis.compute_kept_scores(rows, per_label)
  return {
    'diagnosis': diagnosis.diagnose(
      found, kept_scores, shipped_runs.describe_odds()
    ),
    'metrics': rows,
    'intervals': scorer.all_intervals(rows, teachers.all_teachers),
    'per_label': per_label,
    'temperatures': dict(temperatures),
    **scorer.answer_tables(
      rows['compact'],
      temperatures['compact'],
      single_label=context.nets.student.single_label,
    ),
    'worst_errors': _write_errors(
      context, *scorer.worst_errors(rows['compact'])
    ),
  }


def _count_images(
  names: Iterable[str],
  train_splits: Sequence['Split'],
  test_splits: Sequence['Split'],
) -> dict[str, dict[str, int]]:
  """Counts the real images by data set."""
  return {
    name: {'train': len(train.images), 'test': len(test.images)}
    for name, train, test in zip(names, train_splits, test_splits, strict=True)
  }


def _write_samples(
  context: RunContext,
  images: np.ndarray,
  ensemble_logits: np.ndarray,
  train_splits: Sequence['Split'],
) -> None:
  """Writes generated images, as a picture and for a quantised student."""
  folder = context.workdir.stage('evaluate')
  real_images = (
    real_data.sample(
      context.config, train_splits, generated_samples.NUM_SAMPLES
    )
    if train_splits
    else None
  )
  plots.draw_samples(
    folder / 'samples.png',
    context.config.labels,
    images,
    ensemble_logits,
    real=real_images,
  )
  plots.write_grid(folder / 'generated.png', images, ensemble_logits)
  if real_images is not None:
    plots.write_grid(folder / 'real.png', *real_images)
  generated_images.write(
    folder / generated_images.NAME,
    images[:_NUM_STORED],
    ensemble_logits[:_NUM_STORED],
  )


def _write_errors(
  context: RunContext,
  errors: Sequence[Mapping[str, Any]],
  images: Sequence[np.ndarray],
) -> list[dict[str, Any]]:
  """Writes the images of errors, and returns these with `image`, their paths.

  Args:
    context: context of the run.
    errors: of `Scorer.worst_errors`.
    images: the image of each, uint8 [h, w, c].
  """
  folder = context.workdir.path
  located_errors = []
  for number, (error, image) in enumerate(
    zip(errors, images, strict=True), start=1
  ):
    path = f'evaluate/errors/{number}.png'
    # Of several processes, only the first writes into the folder.
    if parallel.is_first():
      (folder / path).parent.mkdir(exist_ok=True)
      plots.write_thumbnail(folder / path, image)
    located_errors.append({**error, 'image': path})
  return located_errors


def _measure_model(
  scorer: Scorer,
  name: str,
  model: Model,
  labels: tuple[str, ...],
  images: np.ndarray,
  ensemble_logits: np.ndarray,
) -> tuple[dict[str, Any], np.ndarray]:
  """Measures a trained model, and returns its logits of generated images."""
  answer = jax.jit(model.answer)
  logits = np.asarray(answer(model.variables, images))
  # Of trained models only: teachers agree with themselves.
  agreement = distillation.agreement(logits, ensemble_logits)
  row = scorer.measure(name, answer, model.variables, labels)
  scorer.logits.setdefault(name, logits)
  return {**row, 'agreement': float(agreement)}, logits


def _describe_run(
  context: RunContext,
  trained: TrainedGenerator,
  students: Students,
  seconds: float,
) -> dict[str, Any]:
  """Lists what a run was made with, and how long its stages took."""
  config = context.config
  earlier_stages = [name for name in stage_table.NAMES if name != 'evaluate']
  all_fields, fields = stage_fields.flatten_fields(config), {}
  # Not the whole config: files may lie elsewhere on another machine.
  for fields_of_stage in stage_fields.by_stage(config).values():
    fields.update(fields_of_stage)
  return {
    'experiment': config.experiment,
    'objective': config.objective.name,
    'oracle': config.objective.oracle,
    'seed': config.seed,
    'labels': list(config.labels),
    'routed': bool(trained.frozen.routed_teachers),
    'misfits': dict(trained.statistics_gaps),
    'branch_points': students.branch_points,
    'branch_losses': students.branch_losses,
    'student_steps': training_budget.num_student_steps(all_fields),
    'generated_images': training_budget.num_generated_images(all_fields),
    'seconds': {
      **{name: context.workdir.seconds(name) for name in earlier_stages},
      'evaluate': round(seconds, 1),
    },
    'devices': f'{len(context.devices)} × {context.devices[0].device_kind}',
    'versions': versions.list_versions(),
    'command': versions.find_command(),
    'config': fields,
  }
