"""Stage `evaluate`: measures the models, and writes what people take away."""

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import ml_collections
import numpy as np

from dualgan_jax.config import stage_fields, stage_table
from dualgan_jax.errors import UserError
from dualgan_jax.experiment import real_data, versions
from dualgan_jax.experiment.context import RunContext
from dualgan_jax.experiment.outcomes import (
  Model,
  Students,
  Teachers,
  TrainedGenerator,
)
from dualgan_jax.method import discriminators, routing
from dualgan_jax.method.frozen_generator import FrozenGenerator
from dualgan_jax.reporting import cost, plots, report
from dualgan_jax.stages import distillation
from dualgan_jax.student import student
from dualgan_jax.teachers import forward
from dualgan_jax.teachers.teacher import Teacher
from dualgan_jax.training import console, parallel

if TYPE_CHECKING:
  from dualgan_jax.data.sources import Split

# Images drawn to be looked at.
_NUM_SAMPLES = 512


def measure(
  context: RunContext,
  teachers: Teachers,
  trained: TrainedGenerator,
  students: Students,
  baselines: Mapping[str, Model],
) -> None:
  """Measures all models of a run, and writes results, report and students.

  Here, and nowhere before, the test part of the data is opened.
  """
  if context.workdir.finished('evaluate'):
    return
  began = time.monotonic()
  config = context.config
  train_splits, test_splits = (
    [real_data.load(config, name, part) for name in config.data]
    for part in ('train', 'test')
  )
  scorer = _Scorer(config, test_splits)
  generated, ensemble_logits = samples(
    context, teachers.everyone, trained.frozen, config.labels
  )

  # Teachers first, together and alone, then what was trained here.
  rows = _measure_teachers(scorer, teachers)
  for name, model in {**students.models, **baselines}.items():
    answer = jax.jit(functools.partial(_answer, model.apply))
    logits = answer(model.variables, generated)
    agreement = distillation.agreement(logits, ensemble_logits)
    row = scorer.measure(name, answer, model.variables, config.labels)
    rows[name] = {**row, 'agreement': float(agreement)}
    scorer.logits.setdefault(name, logits)
  scorer.logits.setdefault('teachers', ensemble_logits)

  if parallel.is_first():
    plots.draw_samples(
      context.workdir.stage('evaluate') / 'samples.png',
      config.labels,
      generated,
      ensemble_logits,
      real=real_data.some(config, train_splits, _NUM_SAMPLES)
      if test_splits
      else None,
    )
  seconds = time.monotonic() - began
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
    _write_students(context, students, results)
    report.write(
      context.workdir.path, {key: results[key] for key in _RESULT_KEYS}
    )


# In the order in which `results.json` has them.
_RESULT_KEYS = (
  *('experiment', 'objective', 'oracle', 'seed', 'labels', 'images'),
  *('metrics', 'per_label', 'routed', 'misfits', 'branch_points'),
  *('branch_losses', 'seconds', 'devices', 'versions', 'config'),
)


class _Scorer:
  """Scores answers to the real test images, if there are any.

  Attributes:
    logits: by model, its answers to all test images.
  """

  def __init__(
    self, config: ml_collections.FrozenConfigDict, splits: Sequence['Split']
  ):
    from dualgan_jax.reporting import metrics  # scikit-learn takes a second

    self._metrics, self._config, self._splits = metrics, config, splits
    self.logits: dict[str, np.ndarray] = {}

  def measure(
    self,
    name: str,
    apply: Callable[..., Any],
    variables: Any,
    labels: Sequence[str],
  ) -> dict[str, Any]:
    """Measures a model: its scores, parameters and FLOPs.

    Args:
      name: of its row.
      apply: (variables, images) → logits [N, |labels|].
      variables: of the model.
      labels: that it answers.
    """
    image = jax.ShapeDtypeStruct((1, *self._config.image), np.float32)
    return {
      **self._score(name, apply, variables, labels),
      'params': cost.count_parameters(variables),
      'flops': cost.count_flops(apply, variables, image),
    }

  def per_label(self) -> Any:
    """Compares compact TargetNet and teachers label by label."""
    labels = self._config.labels
    return self._metrics.compare_per_label(
      labels,
      self.logits['compact'],
      self.logits['teachers'],
      self._targets(labels) if self._splits else None,
    )

  def _score(self, name, apply, variables, labels):
    if not self._splits:
      return dict.fromkeys(report.COLUMNS)
    logits = [
      self._metrics.compute_logits(
        apply, variables, split.images, self._config.image[:2]
      )
      for split in self._splits
    ]
    known = [np.isin(labels, split.label_names) for split in self._splits]
    extra = {}
    if len(known) > 1 and all(x.any() for x in known):
      extra['right_world'] = self._metrics.right_world_share(logits, known)
    self.logits[name] = np.concatenate(logits)
    targets = self._targets(labels)
    return {**self._metrics.compute_scores(self.logits[name], targets), **extra}

  def _targets(self, labels):
    """Gives 0 or 1 per test image and label, NaN where nobody knows."""
    columns = [split.label_targets(labels) for split in self._splits]
    targets = np.concatenate(columns)
    known = [np.isin(labels, split.label_names) for split in self._splits]
    targets[:, ~np.any(known, axis=0)] = np.nan
    return targets


