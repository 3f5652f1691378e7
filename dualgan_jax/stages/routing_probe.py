"""Before stage `generator`: measures whether the teachers share one domain.

A short routed training (`method.routing`) makes images for each teacher alone.
If the images of all teachers fit a teacher's statistics about as well as its
own images do, the teachers were trained on the same kind of images, and one
batch can serve them all. If they fit worse, it cannot, and routing is needed.
The measure reads teachers and generated images only.
"""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp

from dualgan_jax import losses
from dualgan_jax.method import routing
from dualgan_jax.method.discriminators import filter_image
from dualgan_jax.method.frozen_generator import draw_latents
from dualgan_jax.networks.classifier import join
from dualgan_jax.networks.generator import Generator
from dualgan_jax.teachers import forward
from dualgan_jax.teachers.teacher import Teacher
from dualgan_jax.training import parallel
from dualgan_jax.training.phase import Phase, TrainState

# Set where it separates digits with shared images (0.98 after 400 steps, mean
# over teachers, seed 100) from digits whose teachers each saw images of their
# own labels only (1.52). No real image and no accuracy had a part in it.
ROUTE_ABOVE = 1.25


def phase(
  name: str,
  generator: Generator,
  latent_dim: int,
  teachers: Sequence[Teacher],
  trained_state: TrainState,
  *,
  num_batches: int,
  batch_size: int,
) -> Phase:
  """Measures the batch-norm statistics of each teacher on each one's images.

  Nothing learns: the state's params are sums over the steps so far, by teacher
  and by the teacher whose images they are, a list of `Moments`.

  Args:
    name: the phase's.
    generator: the routed one.
    latent_dim: size of z's random part.
    teachers: M of them.
    trained_state: of the short routed training.
    num_batches: batches to average over, one per step.
    batch_size: images in each.
  """
  num_teachers = len(teachers)

  def moments_of_batch(frozen, key):
    trained_state, teachers = frozen
    params = trained_state.params
    latents = draw_latents(
      key, batch_size, latent_dim, tuple(range(num_teachers)), num_teachers
    )
    # With the batch's own statistics, as the prior saw the images in training.
    features, _ = generator.apply(
      join(params['generator'], trained_state.batch_stats),
      latents,
      train=True,
      mutable=['batch_stats'],
    )
    return [
      [
        forward.ladder(
          teacher,
          filter_image(
            params['filters'][teacher.name],
            routing.teacher_rows(features[-1], route, num_teachers),
          ),
          {},
        ).moments
        for route in range(num_teachers)
      ]
      for teacher in teachers
    ]

  def init(key):
    # Only shapes are computed here, to know how many layers there are.
    image_shape = (1, *generator.sizes[-1], generator.channels[-1])
    shapes = jax.eval_shape(
      lambda teachers: [
        forward.ladder(teacher, jnp.zeros(image_shape), {}).moments
        for teacher in teachers
      ],
      tuple(teachers),
    )
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    moment_sums = [[layers] * num_teachers for layers in zeros]
    return TrainState(jnp.zeros((), jnp.int32), key, moment_sums, (), ())

  def step(frozen, state):
    key = jax.random.fold_in(state.key, state.step)
    batch_moments = parallel.mean(moments_of_batch(frozen, key))
    moment_sums = jax.tree.map(jnp.add, state.params, batch_moments)
    return state.replace(step=state.step + 1, params=moment_sums), {}

  return Phase(
    name, num_batches, init, step, lambda: (trained_state, tuple(teachers))
  )


def statistics_gaps(
  names: Sequence[str], state: TrainState
) -> dict[str, float]:
  """Computes how much worse all images fit a teacher's statistics than its own.

  Args:
    names: of the teachers, in the order of the phase.
    state: after the last step.

  Returns:
    By name, L_bn of the images of all teachers over L_bn of the teacher's own;
    no entry for a teacher without batch norm.
  """
  means = jax.tree.map(lambda leaf: leaf / state.step, state.params)
  gaps = {}
  for teacher_number, (name, routes) in enumerate(
    zip(names, means, strict=True)
  ):
    if routes[teacher_number]:
      # Each route has as many images: the mean over routes is that of them all.
      all_routes = jax.tree.map(
        lambda *leaves: sum(leaves) / len(leaves), *routes
      )
      gaps[name] = float(
        losses.statistics_prior(all_routes)
        / losses.statistics_prior(routes[teacher_number])
      )
  return gaps


def needs_routing(gaps: Mapping[str, float]) -> bool:
  """Returns whether the mean of `statistics_gaps` is above `ROUTE_ABOVE`."""
  return bool(gaps) and sum(gaps.values()) / len(gaps) > ROUTE_ABOVE
