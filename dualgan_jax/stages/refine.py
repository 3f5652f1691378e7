"""Stage `refine`: generator and student learn in turn, one against the other.

The generator's objective of stage `generator` stays. A reward joins it where
student and teachers disagree: data-free adversarial distillation (DFAD, Fang et
al. 2019, arXiv 1912.11006). For each generator step the student takes one step
on these images, and some on images of earlier steps (`replay_buffer`), which
are cheap beside the generator's. Replayed images are augmented. Without reward
and replays, both nets learn from each batch once, as in DAFL's code (Chen et
al., ICCV 2019).

A routed generator makes images for all teachers, also for irrelevant ones,
which answer no label of Y_cst: on these images all labels of Y_cst are absent.
"""

import dataclasses
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax
from flax import struct

from dualgan_jax import losses
from dualgan_jax.config.augmentation_group import Augmentation
from dualgan_jax.config.objective_group import Objective
from dualgan_jax.config.stage_table import Refine
from dualgan_jax.method import frozen_generator
from dualgan_jax.method.frozen_generator import FrozenGenerator
from dualgan_jax.method.labels import LabelMap
from dualgan_jax.method.teacher_draws import DrawnTeachers, TeacherDraws
from dualgan_jax.networks.classifier import Classifier, join, split
from dualgan_jax.stages import generated_picture
from dualgan_jax.stages.augmentation import draw_augmented
from dualgan_jax.stages.distillation import DistillationLoss
from dualgan_jax.stages.generator_loss import l_joint
from dualgan_jax.stages.replay_buffer import insert_batch
from dualgan_jax.teachers.teacher import Teacher
from dualgan_jax.training.phase import Metrics, Phase, TrainState, descend


@struct.dataclass
class RefineState(TrainState):
  """A state of two nets: its trees are {'generator': ..., 'student': ...}.

  Attributes:
    pool: the replay buffer, images of earlier steps, uint8 [size, h, w, c];
      sample i of step s is number s·N + i, and stands at that number modulo
      size.
  """

  pool: chex.Array


class _LearnerState(NamedTuple):
  """Trees of one of the two nets, a part of `RefineState`."""

  params: Any
  batch_stats: Any
  opt_state: Any


@dataclasses.dataclass(frozen=True)
class _Refinement:
  """Losses and steps of both nets; the fields are arguments of `phase`."""

  student: Classifier
  generator: FrozenGenerator
  num_teachers: int
  draws: TeacherDraws
  objective: Objective
  training: Refine
  augmentation: Augmentation
  temperature: float
  optimisers: dict[str, optax.GradientTransformation]
  distillation_loss: DistillationLoss

  def step(self, frozen: Any, state: Any) -> tuple[RefineState, Metrics]:
    """Takes one step of the generator, and then those of the student."""
    # One key per draw, so that a resumed run draws the same.
    key = jax.random.fold_in(state.key, state.step)
    draw_key, *replay_keys = jax.random.split(
      key, 1 + self.training.replay_steps
    )
    drawn = self.draws.draw(frozen['teachers'], state.key, state.step)
    generator, images, targets, metrics = self._generator_step(
      drawn, drawn.select_filters(frozen['filters']), state, draw_key
    )
    # Batches are counted: there may be more images than int32 holds.
    batch_size = self.training.batch
    buffer_batches = self.training.replay_buffer_batches
    first_row = state.step % buffer_batches * batch_size
    replay_buffer = insert_batch(state.pool, first_row, images)
    num_filled = jnp.minimum(state.step + 1, buffer_batches) * batch_size
    # The new images may be drawn, too, so that a first step has some.
    replayed_images = [
      draw_augmented(
        replay_buffer,
        num_filled,
        replay_key,
        batch_size,
        self.augmentation,
        self.num_teachers if self.generator.routed_teachers else 1,
      )
      for replay_key in replay_keys
    ]
    # The last replay's loss is the one that is logged.
    batches = [('loss', drawn, images, targets)]
    for replay_number, replayed in enumerate(replayed_images):
      drawn = self.draws.draw(
        frozen['teachers'], state.key, state.step, f'replay_{replay_number}'
      )
      replay_targets = self.generator.drawn_logits(drawn, replayed)
      batches.append(('replay_loss', drawn, replayed, replay_targets))
    # One step each, on the new images first.
    student = _learner(state, 'student')
    for metric, *batch in batches:
      student, metrics[metric] = self._student_step(student, *batch)
    # The trees of both, as `_learner` takes them apart.
    both = {'generator': generator, 'student': student}
    params, batch_stats, opt_state = (
      {name: getattr(learner, tree) for name, learner in both.items()}
      for tree in _LearnerState._fields
    )
    return RefineState(
      state.step + 1, state.key, params, batch_stats, opt_state, replay_buffer
    ), metrics

  def _generator_step(
    self,
    drawn: DrawnTeachers,
    filters: Any,
    state: RefineState,
    key: chex.PRNGKey,
  ) -> tuple[_LearnerState, chex.Array, chex.Array, Metrics]:
    """Moves the generator by one step.

    Returns:
      The generator's new trees; the images of before the step,
      [share, h, w, c]; the student's targets for them, logits
      [share, |Y_cst|]; and metrics.
    """
    generator, student = (
      _learner(state, 'generator'),
      _learner(state, 'student'),
    )
    grads, (batch_stats, images, targets, metrics) = jax.grad(
      self._generator_loss, has_aux=True
    )(
      generator.params,
      generator.batch_stats,
      join(student.params, student.batch_stats),
      drawn,
      filters,
      key,
    )
    params, opt_state, metrics = descend(
      self.optimisers['generator'],
      generator.params,
      generator.opt_state,
      grads,
      metrics,
    )
    learner = _LearnerState(params, batch_stats, opt_state)
    return learner, images, targets, metrics

  def _student_step(
    self,
    student: _LearnerState,
    drawn: DrawnTeachers,
    images: chex.Array,
    targets: chex.Array,
  ) -> tuple[_LearnerState, chex.Array]:
    """Moves the student by one step on images, and gives its mean loss."""
    # The images are data here: no gradient goes back to the generator.
    grad_fn = jax.value_and_grad(self._student_loss, has_aux=True)
    (loss, batch_stats), grads = grad_fn(
      student.params, student.batch_stats, drawn, images, targets
    )
    params, opt_state, loss = descend(
      self.optimisers['student'],
      student.params,
      student.opt_state,
      grads,
      loss,
    )
    return _LearnerState(params, batch_stats, opt_state), loss

  def _generator_loss(
    self, params, batch_stats, student_variables, drawn, filters, key
  ):
    """Computes L_joint (Eq. 11) minus the reward, on this device's share."""
    routed = bool(self.generator.routed_teachers)
    features, updated = self.generator.module.apply(
      join(params, batch_stats),
      frozen_generator.draw_latents(
        key,
        self.training.batch,
        self.generator.latent_dim,
        # All teachers, also those that answer no label of Y_cst.
        tuple(range(self.num_teachers)) if routed else (),
        self.num_teachers,
      ),
      train=True,
      mutable=['batch_stats'],
    )
    # I_g alone: the groups of Eq. 11 are not judged any more.
    images = features[-1]
    loss, (union_logits, metrics) = l_joint(
      (images,),
      filters,
      drawn.teachers,
      drawn.label_map,
      self.objective,
      routed=routed,
      drawn=bool(self.draws.per_step),
      label_share=drawn.label_share,
    )
    # At test time: the reward is for errors of the student as it is used.
    student_logits, _ = self.student.apply(
      student_variables, images, train=False
    )
    # `union_logits` count foreign labels as absent, if routed; not all
    # students are to learn them so.
    if routed and not self.generator.foreign_labels_absent:
      targets = self.generator.drawn_logits(drawn, images)
    else:
      targets = union_logits[:, drawn.label_map.customised_in_union]
    # Both sides carry gradient, and only the generator follows it; without the
    # reward, XLA leaves the way back through the student out.
    disagreement = losses.disagreement(
      drawn.select_columns(student_logits), targets
    )
    disagreement /= drawn.label_share  # a sum over labels, perhaps drawn ones
    reward_weight = self.training.adversarial_weight
    total = loss - reward_weight * disagreement if reward_weight else loss
    metrics = {
      'generator_loss': total,
      'disagreement': disagreement,
      **metrics,
    }
    return total, (updated['batch_stats'], images, targets, metrics)

  def _student_loss(self, params, batch_stats, drawn, images, targets):
    """Computes the distillation loss on this device's share."""
    logits, variables = self.student.apply(
      join(params, batch_stats), images, train=True
    )
    loss = self.distillation_loss(
      drawn.select_columns(logits), targets, temperature=self.temperature
    )
    return loss, split(variables)[1]


