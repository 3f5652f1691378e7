"""Runs the stages that train the student: dual, targetnet and refine."""

import dataclasses

import jax
import numpy as np

from dualgan_jax.experiment.context import RunContext
from dualgan_jax.experiment.outcomes import (
  LearnedBlocks,
  Model,
  Students,
  Teachers,
  TrainedGenerator,
)
from dualgan_jax.method import branched
from dualgan_jax.networks.classifier import join
from dualgan_jax.stages import (
  branch_points,
  distillation,
  dual,
  generator,
  refine,
)
from dualgan_jax.training.phase import adam

# Number of batches that branch losses are measured on.
BRANCH_LOSS_BATCHES = 8


def learn_blocks(
  context: RunContext, teachers: Teachers, trained: TrainedGenerator
) -> LearnedBlocks:
  """Trains the student T block by block on generated images, Eq. 12-16.

  Args:
    context: context of the run.
    teachers: outcome of `pretrain`.
    trained: outcome of `generator`.
  """
  config, nets = context.config.dual, context.nets
  # Without the stage, the TargetNet starts from random parameters.
  if not config.steps:
    init = jax.jit(lambda key: nets.student.init(key, nets.image_shape))
    return LearnedBlocks(init(context.key('dual')), {})
  variables, filters = (), {}
  num_blocks = len(nets.student.blocks)
  # Each block learns on the features of the frozen blocks before it.
  for block_number in range(1, num_blocks + 1):
    phase = dual.phase(
      block_number,
      nets.student,
      teachers.relevant_labels,
      dual.BlockInputs(teachers.relevant_teachers, trained.frozen, variables),
      config,
      image_shape=nets.image_shape,
      optimiser=adam(config.learning_rate, config.steps),
    )
    state = context.train(phase)
    variables += (join(state.params['block'], state.batch_stats),)
    # The head follows the last block, and is trained with it, without filters.
    if block_number < num_blocks:
      filters[f'block_{block_number}'] = state.params['filters']
    else:
      variables += (join(state.params['head'], {}),)
  return LearnedBlocks(variables, filters)


def regroup_blocks(
  context: RunContext,
  teachers: Teachers,
  trained: TrainedGenerator,
  blocks: LearnedBlocks,
) -> Students:
  """Regroups the blocks into TargetNets, and distils the teachers into them.

  Args:
    context: context of the run.
    teachers: outcome of `pretrain`.
    trained: outcome of `generator`.
    blocks: outcome of `dual`.
  """
  config, student = context.config.targetnet, context.nets.student
  target_nets = {
    'compact': (student.apply, blocks.variables, config.compact_steps)
  }
  branch_losses, points_by_name = {}, {}
  # Only blocks that were trained one by one have filters to branch through.
  if context.config.dual.steps:
    branch_losses, points_by_name = measure_branch_points(
      context, teachers, trained, blocks
    )
    branched_net, variables = branched.create(
      student.blocks,
      blocks.variables,
      [
        blocks.filters[f'block_{points_by_name[teacher.name]}'][teacher.name]
        for teacher in teachers.relevant_teachers
      ],
      teachers.relevant_teachers,
      [points_by_name[teacher.name] for teacher in teachers.relevant_teachers],
      teachers.relevant_labels,
      single_label=student.single_label,
      absent=trained.frozen.foreign_labels_absent,
    )
    target_nets['branched'] = (
      branched_net.apply,
      variables,
      config.branched_steps,
    )
  # Each TargetNet starts from blocks that are trained already.
  models = {}
  for name, (apply, initial_variables, num_steps) in target_nets.items():
    phase = distillation.phase(
      f'targetnet/{name}',
      apply,
      lambda key, variables=initial_variables: variables,
      distillation.draw_generated,
      teachers.relevant_labels,
      lambda: distillation.DistillationInputs(
        teachers.relevant_teachers, trained.frozen
      ),
      context.config.augmentation,
      temperature=context.config.temperature,
      steps=num_steps,
      batch_size=config.batch,
      optimiser=adam(config.learning_rate, num_steps),
      distillation_loss=context.distillation_loss,
      teachers_per_step=context.config.teachers_per_step or 0,
    )
    state = context.train(phase)
    models[name] = Model(apply, join(state.params, state.batch_stats))
  return Students(models, branch_losses, points_by_name)


