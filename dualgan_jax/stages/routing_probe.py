"""Stage `generator`, before it: do the teachers share one world?

A short routed training (`routing`) makes images for each teacher alone. If all
of them taken together fit a teacher's statistics about as well as its own do,
the teachers were trained on the same kind of images, and one batch can serve
them all. If they fit it worse, it cannot, and routing is called for. Only
teachers and generated images are looked at.
"""

from collections.abc import Mapping, Sequence
from typing import Any

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
  trained: TrainState,
  *,
  batches: int,
  batch: int,
) -> Phase:
  """Measures what each teacher's batch norms see of each teacher's images.

  Nothing learns: the state's params are sums over the steps so far, by teacher
  and by the teacher whose images they are, a list of `Moments`.

  Args:
    name: the phase's.
    generator: the routed one.
    latent_dim: size of z's random part.
    teachers: M of them.
    trained: the state of the short routed training.
    batches: how many.
    batch: images in each.
  """
  num_teachers = len(teachers)

  def moments(frozen, key):
    trained, teachers = frozen
    variables = join(trained.params['generator'], trained.batch_stats)
    z = draw_latents(
      key, batch, latent_dim, tuple(range(num_teachers)), num_teachers
    )
    # As the prior has seen them while they were learned.
    features, _ = generator.apply(
      variables, z, train=True, mutable=['batch_stats']
    )
    return [
      [
        forward.ladder(
          t,
          filter_image(
            trained.params['filters'][t.name],
            routing.teacher_rows(features[-1], m, num_teachers),
          ),
          {},
        ).moments
        for m in range(num_teachers)
      ]
      for t in teachers
    ]

  def init(key):
    shapes = jax.eval_shape(
      lambda teachers: [
        forward.ladder(t, jnp.zeros((1, *_image(generator))), {}).moments
        for t in teachers
      ],
      tuple(teachers),
    )
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    sums = [[moments] * num_teachers for moments in zeros]
    return TrainState(jnp.zeros((), jnp.int32), key, sums, (), ())

  def step(frozen, state):
    key = jax.random.fold_in(state.key, state.step)
    batch_moments = parallel.mean(moments(frozen, key))
    sums = jax.tree.map(jnp.add, state.params, batch_moments)
    return state.replace(step=state.step + 1, params=sums), {}

  return Phase(name, batches, init, step, lambda: (trained, tuple(teachers)))


def misfits(names: Sequence[str], state: TrainState) -> dict[str, float]:
  """How much worse all images fit a teacher's statistics than its own do.

  Args:
    names: of the teachers, in the order of the phase.
    state: after the last step.

  Returns:
    By name, L_bn of all images together over L_bn of the teacher's own; no
    entry for a teacher without batch norm.
  """
  mean = jax.tree.map(lambda x: x / state.step, state.params)
  ratios = {}
  for m, (name, routes) in enumerate(zip(names, mean, strict=True)):
    if routes[m]:
      everything = jax.tree.map(lambda *x: sum(x) / len(x), *routes)
      ratios[name] = float(
        losses.statistics_prior(everything) / losses.statistics_prior(routes[m])
      )
  return ratios


def differ(ratios: Mapping[str, float]) -> bool:
  """Whether, by the mean of `misfits`, the teachers' worlds differ."""
  return bool(ratios) and sum(ratios.values()) / len(ratios) > ROUTE_ABOVE


def _image(generator: Generator) -> tuple[Any, ...]:
  return (*generator.sizes[-1], generator.channels[-1])
