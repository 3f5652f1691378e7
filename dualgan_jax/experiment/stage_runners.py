"""The stages with a config and a folder: the method from teachers to results.

The steps proper, in `stages/`, know of no config and no file. `run_stages` is
the method on one page; each function below is one of its stages.
"""

import contextlib
import dataclasses
import functools

import jax
import numpy as np

from dualgan_jax.config import stage_table
from dualgan_jax.experiment import description, evaluation, real_data
from dualgan_jax.experiment.context import LastStageDone, RunContext
from dualgan_jax.experiment.nets import generator_phase
from dualgan_jax.experiment.outcomes import (
  LearnedBlocks,
  Model,
  Students,
  Teachers,
  TrainedGenerator,
)
from dualgan_jax.experiment.routing_decision import decide_routing
from dualgan_jax.method import branched
from dualgan_jax.method.frozen_generator import FrozenGenerator
from dualgan_jax.networks.classifier import join
from dualgan_jax.reporting import plots
from dualgan_jax.stages import (
  branch_points,
  distillation,
  dual,
  generator,
  pretrain,
  refine,
  replay_buffer,
)
from dualgan_jax.teachers.teacher import from_classifier
from dualgan_jax.training import console, parallel
from dualgan_jax.training.phase import adam

# Batches that branch losses are measured on.
_BRANCH_LOSS_BATCHES = 8
# The generator has learned already: half of stage `generator`'s rate.
_REFINED_GENERATOR_RATE = 1e-3
_USES_DATA = {stage.name for stage in stage_table.STAGES if stage.uses_data}


def run_stages(context: RunContext) -> None:
  """Runs the method, up to the last stage that is asked for.

  Args:
    context: of the run; stages that are finished in its folder are read.
  """
  run = context.run_stage
  with contextlib.suppress(LastStageDone):
    teachers = run('pretrain', pretrain_teachers)
    trained = run('generator', train_generator, teachers)
    blocks = run('dual', learn_blocks, teachers, trained)
    students = run('targetnet', regroup, teachers, trained, blocks)
    students = run('refine', refine_students, teachers, trained, students)
    baselines = run('baselines', train_baselines, teachers, trained)
    run('evaluate', evaluation.measure, teachers, trained, students, baselines)


def pretrain_teachers(context: RunContext) -> Teachers:
  """Trains the teachers that come from no file, each on its labels."""
  config, nets = context.config, context.nets
  # All data are read before anything is trained, in whichever stage.
  last = stage_table.NAMES.index(context.last_stage)
  waiting = {
    stage
    for stage in stage_table.NAMES[: last + 1]
    if not context.workdir.finished(stage)
  }
  splits = real_data.check(config) if waiting & _USES_DATA else {}
  # Teachers of one set share its images.
  load = functools.cache(
    lambda name: real_data.of_teacher(config, name, splits)
  )
  if 'pretrain' in waiting:
    for name in nets.classifiers:
      load(name)
  everyone = []
  for name, teacher in nets.teachers.items():
    if name not in nets.classifiers:
      everyone.append(teacher)
      continue
    phase = pretrain.phase(
      f'pretrain/{name}',
      nets.classifiers[name],
      config.image,
      functools.partial(load, name),
      steps=config.pretrain.steps,
      batch_size=config.pretrain.batch,
      optimiser=adam(config.pretrain.learning_rate, config.pretrain.steps),
    )
    state = context.train(phase)
    everyone.append(
      from_classifier(
        name,
        teacher.labels,
        nets.classifiers[name],
        join(state.params, state.batch_stats),
      )
    )
  return Teachers(
    tuple(everyone),
    tuple(everyone[m] for m in nets.label_map.relevant_teachers),
    nets.label_map.restrict_to_relevant(),
  )


def train_generator(
  context: RunContext, teachers: Teachers
) -> TrainedGenerator:
  """Trains the group-stack generator against all teachers, Eq. 2-11."""
  config, nets = context.config, context.nets
  is_finished = context.workdir.finished('generator')
  if not is_finished:
    for line in description.missing_prior(list(teachers.everyone), nets):
      console.say(line)
  is_routed, statistics_gaps = decide_routing(context, teachers.everyone)
  phase = generator_phase(nets, config, teachers.everyone, routed=is_routed)
  state = context.train(phase)
  frozen = FrozenGenerator(
    nets.generator,
    config.generator.noise,
    nets.label_map.relevant_teachers if is_routed else (),
    len(teachers.everyone),
    is_routed and config.objective.routing != 'images',
    join(state.params['generator'], state.batch_stats),
    state.params['filters'],
  )
  if parallel.is_first() and not is_finished:
    labels = nets.label_map.union
    plots.draw_samples(
      context.workdir.stage('generator') / 'samples.png',
      labels,
      *evaluation.samples(context, teachers.everyone, frozen, labels),
    )
  return TrainedGenerator(frozen, statistics_gaps)


def learn_blocks(
  context: RunContext, teachers: Teachers, trained: TrainedGenerator
) -> LearnedBlocks:
  """Trains the student T block by block on generated images, Eq. 12-16."""
  config, nets = context.config.dual, context.nets
  if not config.steps:
    init = jax.jit(lambda key: nets.student.init(key, nets.image))
    return LearnedBlocks(init(context.key('dual')), {})
  variables, filters = (), {}
  num_blocks = len(nets.student.blocks)
  for b in range(1, num_blocks + 1):
    phase = dual.phase(
      b,
      nets.student,
      teachers.relevant_labels,
      dual.BlockInputs(teachers.relevant, trained.frozen, variables),
      image_shape=nets.image,
      filter_start=config.filters,
      lambda_own=config.lambda_own,
      lambda_generated=config.lambda_generated,
      steps=config.steps,
      batch_size=config.batch,
      optimiser=adam(config.learning_rate, config.steps),
    )
    state = context.train(phase)
    variables += (join(state.params['block'], state.batch_stats),)
    if b < num_blocks:
      filters[f'block_{b}'] = state.params['filters']
    else:
      variables += (join(state.params['head'], {}),)
  return LearnedBlocks(variables, filters)


