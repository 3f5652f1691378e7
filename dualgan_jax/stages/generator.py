"""Stage `generator`: the group-stack GAN, Eq. 2-11.

All groups and all filters learn together under Eq. 11 over the union of all
labels; the teachers stay frozen. Y_cst does not enter: one trained generator
serves every Y_cst.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax

from dualgan_jax.method import discriminators
from dualgan_jax.method.frozen_generator import draw_noise
from dualgan_jax.method.labels import LabelMap
from dualgan_jax.networks.classifier import join
from dualgan_jax.networks.generator import Generator
from dualgan_jax.stages.generator_loss import Objective, l_joint
from dualgan_jax.teachers.forward import feature_shapes
from dualgan_jax.teachers.teacher import Teacher
from dualgan_jax.training.phase import Phase, first_state, train_step

# Adam's decay of the mean gradient, lower than usual, as for most GANs.
ADAM_B1 = 0.5


def phase(
  name: str,
  generator: Generator,
  teachers: Sequence[Teacher],
  label_map: LabelMap,
  objective: Objective,
  *,
  image: tuple[int, int, int],
  noise: int,
  steps: int,
  batch: int,
  optimiser: optax.GradientTransformation,
) -> Phase:
  """Trains generator and filters under `l_joint`.

  The state's params are {'generator': ..., 'filters': {teacher's name:
  {'group_j': ..., 'image': ...}}}, each only if the objective has it.

  Args:
    name: the phase's.
    generator: its last group makes images of shape `image`.
    teachers: frozen.
    label_map: the teachers in the same order.
    objective: the weights.
    image: (height, width, channels).
    noise: size of z.
    steps: training steps.
    batch: images per step.
    optimiser: of generator and filters.
  """

  routes = tuple(range(len(teachers))) if objective.routed else ()

  def init(key):
    z = jnp.zeros((1, noise + len(routes)))
    variables = generator.init(jax.random.fold_in(key, 0), z, train=False)
    filters = {
      teacher.name: _new_filters(
        jax.random.fold_in(key, m), teacher, generator, image, objective
      )
      for m, teacher in enumerate(teachers, start=1)
    }
    params = {'generator': variables['params'], 'filters': filters}
    return first_state(key, params, variables['batch_stats'], optimiser)

  def step(frozen, state):
    def loss_fn(params, batch_stats, key):
      features, updated = generator.apply(
        join(params['generator'], batch_stats),
        draw_noise(key, batch, noise, routes, len(routes)),
        train=True,
        mutable=['batch_stats'],
      )
      judged = features if objective.groups else features[-1:]
      value, _, metrics = l_joint(
        judged, params['filters'], frozen, label_map, objective
      )
      return value, (updated['batch_stats'], metrics)

    return train_step(loss_fn, optimiser, state)

  return Phase(
    name,
    steps,
    init,
    step,
    lambda: tuple(teachers),
    label_map.union,
    {t.name: [label_map.union.index(x) for x in t.labels] for t in teachers},
  )


def _new_filters(key, teacher, generator, image, objective):
  shapes = feature_shapes(teacher, image)
  blocks = len(shapes)
  filters = {
    f'group_{j}': discriminators.new_filter(
      jax.random.fold_in(key, j),
      generator.channels[j - 1],
      shapes[blocks - j - 1][-1],
    )
    for j in range(1, blocks if objective.groups else 1)
  }
  if objective.image_filter:
    filters['image'] = discriminators.new_filter(
      jax.random.fold_in(key, blocks), image[-1], image[-1]
    )
  return filters
