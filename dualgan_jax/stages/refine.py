"""Stage `refine`: generator and student learn in turn, one against the other.

The generator keeps what stage `generator` asked of its image and is rewarded
where student and teachers disagree: data-free adversarial distillation (DFAD,
Fang et al. 2019, arXiv 1912.11006). For each generator step the student takes
one on these images and some on draws from a pool of the last steps', so that it
does not forget them (replay, as in CMI, Fang et al. 2021, arXiv 2105.08584):
its steps are cheap beside the generator's. Behind a routed generator there are
images of all teachers, also of those of whom Y_cst asks nothing: on these all
wanted labels are absent.
"""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from dualgan_jax import losses, parallel
from dualgan_jax.labels import LabelMap
from dualgan_jax.networks.classifier import Classifier, join, split
from dualgan_jax.stages import generator as generator_stage
from dualgan_jax.stages.dual import Source
from dualgan_jax.stages.generator import Objective
from dualgan_jax.stages.phase import Phase
from dualgan_jax.teachers import Teacher


@struct.dataclass
class Pool:
  """Images of earlier steps, with the teachers' answers to them.

  Attributes:
    images: uint8 [size, h, w, c]; sample i of step s is number s·N + i, and
      stands at that number modulo size.
    answers: on Y_cst, softened, float16 [size, |Y_cst|].
  """

  images: chex.Array
  answers: chex.Array


@struct.dataclass
class RefineState:
  """Everything that going on needs; as `phase.TrainState`, for two nets.

  Attributes:
    step: steps done, int32.
    key: the phase's PRNG key.
    params: {'generator': ..., 'student': ...}.
    batch_stats: of the same form.
    opt_state: of the same form.
    pool: the replayed images.
  """

  step: chex.Array
  key: chex.PRNGKey
  params: Any
  batch_stats: Any
  opt_state: Any
  pool: Pool


def phase(
  student: Classifier,
  variables: tuple[Any, ...],
  source: Source,
  teachers: tuple[Teacher, ...],
  label_map: LabelMap,
  objective: Objective,
  *,
  image: tuple[int, int, int],
  temperature: float,
  disagreement: float,
  pool: int,
  replays: int,
  steps: int,
  batch: int,
  optimisers: dict[str, optax.GradientTransformation],
) -> Phase:
  """Trains generator and compact student in turn.

  Args:
    student: T.
    variables: of T, to start from.
    source: the generator to start from; the filters before the first teacher
      block, if there are any, stay as they are.
    teachers: all of them, frozen.
    label_map: the teachers in the same order.
    objective: of the generator; its groups are not judged any more.
    image: (height, width, channels).
    temperature: of the student's loss.
    disagreement: weight of the generator's reward.
    pool: images in the pool, a multiple of `batch`.
    replays: the student's steps on the pool for each of the generator.
    steps: of the generator.
    batch: images per step.
    optimisers: for 'generator' and 'student'.
  """
  many = len(teachers)
  routes = tuple(range(many)) if objective.routed else ()
  columns = np.array(
    [label_map.union.index(x) for x in label_map.customised], np.int32
  )

  def init(key):
    params, batch_stats = split(tuple(variables))
    params = {'generator': source.variables['params'], 'student': params}
    return RefineState(
      jnp.zeros((), jnp.int32),
      key,
      params,
      {'generator': source.variables['batch_stats'], 'student': batch_stats},
      {name: own.init(params[name]) for name, own in optimisers.items()},
      Pool(
        jnp.zeros((pool, *image), jnp.uint8),
        jnp.zeros((pool, len(columns)), jnp.float16),
      ),
    )

  def generator_loss(params, batch_stats, student_variables, frozen, key):
    features, updated = source.module.apply(
      {'params': params, 'batch_stats': batch_stats},
      generator_stage.draw_noise(key, batch, source.noise, routes, many),
      train=True,
      mutable=['batch_stats'],
    )
    x = features[-1]
    value, logits, metrics = generator_stage.loss(
      (x,), frozen['filters'], frozen['teachers'], label_map, objective
    )
    said, _ = student.apply(student_variables, x, train=False)
    if objective.routed and not source.absent:
      asked = source.told(frozen['teachers'], x, label_map)
    else:
      asked = logits[:, columns]
    apart = losses.disagreement(said, asked)
    total = value - disagreement * apart
    metrics = {'generator_loss': total, 'disagreement': apart, **metrics}
    return total, (updated['batch_stats'], x, asked, metrics)

  def student_loss(params, batch_stats, x, answers):
    logits, updated = student.apply(join(params, batch_stats), x, train=True)
    loss = losses.cross_entropy(logits / temperature, answers)
    return loss, split(updated)[1]

  def learn(name, params, opt_state, grads, metrics):
    grads, metrics = parallel.mean((grads, metrics))
    updates, opt_state = optimisers[name].update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state, metrics

  def step(frozen, state):
    key = jax.random.fold_in(state.key, state.step)
    draw_key, *replay_keys = jax.random.split(key, 1 + replays)
    params, stats = state.params, state.batch_stats
    grads, (generator_stats, x, asked, metrics) = jax.grad(
      generator_loss, has_aux=True
    )(
      params['generator'],
      stats['generator'],
      join(params['student'], stats['student']),
      frozen,
      draw_key,
    )
    generator_params, generator_opt, metrics = learn(
      'generator',
      params['generator'],
      state.opt_state['generator'],
      grads,
      metrics,
    )
    answers = losses.softened(asked, temperature)
    pool_now = _added(state.pool, state.step * batch, x, answers)
    held = jnp.minimum((state.step + 1) * batch, pool)
    old = [_drawn(pool_now, k, held, batch) for k in replay_keys]
    learned, opt_state = params['student'], state.opt_state['student']
    own_stats = stats['student']
    # The last replay's loss is the one that is logged.
    for name, shown in (
      ('loss', (x, answers)),
      *(('replay_loss', replayed) for replayed in old),
    ):
      grad_fn = jax.value_and_grad(student_loss, has_aux=True)
      (value, own_stats), grads = grad_fn(learned, own_stats, *shown)
      learned, opt_state, metrics[name] = learn(
        'student', learned, opt_state, grads, value
      )
    return RefineState(
      state.step + 1,
      state.key,
      {'generator': generator_params, 'student': learned},
      {'generator': generator_stats, 'student': own_stats},
      {'generator': generator_opt, 'student': opt_state},
      pool_now,
    ), metrics

  def frozen():
    return {'teachers': teachers, 'filters': source.filters}

  return Phase('refine', steps, init, step, frozen, label_map.union)


def _drawn(
  pool: Pool, key: chex.PRNGKey, held: chex.Array, batch: int
) -> tuple[chex.Array, chex.Array]:
  """This device's share of a draw from the `held` first: images, answers."""
  rows = jax.vmap(lambda k: jax.random.randint(k, (), 0, held))(
    parallel.sample_keys(key, batch)
  )
  return (
    pool.images[rows].astype(jnp.float32) / 255,
    pool.answers[rows].astype(jnp.float32),
  )


def _added(
  pool: Pool, number: chex.Array, x: chex.Array, answers: chex.Array
) -> Pool:
  """The pool with a new batch, whose first sample has this number."""
  images = parallel.gather(jnp.round(x * 255).astype(jnp.uint8))
  answers = parallel.gather(answers.astype(pool.answers.dtype))
  rows = (number + jnp.arange(len(images))) % len(pool.images)

  # A scatter: on a CPU, dynamic_update_slice would copy the whole pool.
  def put(old, new):
    return old.at[rows].set(new, unique_indices=True)

  return Pool(put(pool.images, images), put(pool.answers, answers))