def _measure_teachers(
  scorer: _Scorer, teachers: Teachers
) -> dict[str, dict[str, Any]]:
  """Measures the relevant teachers together, and each teacher alone."""
  labels = teachers.relevant_labels.customised

  def answer_together(variables, images):
    logits = [
      forward.tail(teacher, teacher_variables, images, 0)
      for teacher, teacher_variables in zip(
        teachers.relevant, variables, strict=True
      )
    ]
    owners = teachers.relevant_labels.owners(labels)
    return discriminators.combine_logits(logits, owners)

  variables = [teacher.variables for teacher in teachers.relevant]
  rows = {
    'teachers': scorer.measure('teachers', answer_together, variables, labels)
  }
  for teacher in teachers.everyone:
    rows[teacher.name] = scorer.measure(
      teacher.name,
      functools.partial(_answer_alone, teacher),
      teacher.variables,
      teacher.labels,
    )
  return rows


def _answer(apply, variables, images):
  return apply(variables, images, train=False)[0]


def _answer_alone(teacher, variables, images):
  return forward.tail(teacher, variables, images, 0)


def _describe_run(
  context: RunContext,
  trained: TrainedGenerator,
  students: Students,
  seconds: float,
) -> dict[str, Any]:
  """Says what a run was made with, and how long its stages took."""
  config = context.config
  earlier = [name for name in stage_table.NAMES if name != 'evaluate']
  fields = {}
  for stage in stage_fields.by_stage(config).values():
    fields.update(stage)
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
    'seconds': {
      **{name: context.workdir.seconds(name) for name in earlier},
      'evaluate': round(seconds, 1),
    },
    'devices': (f'{len(context.devices)} × {context.devices[0].device_kind}'),
    'versions': versions.list_versions(),
    'config': fields,
  }


def _write_students(
  context: RunContext, students: Students, results: Mapping[str, Any]
) -> None:
  """Writes the folders `student` and, if there is one, `branched`."""
  config, folder = context.config, context.workdir.path
  single_label = context.nets.student.single_label
  origin = {key: results[key] for key in ('experiment', 'objective', 'seed')}
  in_common = {
    'labels': config.labels,
    'image_shape': config.image,
    'origin': origin | results['versions'],
  }
  student.write(
    folder / 'student',
    students.models['compact'].variables,
    net={**config.student.to_dict(), 'single_label': single_label},
    **in_common,
  )
  if 'branched' not in students.models:
    return
  model = students.models['branched']
  try:
    student.write_program(
      folder / 'branched',
      functools.partial(_answer, model.apply),
      model.variables,
      net={
        'kind': 'branched',
        'points': students.branch_points,
        'single_label': single_label,
      },
      **in_common,
    )
  except UserError as e:  # all else is there
    console.say(f'evaluate: {e}')


def samples(
  context: RunContext,
  everyone: Sequence[Teacher],
  source: FrozenGenerator,
  labels: tuple[str, ...],
) -> tuple[np.ndarray, np.ndarray]:
  """Draws generated images, and the teachers' logits of some labels.

  If routed, the images are of teachers who are asked for one of them: on those
  of others none of these labels would be there.

  Args:
    context: of the run.
    everyone: all teachers.
    source: the trained generator.
    labels: to answer.

  Returns:
    Images [n, h, w, c] in [0, 1], and logits [n, |labels|].
  """
  label_map = dataclasses.replace(context.nets.label_map, customised=labels)
  relevant = tuple(everyone[m] for m in label_map.relevant_teachers)
  owners = label_map.restrict_to_relevant().owners(labels)
  rows = _NUM_SAMPLES - _NUM_SAMPLES % len(relevant)

  @jax.jit
  def draw(source, relevant, key):
    z = routing.condition_latents(
      jax.random.normal(key, (rows, source.latent_dim)),
      label_map.relevant_teachers if source.routed_teachers else (),
      source.num_teachers,
    )
    images = source.module.apply(source.variables, z, train=False)[-1]
    filtered_images = [source.filtered_image(t, images) for t in relevant]
    return images, discriminators.ensemble_logits(
      relevant, filtered_images, owners, routed=source.foreign_labels_absent
    )

  images, logits = draw(source, relevant, context.key('samples'))
  return np.asarray(images), np.asarray(logits)