def phase(
  student: Classifier,
  student_variables: tuple[Any, ...],
  generator: FrozenGenerator,
  teachers: tuple[Teacher, ...],
  label_map: LabelMap,
  objective: Objective,
  training: Refine,
  augmentation: Augmentation,
  *,
  image_shape: tuple[int, int, int],
  temperature: float,
  optimisers: dict[str, optax.GradientTransformation],
  distillation_loss: DistillationLoss = losses.distillation,
  teachers_per_step: int = 0,
) -> Phase:
  """Trains generator and compact student in turn.

  Args:
    student: T.
    student_variables: of T, to start from.
    generator: to start from; the filters before the first teacher block, if
      there are any, stay as they are.
    teachers: all of them, frozen.
    label_map: the teachers in the same order.
    objective: of the generator; its groups are not judged any more.
    training: steps, batch, reward, and how much is replayed.
    augmentation: of replayed images.
    image_shape: (height, width, channels).
    temperature: of the student's loss.
    optimisers: for 'generator' and 'student'.
    distillation_loss: of the student, as in `distillation.phase`.
    teachers_per_step: as in `distillation.phase`.
  """
  pool_size = training.replay_buffer_batches * training.batch
  draws = TeacherDraws(label_map, teachers_per_step)
  refinement = _Refinement(
    student,
    generator,
    len(teachers),
    draws,
    objective,
    training,
    augmentation,
    temperature,
    optimisers,
    distillation_loss,
  )

  def init(key):
    params, batch_stats = (
      {'generator': generator.variables[kind], 'student': student_tree}
      for kind, student_tree in zip(
        ('params', 'batch_stats'), split(tuple(student_variables)), strict=True
      )
    )
    # Adam begins anew: the losses are others than before.
    opt_state = {
      name: optimiser.init(params[name])
      for name, optimiser in optimisers.items()
    }
    return RefineState(
      jnp.zeros((), jnp.int32),
      key,
      params,
      batch_stats,
      opt_state,
      jnp.zeros((pool_size, *image_shape), jnp.uint8),
    )

  # All teachers, also irrelevant ones: the generator is judged by them all.
  def make_frozen():
    return {'teachers': draws.arrange(teachers), 'filters': generator.filters}

  return Phase(
    'refine',
    training.steps,
    init,
    refinement.step,
    make_frozen,
    label_map.union,
    draw=generated_picture.make_draw(
      generator,
      lambda state: join(
        state.params['generator'], state.batch_stats['generator']
      ),
    ),
  )


def _learner(state: RefineState, name: str) -> _LearnerState:
  """Takes the trees of one net out of the state of both."""
  return _LearnerState(
    state.params[name], state.batch_stats[name], state.opt_state[name]
  )
