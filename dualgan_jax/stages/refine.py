"""Stage `refine`: generator and student learn in turn, one against the other.

The generator keeps what stage `generator` asked of its image and is rewarded
where student and teachers disagree: data-free adversarial distillation (DFAD,
Fang et al. 2019, arXiv 1912.11006). For each generator step the student takes
one on these images and some on draws from a pool of the last steps', so that it
does not forget them (replay, as in CMI, Fang et al. 2021, arXiv 2105.08584):
its steps are cheap beside the generator's. The drawn images are moved, mirrored
and blended with one another (mixup, Zhang et al. 2018, arXiv 1710.09412), and
the teachers are asked what they say of the outcome: the student is to be the
same function as they are, not only where generated images lie (Beyer et al.
2022, arXiv 2106.05237). Behind a routed generator there are images of all
teachers, also of those of whom Y_cst asks nothing: on these all wanted labels
are absent.
"""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from dualgan_jax import losses
from dualgan_jax.method import frozen_generator
from dualgan_jax.method.frozen_generator import FrozenGenerator
from dualgan_jax.method.labels import LabelMap
from dualgan_jax.networks.classifier import Classifier, join, split
from dualgan_jax.stages.generator_loss import GeneratorLossWeights, l_joint
from dualgan_jax.teachers.teacher import Teacher
from dualgan_jax.training import image_batches, parallel
from dualgan_jax.training.phase import Phase, TrainState, descend


@struct.dataclass
class RefineState(TrainState):
  """A state of two nets: its trees are {'generator': ..., 'student': ...}.

  Attributes:
    pool: images of earlier steps, uint8 [size, h, w, c]; sample i of step s is
      number s·N + i, and stands at that number modulo size.
  """

  pool: chex.Array


class Augmentation(NamedTuple):
  """What is done to replayed images.

  Attributes:
    shift: how far they are moved at most, in pixels; 0 comes in.
    flip: whether half of them are mirrored left to right.
    mixup: share that is blended, each with another one.
  """

  shift: int = 0
  flip: bool = False
  mixup: float = 0.0


