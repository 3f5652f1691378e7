"""One student, end to end, against the teachers' answers to some images.

The stages `targetnet` and `baselines` are this, on images of different origin.
"""

from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import optax
from flax import struct

from dualgan_jax import discriminators, losses, parallel
from dualgan_jax.labels import LabelMap
from dualgan_jax.networks.classifier import join, split
from dualgan_jax.stages.dual import Source
from dualgan_jax.stages.phase import Phase, first_state, train_step
from dualgan_jax.stages.pretrain import draw
from dualgan_jax.teachers import Teacher

# (origin, key, batch) -> this device's share of a batch of images
DrawFn = Callable[[Any, chex.PRNGKey, int], chex.Array]


@struct.dataclass
class Frozen:
  """What stays as it is.

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
  draw_images: DrawFn,
  label_map: LabelMap,
  frozen: Callable[[], Frozen],
  *,
  steps: int,
  batch: int,
  optimiser: optax.GradientTransformation,
) -> Phase:
  """Trains a net under the distillation loss.

  Args:
    name: the phase's.
    apply: `(variables, images, train=) -> (logits [N, |Y_cst|], variables)`.
    variables: `key -> variables` to start from.
    draw_images: `generated`, `noise` or `real`.
    label_map: the teachers in the same order.
    frozen: makes teachers and what `draw_images` draws from.
    steps: training steps.
    batch: images per step.
    optimiser: of the net's parameters.
  """
  owners = label_map.owners(label_map.customised)

  def init(key):
    return first_state(key, *split(variables(key)), optimiser)

  def step(frozen, state):
    def loss_fn(params, batch_stats, key):
      x = draw_images(frozen.origin, key, batch)
      targets = discriminators.combine(
        [
          discriminators.tail(t, t.variables, _shown(frozen, t, x), 0)
          for t in frozen.teachers
        ],
        owners,
      )
      logits, updated = apply(join(params, batch_stats), x, train=True)
      agree = jnp.mean(jnp.argmax(logits, -1) == jnp.argmax(targets, -1))
      return losses.distillation(logits, targets), (
        split(updated)[1],
        {'agreement': agree},
      )

    return train_step(loss_fn, optimiser, state)

  return Phase(name, steps, init, step, frozen)


def generated(source: Source, key: chex.PRNGKey, batch: int) -> chex.Array:
  """I_g of fresh noise."""
  return source.features(key, batch)[-1]


def noise(image: chex.Array, key: chex.PRNGKey, batch: int) -> chex.Array:
  """Images whose pixels are independent and uniform in [0, 1].

  Args:
    image: an array of an image's shape.
    key: the step's.
    batch: size of the whole batch.
  """
  keys = parallel.sample_keys(key, batch)
  return jax.vmap(lambda k: jax.random.uniform(k, image.shape))(keys)


def real(images: chex.Array, key: chex.PRNGKey, batch: int) -> chex.Array:
  """Real images; only for the baseline that uses data.

  Args:
    images: uint8 [n, h, w, c].
    key: the step's.
    batch: size of the whole batch.
  """
  return draw(images, images, key, batch)[0]


def _shown(frozen, teacher, x):
  # Only a generated image ever has a filter before the first teacher block.
  if isinstance(frozen.origin, Source):
    return frozen.origin.seen_by(teacher, x)
  return x
