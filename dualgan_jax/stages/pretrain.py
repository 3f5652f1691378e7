"""Stage `pretrain`: a teacher learns its own labels from real images."""

from collections.abc import Callable

import jax.numpy as jnp
import optax

from dualgan_jax import losses
from dualgan_jax.networks.classifier import Classifier, join, split
from dualgan_jax.training import image_batches
from dualgan_jax.training.image_batches import RealImages
from dualgan_jax.training.phase import Phase, first_state, train_step


def phase(
  name: str,
  classifier: Classifier,
  image: tuple[int, int, int],
  load: Callable[[], RealImages],
  *,
  steps: int,
  batch: int,
  optimiser: optax.GradientTransformation,
) -> Phase:
  """Trains one teacher with binary cross-entropy per label.

  Args:
    name: the phase's.
    classifier: |Y_m| logits.
    image: (height, width, channels).
    load: gives the images, their targets 0 or 1, [n, |Y_m|].
    steps: training steps.
    batch: images per step, drawn with replacement.
    optimiser: of the parameters.
  """

  def init(key):
    variables = classifier.init(key, image)
    return first_state(key, *split(variables), optimiser)

  def step(frozen, state):
    def loss_fn(params, batch_stats, key):
      x, y = image_batches.draw_batch((frozen,), key, batch, image[:2])
      logits, variables = classifier.apply(
        join(params, batch_stats), x, train=True
      )
      hits = jnp.mean((logits > 0) == (y > 0.5))
      return losses.cross_entropy(logits, y), (
        split(variables)[1],
        {'label_accuracy': hits},
      )

    return train_step(loss_fn, optimiser, state)

  return Phase(name, steps, init, step, load)
