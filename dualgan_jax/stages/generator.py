"""Stage `generator`: the group-stack GAN, Eq. 2-11.

All groups and all filters learn together under Eq. 11 over the union of all
labels; the teachers stay frozen. Y_cst does not enter: one trained generator
serves every Y_cst.
"""

import functools
from collections.abc import Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import optax

from dualgan_jax.config import stage_table
from dualgan_jax.config.objective_group import Objective
from dualgan_jax.method import discriminators
from dualgan_jax.method.frozen_generator import FrozenGenerator
from dualgan_jax.method.labels import LabelMap
from dualgan_jax.method.teacher_draws import TeacherDraws
from dualgan_jax.networks.classifier import join
from dualgan_jax.networks.generator import Generator
from dualgan_jax.stages import generated_picture
from dualgan_jax.stages.generator_loss import l_joint
from dualgan_jax.teachers.forward import feature_shapes
from dualgan_jax.teachers.teacher import Teacher
from dualgan_jax.training.phase import (
  Phase,
  first_state,
  train_step,
)

# Adam's decay of the mean gradient, lower than usual, as for most GANs.
ADAM_B1 = 0.5


def phase(
  name: str,
  generator: Generator,
  teachers: Sequence[Teacher],
  label_map: LabelMap,
  objective: Objective,
  training: stage_table.Generator,
  *,
  routed: bool,
  image_shape: tuple[int, int, int],
  optimiser: optax.GradientTransformation,
  teachers_per_step: int = 0,
) -> Phase:
  """Trains generator and filters under `l_joint`.

  The state's params are {'generator': ..., 'filters': {teacher's name:
  {'group_j': ..., 'image': ...}}}, each only if `objective` asks for it. Where
  teachers are drawn, 'filters' is {'group_j': ..., 'image': ...} with leaves
  [M, ...].

  Args:
    name: the phase's.
    generator: its last group makes images of `image_shape`.
    teachers: frozen.
    label_map: the teachers in the same order.
    objective: weights and forms of the loss.
    training: steps, batch and size of z's random part.
    routed: whether each image belongs to one teacher (`method.routing`).
    image_shape: (height, width, channels).
    optimiser: of generator and filters.
    teachers_per_step: number of teachers that a step draws on each device
      (`method.teacher_draws`), without routing; 0 for all of them.
  """
  routed_teachers = tuple(range(len(teachers))) if routed else ()
  untrained = FrozenGenerator(
    generator, training.latent_dim, routed_teachers, len(routed_teachers)
  )
  draws = TeacherDraws(label_map, teachers_per_step)

  def init(key):
    # A routed generator gets the teacher's one-hot beside z.
    latents = jnp.zeros((1, training.latent_dim + len(routed_teachers)))
    variables = generator.init(jax.random.fold_in(key, 0), latents, train=False)
    filters = _init_all_filters(
      key, teachers, generator, image_shape, objective, draws
    )
    params = {'generator': variables['params'], 'filters': filters}
    return first_state(key, params, variables['batch_stats'], optimiser)

  def step(frozen, state):
    drawn = draws.draw(frozen, state.key, state.step)

    def loss_fn(params, batch_stats, key):
      # F_g^1 .. F_g^B of fresh noise, Eq. 2 and 3.
      features, updated = generator.apply(
        join(params['generator'], batch_stats),
        untrained.latents(key, training.batch),
        train=True,
        mutable=['batch_stats'],
      )
      # Without the first groups L_joint is L_gan, Eq. 8, and the prior.
      if not objective.groups:
        features = features[-1:]
      loss, (_, metrics) = l_joint(
        features,
        drawn.select_filters(params['filters']),
        drawn.teachers,
        drawn.label_map,
        objective,
        routed=routed,
        drawn=bool(teachers_per_step),
        label_share=drawn.label_share,
      )
      return loss, (updated['batch_stats'], metrics)

    return train_step(loss_fn, optimiser, state)

  return Phase(
    name,
    training.steps,
    init,
    step,
    lambda: draws.arrange(teachers),
    label_map.union,
    # No step judges the labels of all of them, if they are drawn.
    {} if teachers_per_step else _label_indices(label_map),
    generated_picture.make_draw(
      untrained,
      lambda state: join(state.params['generator'], state.batch_stats),
    ),
  )


def _label_indices(label_map: LabelMap) -> dict[str, list[int]]:
  """Lists the indices of each teacher's labels in the union, by its name."""
  return {
    name: [label_map.union.index(label) for label in labels]
    for name, labels in label_map.teachers
  }


def _init_all_filters(
  key: chex.PRNGKey,
  teachers: Sequence[Teacher],
  generator: Generator,
  image_shape: tuple[int, int, int],
  objective: Objective,
  draws: TeacherDraws,
) -> dict[str, Any]:
  """Initialises the filters of all teachers, as `phase` names them."""

  def init_filters(teacher, teacher_number):
    teacher_key = jax.random.fold_in(key, teacher_number)
    return _init_filters(
      teacher_key, teacher, generator, image_shape, objective
    )

  # Teachers that are drawn have filters of the same shapes.
  if draws.per_step:
    return jax.vmap(functools.partial(init_filters, teachers[0]))(
      jnp.arange(1, len(teachers) + 1)
    )
  return {
    teacher.name: init_filters(teacher, teacher_number)
    for teacher_number, teacher in enumerate(teachers, start=1)
  }


def _init_filters(
  key: chex.PRNGKey,
  teacher: Teacher,
  generator: Generator,
  image_shape: tuple[int, int, int],
  objective: Objective,
) -> dict[str, Any]:
  """Initialises f_m^1 .. f_m^B of one teacher, Eq. 9, as `phase` names them."""
  shapes = feature_shapes(teacher, image_shape)
  num_blocks = len(shapes)
  # F_g^j enters the teacher after its block B - j.
  filters = {
    f'group_{group}': discriminators.init_filter(
      jax.random.fold_in(key, group),
      generator.channels[group - 1],
      shapes[num_blocks - group - 1][-1],
    )
    for group in range(1, num_blocks if objective.groups else 1)
  }
  # f_m^B stands before the whole teacher.
  if objective.image_filter:
    filters['image'] = discriminators.init_filter(
      jax.random.fold_in(key, num_blocks), image_shape[-1], image_shape[-1]
    )
  return filters