def regroup(
  context: RunContext,
  teachers: Teachers,
  trained: TrainedGenerator,
  blocks: LearnedBlocks,
) -> Students:
  """Regroups the blocks into TargetNets, and distils the teachers into them."""
  config, student = context.config.targetnet, context.nets.student
  starts = {'compact': (student.apply, blocks.variables, config.compact_steps)}
  losses, points = {}, {}
  if context.config.dual.steps:
    losses, points = measure_branch_points(context, teachers, trained, blocks)
    net, variables = branched.create(
      student.blocks,
      blocks.variables,
      [
        blocks.filters[f'block_{points[teacher.name]}'][teacher.name]
        for teacher in teachers.relevant
      ],
      teachers.relevant,
      [points[teacher.name] for teacher in teachers.relevant],
      teachers.relevant_labels,
      single_label=student.single_label,
      absent=trained.frozen.foreign_labels_absent,
    )
    starts['branched'] = (net.apply, variables, config.branched_steps)
  models = {}
  for name, (apply, start, steps) in starts.items():
    phase = distillation.phase(
      f'targetnet/{name}',
      apply,
      lambda key, start=start: start,
      distillation.draw_generated,
      teachers.relevant_labels,
      lambda: distillation.DistillationInputs(
        teachers.relevant, trained.frozen
      ),
      temperature=context.config.temperature,
      steps=steps,
      batch_size=config.batch,
      optimiser=adam(config.learning_rate, steps),
    )
    state = context.train(phase)
    models[name] = Model(apply, join(state.params, state.batch_stats))
  return Students(models, losses, points)


def measure_branch_points(
  context: RunContext,
  teachers: Teachers,
  trained: TrainedGenerator,
  blocks: LearnedBlocks,
) -> tuple[dict[str, list[float]], dict[str, int]]:
  """Measures L_d^{b,m} on generated images, and chooses branch points p_m.

  Returns:
    Losses, and points, by teacher's name.
  """
  config = context.config.targetnet
  frozen = dual.BlockInputs(teachers.relevant, trained.frozen, blocks.variables)
  measured = context.train(
    branch_points.branch_phase(
      context.nets.student,
      teachers.relevant_labels,
      branch_points.BranchPointInputs(frozen, blocks.filters),
      num_batches=_BRANCH_LOSS_BATCHES,
      batch_size=config.batch,
    )
  )
  losses = branch_points.branch_losses(measured)
  return losses, branch_points.choose_branch_points(
    losses, config.branch_tolerance
  )


def refine_students(
  context: RunContext,
  teachers: Teachers,
  trained: TrainedGenerator,
  students: Students,
) -> Students:
  """Refines the compact TargetNet against a generator that seeks its errors."""
  config, nets = context.config.refine, context.nets
  if not config.steps:
    return students
  before = students.models['compact']
  phase = refine.phase(
    nets.student,
    before.variables,
    trained.frozen,
    teachers.everyone,
    nets.label_map,
    dataclasses.replace(
      nets.loss_weights, routed=bool(trained.frozen.routed_teachers)
    ),
    image_shape=nets.image,
    temperature=context.config.temperature,
    adversarial_weight=config.disagreement,
    replay_buffer_size=config.pool_batches * config.batch,
    student_replays=config.replays,
    augmentation=replay_buffer.Augmentation(
      config.shift, config.flip, config.mixup
    ),
    steps=config.steps,
    batch_size=config.batch,
    optimisers={
      'generator': adam(
        _REFINED_GENERATOR_RATE, config.steps, b1=generator.ADAM_B1
      ),
      # For each of the generator's one on its images, and the replays.
      'student': adam(
        config.learning_rate, (1 + config.replays) * config.steps
      ),
    },
  )
  state = context.train(phase)
  refined = join(state.params['student'], state.batch_stats['student'])
  models = {
    **students.models,
    'compact_before_refine': before,
    'compact': Model(before.apply, refined),
  }
  return dataclasses.replace(students, models=models)


def train_baselines(
  context: RunContext, teachers: Teachers, trained: TrainedGenerator
) -> dict[str, Model]:
  """Trains the same student on noise and, if there are any, on real images."""
  config, nets = context.config.baselines, context.nets
  if not config.steps:
    return {}
  kinds = {
    'noise': (distillation.draw_noise, lambda: np.zeros(nets.image, np.float32))
  }
  if context.config.data:
    kinds['real_data'] = (
      distillation.draw_real,
      lambda: real_data.of_baseline(
        context.config,
        teachers.relevant,
        absent=trained.frozen.foreign_labels_absent,
      ),
    )
  models = {}
  for name, (draw, origin) in kinds.items():
    phase = distillation.phase(
      f'baselines/{name}',
      nets.student.apply,
      lambda key: nets.student.init(key, nets.image),
      draw,
      teachers.relevant_labels,
      lambda origin=origin: distillation.DistillationInputs(
        teachers.relevant, origin()
      ),
      temperature=context.config.temperature,
      steps=config.steps,
      batch_size=config.batch,
      optimiser=adam(config.learning_rate, config.steps),
    )
    state = context.train(phase)
    models[name] = Model(
      nets.student.apply, join(state.params, state.batch_stats)
    )
  return models
