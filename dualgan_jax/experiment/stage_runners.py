"""Runs the stages of the method, with a config and a folder.

`run_stages` is the method on one page, from teachers to results; each function
that it names runs a stage. The training steps, in `stages/`, know neither
config nor files.
"""

import contextlib
import dataclasses
import functools

import numpy as np

from dualgan_jax.config import stage_table
from dualgan_jax.experiment import (
  description,
  evaluation,
  generated_samples,
  real_data,
)
from dualgan_jax.experiment.context import LastStageDone, RunContext
from dualgan_jax.experiment.nets import generator_phase, preparation_of
from dualgan_jax.experiment.outcomes import (
  Model,
  Teachers,
  TrainedGenerator,
)
from dualgan_jax.experiment.routing_decision import decide_routing
from dualgan_jax.experiment.student_runners import (
  learn_blocks,
  refine_students,
  regroup_blocks,
)
from dualgan_jax.method.frozen_generator import FrozenGenerator
from dualgan_jax.networks.classifier import join
from dualgan_jax.reporting import plots
from dualgan_jax.stages import distillation, pretrain
from dualgan_jax.training import console, parallel
from dualgan_jax.training.phase import adam

_DATA_STAGES = {stage.name for stage in stage_table.STAGES if stage.uses_data}


def run_stages(context: RunContext) -> None:
  """Runs the method, up to the last stage that was requested.

  Args:
    context: context of the run; stages that are finished in its folder are
      read.
  """
  run = context.run_stage
  with contextlib.suppress(LastStageDone):
    teachers = run('pretrain', pretrain_teachers)
    trained = run('generator', train_generator, teachers)
    blocks = run('dual', learn_blocks, teachers, trained)
    students = run('targetnet', regroup_blocks, teachers, trained, blocks)
    students = run('refine', refine_students, teachers, trained, students)
    baselines = run('baselines', train_baselines, teachers, trained)
    run('evaluate', evaluation.measure, teachers, trained, students, baselines)


def pretrain_teachers(context: RunContext) -> Teachers:
  """Trains the teachers that do not exist yet, each on its labels.

  Args:
    context: context of the run.
  """
  config, nets = context.config, context.nets
  # All data are read before anything is trained, in whichever stage.
  num_stages = stage_table.NAMES.index(context.last_stage) + 1
  unfinished_stages = {
    stage
    for stage in stage_table.NAMES[:num_stages]
    if not context.workdir.finished(stage)
  }
  splits = real_data.check(config) if unfinished_stages & _DATA_STAGES else {}
  # A cached load serves the check before the first training, and the training.
  load = functools.cache(
    lambda name: real_data.load_for_teacher(config, name, splits)
  )
  # A fault in the last teacher's data would show after the first trainings.
  if 'pretrain' in unfinished_stages:
    for name in nets.classifiers:
      load(name)
  all_teachers, phases_by_net = [], {}
  for name, teacher in nets.teachers.items():
    # Teachers from files and from callers are ready.
    if name not in nets.classifiers:
      all_teachers.append(teacher)
      continue
    # Teachers of one net share the step, and so its compiled program.
    net = (
      nets.classifiers[name],
      preparation_of(name, config.teachers[name], config.image_shape),
    )
    if net not in phases_by_net:
      phases_by_net[net] = pretrain.phase(
        f'pretrain/{name}',
        *net,
        functools.partial(load, name),
        config.pretrain,
        adam(config.pretrain.learning_rate, config.pretrain.steps),
      )
    phase = dataclasses.replace(
      phases_by_net[net],
      name=f'pretrain/{name}',
      frozen=functools.partial(load, name),
    )
    state = context.train(phase)
    variables = join(state.params, state.batch_stats)
    all_teachers.append(dataclasses.replace(teacher, variables=variables))
  return Teachers(
    tuple(all_teachers),
    tuple(all_teachers[index] for index in nets.label_map.relevant_teachers),
    nets.label_map.restrict_to_relevant(),
  )


def train_generator(
  context: RunContext, teachers: Teachers
) -> TrainedGenerator:
  """Trains the group-stack generator against all teachers, Eq. 2-11.

  Args:
    context: context of the run.
    teachers: outcome of `pretrain`.
  """
  config, nets = context.config, context.nets
  is_finished = context.workdir.finished('generator')
  if not is_finished:
    for line in description.list_missing_priors(config, teachers.all_teachers):
      console.say(line)
  # Whether images are routed is part of the phase, so it comes first.
  is_routed, statistics_gaps = decide_routing(context, teachers.all_teachers)
  phase = generator_phase(
    nets, config, teachers.all_teachers, is_routed=is_routed
  )
  state = context.train(phase)
  frozen = FrozenGenerator(
    nets.generator,
    config.generator.latent_dim,
    nets.label_map.relevant_teachers if is_routed else (),
    len(teachers.all_teachers),
    is_routed and config.objective.routing != 'images',
    join(state.params['generator'], state.batch_stats),
    state.params['filters'],
  )
  # Hours before the evaluation, the images show whether the training goes well.
  if config.generator.steps and parallel.is_first() and not is_finished:
    # The student's first; a generator may serve students of other labels, too.
    labels = tuple(dict.fromkeys((*config.labels, *nets.label_map.union)))
    plots.draw_samples(
      context.workdir.stage('generator') / 'samples.png',
      labels,
      *generated_samples.draw_samples(
        context, teachers.all_teachers, (frozen,), labels
      ),
    )
  return TrainedGenerator(frozen, statistics_gaps)


def train_baselines(
  context: RunContext, teachers: Teachers, trained: TrainedGenerator
) -> dict[str, Model]:
  """Trains the same student on noise and, if there are any, on real images.

  Args:
    context: context of the run.
    teachers: outcome of `pretrain`.
    trained: outcome of `generator`.

  Returns:
    The models, by their names in the results.
  """
  config, nets = context.config.baselines, context.nets
  if not config.enabled or not config.steps:
    return {}
  # By name, how a batch is drawn, and from which origin.
  baselines = {
    'noise': (
      distillation.draw_noise,
      lambda: np.zeros(nets.image_shape, np.float32),
    )
  }
  if context.config.data:
    # A function, so that images are read when the training begins.
    baselines['real_data'] = (
      distillation.draw_real,
      lambda: real_data.load_for_baseline(
        context.config,
        teachers.relevant_teachers,
        foreign_labels_absent=trained.frozen.foreign_labels_absent,
      ),
    )
  models = {}
  for name, (draw, make_origin) in baselines.items():
    phase = distillation.phase(
      f'baselines/{name}',
      nets.student.apply,
      lambda key: nets.student.init(key, nets.image_shape),
      draw,
      teachers.relevant_labels,
      lambda make_origin=make_origin: distillation.DistillationInputs(
        teachers.relevant_teachers, make_origin()
      ),
      context.config.augmentation,
      temperature=context.config.temperature,
      steps=config.steps,
      batch_size=config.batch,
      optimiser=adam(config.learning_rate, config.steps),
      distillation_loss=context.distillation_loss,
      teachers_per_step=context.config.teachers_per_step or 0,
    )
    state = context.train(phase)
    models[name] = Model(
      nets.student.apply, join(state.params, state.batch_stats)
    )
  return models
