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
from dualgan_jax.method.frozen_generator import draw_latents
from dualgan_jax.method.labels import LabelMap
from dualgan_jax.networks.classifier import join
from dualgan_jax.networks.generator import Generator
from dualgan_jax.stages.generator_loss import GeneratorLossWeights, l_joint
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
  weights: GeneratorLossWeights,
  *,
  image: tuple[int, int, int],
  latent_dim: int,
  steps: int,
  batch: int,
  optimiser: optax.GradientTransformation,
) -> Phase:
  """Trains generator and filters under `l_joint`.

  The state's params are {'generator': ..., 'filters': {teacher's name:
  {'group_j': ..., 'image': ...}}}, each only if `weights` asks for it.

  Args:
    name: the phase's.
    generator: its last group makes images of shape `image`.
    teachers: frozen.
    label_map: the teachers in the same order.
    weights: of the loss.
    image: (height, width, channels).
    latent_dim: size of z's random part.
    steps: training steps.
    batch: images per step.
    optimiser: of generator and filters.
  """
  routed_teachers = tuple(range(len(teachers))) if weights.routed else ()

  def init(key):
    z = jnp.zeros((1, latent_dim + len(routed_teachers)))
    variables = generator.init(jax.random.fold_in(key, 0), z, train=False)
    filters = {
      teacher.name: _new_filters(
        jax.random.fold_in(key, m), teacher, generator, image, weights
      )
      for m, teacher in enumerate(teachers, start=1)
    }
    params = {'generator': variables['params'], 'filters': filters}
    return first_state(key, params, variables['batch_stats'], optimiser)

  def step(frozen, state):
    def loss_fn(params, batch_stats, key):
      features, updated = generator.apply(
        join(params['generator'], batch_stats),
        draw_latents(
          key, batch, latent_dim, routed_teachers, len(routed_teachers)
        ),
        train=True,
        mutable=['batch_stats'],
      )
      if not weights.groups:
        features = features[-1:]
      loss, (_, metrics) = l_joint(
        features, params['filters'], frozen, label_map, weights
      )
      return loss, (updated['batch_stats'], metrics)

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


def _new_filters(key, teacher, generator, image, weights):
  shapes = feature_shapes(teacher, image)
  blocks = len(shapes)
  filters = {
    f'group_{j}': discriminators.new_filter(
      jax.random.fold_in(key, j),
      generator.channels[j - 1],
      shapes[blocks - j - 1][-1],
    )
    for j in range(1, blocks if weights.groups else 1)
  }
  if weights.image_filter:
    filters['image'] = discriminators.new_filter(
      jax.random.fold_in(key, blocks), image[-1], image[-1]
    )
  return filters