def phase(
  student: Classifier,
  variables: tuple[Any, ...],
  source: FrozenGenerator,
  teachers: tuple[Teacher, ...],
  label_map: LabelMap,
  weights: GeneratorLossWeights,
  *,
  image: tuple[int, int, int],
  temperature: float,
  disagreement: float,
  pool: int,
  replays: int,
  augmentation: Augmentation,
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
    weights: of the generator's loss; its groups are not judged any more.
    image: (height, width, channels).
    temperature: of the student's loss.
    disagreement: weight of the generator's reward.
    pool: images in the pool, a multiple of `batch`.
    replays: the student's steps on the pool for each of the generator.
    augmentation: of what is drawn from the pool.
    steps: of the generator.
    batch: images per step.
    optimisers: for 'generator' and 'student'.
  """
  num_teachers = len(teachers)
  routed_teachers = tuple(range(num_teachers)) if weights.routed else ()
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
      {name: x.init(params[name]) for name, x in optimisers.items()},
      jnp.zeros((pool, *image), jnp.uint8),
    )

  def ensemble_logits(frozen, x):
    return source.ensemble_logits(frozen['teachers'], x, label_map)

  def generator_loss(params, batch_stats, student_variables, frozen, key):
    features, updated = source.module.apply(
      join(params, batch_stats),
      frozen_generator.draw_latents(
        key, batch, source.latent_dim, routed_teachers, num_teachers
      ),
      train=True,
      mutable=['batch_stats'],
    )
    x = features[-1]
    loss, (union_logits, metrics) = l_joint(
      (x,), frozen['filters'], frozen['teachers'], label_map, weights
    )
    student_logits, _ = student.apply(student_variables, x, train=False)
    if weights.routed and not source.foreign_labels_absent:
      targets = ensemble_logits(frozen, x)
    else:
      targets = union_logits[:, columns]
    apart = losses.disagreement(student_logits, targets)
    total = loss - disagreement * apart
    metrics = {'generator_loss': total, 'disagreement': apart, **metrics}
    return total, (updated['batch_stats'], x, targets, metrics)

  def student_loss(params, batch_stats, x, targets):
    logits, updated = student.apply(join(params, batch_stats), x, train=True)
    loss = losses.distillation(logits, targets, temperature=temperature)
    return loss, split(updated)[1]

  def step(frozen, state):
    key = jax.random.fold_in(state.key, state.step)
    draw_key, *replay_keys = jax.random.split(key, 1 + replays)
    params, stats = state.params, state.batch_stats
    grads, (generator_stats, x, targets, metrics) = jax.grad(
      generator_loss, has_aux=True
    )(
      params['generator'],
      stats['generator'],
      join(params['student'], stats['student']),
      frozen,
      draw_key,
    )
    generator_params, generator_opt, metrics = descend(
      optimisers['generator'],
      params['generator'],
      state.opt_state['generator'],
      grads,
      metrics,
    )
    # Batches are counted: there may be more images than int32 holds.
    batches = pool // batch
    pool_now = _added(state.pool, state.step % batches * batch, x)
    held = jnp.minimum(state.step + 1, batches) * batch
    old = [
      replayed(
        pool_now, held, k, batch, augmentation, len(routed_teachers) or 1
      )
      for k in replay_keys
    ]
    learned, opt_state = params['student'], state.opt_state['student']
    student_stats = stats['student']
    # The last replay's loss is the one that is logged.
    for name, *shown in (
      ('loss', x, targets),
      *(('replay_loss', x, ensemble_logits(frozen, x)) for x in old),
    ):
      grad_fn = jax.value_and_grad(student_loss, has_aux=True)
      (value, student_stats), grads = grad_fn(learned, student_stats, *shown)
      learned, opt_state, metrics[name] = descend(
        optimisers['student'], learned, opt_state, grads, value
      )
    return RefineState(
      state.step + 1,
      state.key,
      {'generator': generator_params, 'student': learned},
      {'generator': generator_stats, 'student': student_stats},
      {'generator': generator_opt, 'student': opt_state},
      pool_now,
    ), metrics

  def frozen():
    return {'teachers': teachers, 'filters': source.filters}

  return Phase('refine', steps, init, step, frozen, label_map.union)


def replayed(
  pool: chex.Array,
  held: chex.Array,
  key: chex.PRNGKey,
  batch: int,
  augmentation: Augmentation,
  teachers: int = 1,
) -> chex.Array:
  """This device's share of a draw from the pool.

  Args:
    pool: uint8 [size, h, w, c].
    held: how many of its images, the first ones, have been made.
    key: the draw's.
    batch: images in the whole draw.
    augmentation: of each image. A blend is `λ x + (1 - λ) x'`, with another
      draw x' and λ uniform in [0, 1].
    teachers: M, if each image belongs to one (`routing`), else 1. Sample i of
      the draw belongs to teacher i mod M, as that of a batch, and so do both
      images of a blend.

  Returns:
    Images in [0, 1], [share, h, w, c].
  """
  shift, flip, mixup = augmentation

  def draw(key, turn):
    row_key, move_key = jax.random.split(key)
    row = jax.random.randint(row_key, (), 0, held // teachers)
    x = image_batches.augment(
      pool[row * teachers + turn], move_key, shift=shift, flip=flip
    )
    return x.astype(jnp.float32) / 255

  def one(key, turn):
    keys = jax.random.split(key, 4)
    blend = jnp.where(
      jax.random.bernoulli(keys[2], mixup), jax.random.uniform(keys[3]), 1.0
    )
    return blend * draw(keys[0], turn) + (1 - blend) * draw(keys[1], turn)

  keys = parallel.sample_keys(key, batch)
  return jax.vmap(one)(keys, jnp.arange(len(keys)) % teachers)


def _added(pool: chex.Array, first: chex.Array, x: chex.Array) -> chex.Array:
  """The pool with a new batch, from this row on."""
  new = parallel.gather(jnp.round(x * 255).astype(pool.dtype))
  rows = first + jnp.arange(len(new))
  # A scatter: on a CPU, dynamic_update_slice would copy the whole pool.
  return jnp.asarray(pool).at[rows].set(new, unique_indices=True)