def measure_branch_points(
  context: RunContext,
  teachers: Teachers,
  trained: TrainedGenerator,
  blocks: LearnedBlocks,
) -> tuple[dict[str, list[float]], dict[str, int]]:
  """Measures L_d^{b,m} on generated images, and chooses branch points p_m.

  Args:
    context: context of the run.
    teachers: outcome of `pretrain`.
    trained: outcome of `generator`.
    blocks: outcome of `dual`.

  Returns:
    By teacher's name, the losses of each block, and the branch point.
  """
  config = context.config.targetnet
  frozen = dual.BlockInputs(
    teachers.relevant_teachers, trained.frozen, blocks.variables
  )
  # Nothing is trained here: the phase only sums up losses.
  state = context.train(
    branch_points.branch_phase(
      context.nets.student,
      teachers.relevant_labels,
      branch_points.BranchPointInputs(frozen, blocks.filters),
      num_batches=BRANCH_LOSS_BATCHES,
      batch_size=config.batch,
    )
  )
  branch_losses = branch_points.branch_losses(state)
  return branch_losses, branch_points.choose_branch_points(
    branch_losses, config.branch_tolerance
  )


def refine_students(
  context: RunContext,
  teachers: Teachers,
  trained: TrainedGenerator,
  students: Students,
) -> Students:
  """Refines the compact TargetNet against a generator that seeks its errors.

  The branched TargetNet then learns from images that this generator has made.

  Args:
    context: context of the run.
    teachers: outcome of `pretrain`.
    trained: outcome of `generator`.
    students: outcome of `targetnet`.

  Returns:
    The students, with the refined ones in their places; unchanged if the stage
    has no steps.
  """
  config, nets = context.config.refine, context.nets
  if not config.steps:
    return students
  unrefined_model = students.models['compact']
  phase = refine.phase(
    nets.student,
    unrefined_model.variables,
    trained.frozen,
    teachers.all_teachers,
    nets.label_map,
    context.config.objective,
    config,
    context.config.augmentation,
    image_shape=nets.image_shape,
    temperature=context.config.temperature,
    optimisers={
      'generator': adam(
        config.generator_learning_rate,
        config.steps,
        b1=generator.ADAM_B1,
      ),
      # Per step of the generator, one on its images, and some on replays.
      'student': adam(
        config.learning_rate, (1 + config.replay_steps) * config.steps
      ),
    },
    distillation_loss=context.distillation_loss,
    teachers_per_step=context.config.teachers_per_step or 0,
  )
  state = context.train(phase)
  refined_variables = join(
    state.params['student'], state.batch_stats['student']
  )
  models = dict(students.models)
  # The results show what the refinement has gained, on a student that knew
  # something before it.
  if context.config.targetnet.compact_steps or context.config.dual.steps:
    models['compact_before_refine'] = unrefined_model
  models['compact'] = Model(unrefined_model.apply, refined_variables)
  if 'branched' in models and config.branched_steps:
    models['branched'] = _refine_branched(
      context, teachers, trained, models['branched'], state.pool
    )
  refined_generator = trained.frozen.replace(
    variables=join(state.params['generator'], state.batch_stats['generator'])
  )
  return dataclasses.replace(
    students, models=models, generator=refined_generator
  )


def _refine_branched(
  context: RunContext,
  teachers: Teachers,
  trained: TrainedGenerator,
  model: Model,
  replay_buffer: np.ndarray,
) -> Model:
  """Trains the branched TargetNet on the replay buffer of the compact one."""
  config = context.config.refine
  num_batches = min(config.steps, config.replay_buffer_batches)
  stored_images = replay_buffer[: num_batches * config.batch]
  phase = distillation.phase(
    'refine/branched',
    model.apply,
    lambda key: model.variables,
    distillation.draw_stored,
    context.nets.label_map,
    lambda: distillation.DistillationInputs(
      teachers.all_teachers,
      distillation.StoredImages(stored_images, trained.frozen),
    ),
    context.config.augmentation,
    temperature=context.config.temperature,
    steps=config.branched_steps,
    batch_size=config.batch,
    optimiser=adam(config.learning_rate, config.branched_steps),
    distillation_loss=context.distillation_loss,
  )
  state = context.train(phase)
  return Model(model.apply, join(state.params, state.batch_stats))
