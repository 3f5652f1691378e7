"""Measures the models of a run, and writes results, report and students."""

import dataclasses
import functools
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from dualgan_jax.config import stage_fields, stage_table, training_budget
from dualgan_jax.errors import UserError
from dualgan_jax.experiment import ensemble_rows, real_data, versions
from dualgan_jax.experiment.context import RunContext
from dualgan_jax.experiment.outcomes import (
  Model,
  Students,
  Teachers,
  TrainedGenerator,
)
from dualgan_jax.experiment.scorer import Scorer
from dualgan_jax.method import discriminators, routing
from dualgan_jax.method.frozen_generator import FrozenGenerator
from dualgan_jax.reporting import plots, report
from dualgan_jax.stages import distillation
from dualgan_jax.student import generated_images, student
from dualgan_jax.student.model_card import CardFacts, Evaluation
from dualgan_jax.teachers import forward
from dualgan_jax.teachers.teacher import Teacher
from dualgan_jax.training import console, parallel

# Images drawn for the pictures, and for the agreement with the teachers.
_NUM_SAMPLES = 512
_NUM_STORED = 256  # of these images
# Keys of `results.json`, in their order.
_RESULT_KEYS = (
  *('experiment', 'objective', 'oracle', 'seed', 'labels', 'images'),
  *('metrics', 'per_label', 'routed', 'misfits', 'branch_points'),
  *('branch_losses', 'student_steps', 'generated_images', 'seconds'),
  *('devices', 'versions', 'config'),
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
  images, ensemble_logits = draw_samples(
    context, teachers.all_teachers, generator, config.labels
  )

  # The order of the rows is that of the tables: teachers come first.
  rows = _measure_teachers(scorer, teachers)
  count_images = functools.partial(real_data.count_images, config, train_splits)
  rows |= ensemble_rows.measure(scorer, config, teachers, count_images)
  for name, model in {**students.models, **baselines}.items():
    answer = jax.jit(functools.partial(_model_logits, model.apply))
    logits = answer(model.variables, images)
    # Of trained models only: teachers agree with themselves.
    agreement = distillation.agreement(logits, ensemble_logits)
    row = scorer.measure(name, answer, model.variables, config.labels)
    rows[name] = {**row, 'agreement': float(agreement)}
    scorer.logits.setdefault(name, logits)
  scorer.logits.setdefault('teachers', ensemble_logits)

  # Of several processes, only the first writes into the folder.
  if parallel.is_first():
    _write_samples(
      context,
      images,
      ensemble_logits,
      real_data.sample(config, train_splits, _NUM_SAMPLES)
      if test_splits
      else None,
    )
  # The results state the seconds, so what follows is not counted.
  seconds = time.monotonic() - start_time
  context.add_seconds(seconds)
  results = {
    **_describe_run(context, trained, students, seconds),
    'images': {
      name: {'train': len(train.images), 'test': len(test.images)}
      for name, train, test in zip(
        config.data, train_splits, test_splits, strict=True
      )
    },
    'metrics': rows,
    'per_label': scorer.per_label(),
  }
  if parallel.is_first():
    card_facts = _gather_card_facts(context, teachers, scorer, results)
    _write_students(context, students, results, card_facts)
    report.write(
      context.workdir.path, {key: results[key] for key in _RESULT_KEYS}
    )
    context.log_results(results)


def _write_samples(
  context: RunContext,
  images: np.ndarray,
  ensemble_logits: np.ndarray,
  real_images: Any,
) -> None:
  """Writes generated images, as a picture and for a quantised student."""
  folder = context.workdir.stage('evaluate')
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


def _measure_teachers(
  scorer: Scorer, teachers: Teachers
) -> dict[str, dict[str, Any]]:
  """Measures the ensemble of the relevant teachers, and each teacher."""
  labels = teachers.relevant_labels.customised

  def answer_as_ensemble(variables, images):
    logits = [
      forward.tail(teacher, teacher_variables, images, 0)
      for teacher, teacher_variables in zip(
        teachers.relevant_teachers, variables, strict=True
      )
    ]
    label_columns = teachers.relevant_labels.owners(labels)
    return discriminators.combine_logits(logits, label_columns)

  variables = [teacher.variables for teacher in teachers.relevant_teachers]
  rows = {
    'teachers': scorer.measure(
      'teachers', answer_as_ensemble, variables, labels
    )
  }
  for teacher in teachers.all_teachers:
    rows[teacher.name] = scorer.measure(
      teacher.name,
      functools.partial(forward.tail, teacher, after=0),
      teacher.variables,
      teacher.labels,
    )
  return rows


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
    'config': fields,
  }


def _gather_card_facts(
  context: RunContext,
  teachers: Teachers,
  scorer: Scorer,
  results: Mapping[str, Any],
) -> CardFacts:
  """Gathers what the student's model card says of the run."""
  student_scores = results['metrics']['compact']
  intervals = scorer.intervals('compact', student_scores)
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


def draw_samples(
  context: RunContext,
  all_teachers: Sequence[Teacher],
  generator: FrozenGenerator,
  labels: tuple[str, ...],
) -> tuple[np.ndarray, np.ndarray]:
  """Draws generated images, and the teachers' logits of some labels.

  If routed, each image belongs to a teacher that answers one of the labels: an
  image of another teacher would show none of them.

  Args:
    context: context of the run.
    all_teachers: all teachers, in the config's order.
    generator: the trained generator.
    labels: the labels that logits are returned of.

  Returns:
    Images [N, height, width, channels] in [0, 1], and logits [N, |labels|].
  """
  label_map = dataclasses.replace(context.nets.label_map, customised=labels)
  relevant_teachers = tuple(
    all_teachers[index] for index in label_map.relevant_teachers
  )
  label_columns = label_map.restrict_to_relevant().owners(labels)
  # Every teacher gets as many images.
  num_images = _NUM_SAMPLES - _NUM_SAMPLES % len(relevant_teachers)

  @jax.jit
  def draw(generator, relevant_teachers, key):
    latents = routing.condition_latents(
      jax.random.normal(key, (num_images, generator.latent_dim)),
      label_map.relevant_teachers if generator.routed_teachers else (),
      generator.num_teachers,
    )
    images = generator.module.apply(generator.variables, latents, train=False)[
      -1
    ]
    filtered_images = [
      generator.filtered_image(teacher, images) for teacher in relevant_teachers
    ]
    return images, discriminators.ensemble_logits(
      relevant_teachers,
      filtered_images,
      label_columns,
      routed=generator.foreign_labels_absent,
    )

  images, logits = draw(generator, relevant_teachers, context.key('samples'))
  return np.asarray(images), np.asarray(logits)
