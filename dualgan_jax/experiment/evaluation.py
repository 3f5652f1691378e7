"""Measures the models of a run, and writes results, report and students."""

import functools
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from dualgan_jax.config import stage_fields, stage_table, training_budget
from dualgan_jax.errors import UserError
from dualgan_jax.experiment import (
  ensemble_rows,
  generated_samples,
  real_data,
  teacher_rows,
  versions,
)
from dualgan_jax.experiment.context import RunContext
from dualgan_jax.experiment.outcomes import (
  Model,
  Students,
  Teachers,
  TrainedGenerator,
)
from dualgan_jax.experiment.scorer import Scorer
from dualgan_jax.reporting import diagnosis, plots, report
from dualgan_jax.stages import distillation
from dualgan_jax.student import generated_images, student
from dualgan_jax.student.model_card import CardFacts, Evaluation
from dualgan_jax.training import console, parallel

if TYPE_CHECKING:
  from dualgan_jax.data.sources import Split

_NUM_STORED = 256  # images, of those that are drawn
# Keys of `results.json`, in their order.
_RESULT_KEYS = (
  *('experiment', 'objective', 'oracle', 'seed', 'labels', 'images'),
  *('diagnosis', 'metrics', 'intervals', 'per_label', 'confusion'),
  *('calibration', 'routed', 'misfits', 'branch_points', 'branch_losses'),
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
  generator = students.generator or trained.frozen
  images, ensemble_logits = generated_samples.draw_samples(
    context, teachers.all_teachers, generator, config.labels
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

  # Of several processes, only the first writes into the folder.
  if parallel.is_first():
    _write_samples(context, images, ensemble_logits, train_splits)
  owner_logits = generated_samples.owner_logits(
    context, teachers.all_teachers, generator, images
  )
  findings = diagnosis.examine(
    config.labels, generated_answers['compact'], ensemble_logits, owner_logits
  )
  measurements = {
    'images': _count_images(config.data, train_splits, test_splits),
    'metrics': rows,
    'intervals': scorer.all_intervals(rows, teachers.all_teachers),
    'per_label': scorer.per_label(),
    **scorer.answer_tables(rows['compact']),
    'diagnosis': diagnosis.diagnose(findings, diagnosis.kept_share(rows)),
  }
  # The results state the seconds, so what follows is not counted.
  seconds = time.monotonic() - start_time
  context.add_seconds(seconds)
  results = {
    **_describe_run(context, trained, students, seconds),
    **measurements,
  }
  if parallel.is_first():
    card_facts = _gather_card_facts(context, teachers, results)
    _write_students(context, students, results, card_facts)
    report.write(
      context.workdir.path, {key: results[key] for key in _RESULT_KEYS}
    )
    context.log_results(results)


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
  generated_images.write(
    folder / generated_images.NAME,
    images[:_NUM_STORED],
    ensemble_logits[:_NUM_STORED],
  )


def _measure_model(
  scorer: Scorer,
  name: str,
  model: Model,
  labels: tuple[str, ...],
  images: np.ndarray,
  ensemble_logits: np.ndarray,
) -> tuple[dict[str, Any], np.ndarray]:
  """Measures a trained model, and returns its logits of generated images."""
  answer = jax.jit(functools.partial(_model_logits, model.apply))
  logits = np.asarray(answer(model.variables, images))
  # Of trained models only: teachers agree with themselves.
  agreement = distillation.agreement(logits, ensemble_logits)
  row = scorer.measure(name, answer, model.variables, labels)
  scorer.logits.setdefault(name, logits)
  return {**row, 'agreement': float(agreement)}, logits


def _model_logits(apply, variables, images):
  """Returns the logits of a model, without its updated variables."""
  return apply(variables, images, train=False)[0]


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


def _gather_card_facts(
  context: RunContext,
  teachers: Teachers,
  results: Mapping[str, Any],
) -> CardFacts:
  """Gathers what the student's model card says of the run."""
  student_scores = results['metrics']['compact']
  intervals = results['intervals'].get('compact', {})
  return CardFacts(
    teachers={
      teacher.name: teacher.labels for teacher in teachers.relevant_teachers
    },
    evaluation=Evaluation(
      num_images=sum(count['test'] for count in results['images'].values()),
      scores={
        metric: (student_scores[metric], *interval)
        for metric, interval in intervals.items()
      },
      teachers={
        metric: results['metrics']['teachers'][metric] for metric in intervals
      },
    ),
    oracle=context.config.objective.oracle,
  )


def _write_students(
  context: RunContext,
  students: Students,
  results: Mapping[str, Any],
  card_facts: CardFacts,
) -> None:
  """Writes the folders `student` and, if there is one, `branched`."""
  config, folder = context.config, context.workdir.path
  single_label = context.nets.student.single_label
  # A folder that is copied away must still say which run it comes from.
  origin = {key: results[key] for key in ('experiment', 'objective', 'seed')}
  common_arguments = {
    'labels': config.labels,
    'image_shape': config.image_shape,
    'origin': origin | results['versions'],
  }
  # Versions without `hidden_widths` read the folders that do not need it.
  unneeded = set() if config.student.hidden_widths else {'hidden_widths'}
  # The compact net is one of ours, so its folder needs no exported code.
  student.write(
    folder / 'student',
    students.models['compact'].variables,
    net={
      **config.student.model_dump(exclude=unneeded),
      'single_label': single_label,
    },
    card_facts=card_facts,
    **common_arguments,
  )
  if 'branched' not in students.models:
    return
  # The branched net holds blocks of teachers, which may be a user's code, so
  # it is exported as a program.
  branched_model = students.models['branched']
  try:
    student.write_program(
      folder / 'branched',
      functools.partial(_model_logits, branched_model.apply),
      branched_model.variables,
      net={
        'kind': 'branched',
        'points': students.branch_points,
        'single_label': single_label,
      },
      **common_arguments,
    )
  # A teacher whose code cannot be exported costs no other result.
  except UserError as error:
    console.say(f'evaluate: {error}')
