"""One student, end to end, against the teachers' answers to some images.

The stages `targetnet` and `baselines` are this, on images of different origin.
"""

from collections.abc import Callable, Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import optax
from flax import struct

from dualgan_jax import losses
from dualgan_jax.method import discriminators
from dualgan_jax.method.frozen_generator import FrozenGenerator
from dualgan_jax.method.labels import LabelMap
from dualgan_jax.networks.classifier import join, split
from dualgan_jax.teachers import forward
from dualgan_jax.teachers.teacher import Teacher
from dualgan_jax.training import image_batches, parallel
from dualgan_jax.training.image_batches import RealImages
from dualgan_jax.training.phase import Phase, first_state, train_step

# (origin, teachers, label_map, key, batch) -> this device's share of a batch:
# images and what the teachers say of them on Y_cst, logits
DrawFn = Callable[..., tuple[chex.Array, chex.Array]]


@struct.dataclass
class Frozen:
  """Arrays that the step reads and never updates.

  Attributes:
    teachers: of whom Y_cst asks something.
    origin: what the images are drawn from.
  """

  teachers: tuple[Teacher, ...]
  origin: Any


def phase(
  name: str,
  apply: Callable[..., tuple[chex.Array, Any]],
  variables: Callable[[chex.PRNGKey], Any],
  draw: DrawFn,
  label_map: LabelMap,
  frozen: Callable[[], Frozen],
  *,
  temperature: float,
  steps: int,
  batch: int,
  optimiser: optax.GradientTransformation,
) -> Phase:
  """Trains a net under the distillation loss.

  Args:
    name: the phase's.
    apply: `(variables, images, train=) -> (logits [N, |Y_cst|], variables)`.
    variables: `key -> variables` to start from.
    draw: `generated`, `noise` or `real`.
    label_map: the teachers in the same order.
    frozen: makes teachers and what `draw` draws from.
    temperature: of the loss.
    steps: training steps.
    batch: images per step.
    optimiser: of the net's parameters.
  """

  def init(key):
    return first_state(key, *split(variables(key)), optimiser)

  def step(frozen, state):
    def loss_fn(params, batch_stats, key):
      x, targets = draw(frozen.origin, frozen.teachers, label_map, key, batch)
      logits, updated = apply(join(params, batch_stats), x, train=True)
      loss = losses.distillation(logits, targets, temperature=temperature)
      metrics = {'agreement': agreement(logits, targets)}
      return loss, (split(updated)[1], metrics)

    return train_step(loss_fn, optimiser, state)

  return Phase(name, steps, init, step, frozen)


def agreement(logits: chex.Array, others: chex.Array) -> chex.Array:
  """Share of images on which two have the same most probable label.

  If there is one label only, on which they say alike whether it is there.

  Args:
    logits: [N, L].
    others: another's logits, [N, L]; probabilities of sure answers are equal.

  Returns:
    A scalar.
  """
  if logits.shape[-1] == 1:
    return jnp.mean((logits > 0) == (others > 0))
  return jnp.mean(jnp.argmax(logits, -1) == jnp.argmax(others, -1))


def generated(
  source: FrozenGenerator,
  teachers: Sequence[Teacher],
  label_map: LabelMap,
  key: chex.PRNGKey,
  batch: int,
) -> tuple[chex.Array, chex.Array]:
  """I_g of fresh noise."""
  x = source.features(key, batch)[-1]
  return x, source.ensemble_logits(teachers, x, label_map)


def noise(
  image: chex.Array,
  teachers: Sequence[Teacher],
  label_map: LabelMap,
  key: chex.PRNGKey,
  batch: int,
) -> tuple[chex.Array, chex.Array]:
  """Images whose pixels are independent and uniform in [0, 1].

  Args:
    image: an array of an image's shape.
    teachers: all of them are asked.
    label_map: the teachers in the same order.
    key: the step's.
    batch: size of the whole batch.
  """
  keys = parallel.sample_keys(key, batch)
  x = jax.vmap(lambda k: jax.random.uniform(k, image.shape))(keys)
  owners = label_map.owners(label_map.customised)
  logits = discriminators.ensemble_logits(
    teachers, [x] * len(teachers), owners, routed=False
  )
  return x, logits


@struct.dataclass
class Real:
  """Real images; only for the baseline that uses data.

  Attributes:
    sets: their targets are bool [n, M], which teachers' answers count.
    size: (height, width) to bring them to.
  """

  sets: tuple[RealImages, ...]
  size: tuple[int, int] = struct.field(pytree_node=False)


def real(
  origin: Real,
  teachers: Sequence[Teacher],
  label_map: LabelMap,
  key: chex.PRNGKey,
  batch: int,
) -> tuple[chex.Array, chex.Array]:
  """Real images, and what those teachers say of each who count for it."""
  x, answer_mask = image_batches.draw_batch(
    origin.sets, key, batch, origin.size
  )
  logits = [forward.tail(t, t.variables, x, 0) for t in teachers]
  owners = label_map.owners(label_map.customised)
  return x, discriminators.combine(logits, owners, answer_mask)
