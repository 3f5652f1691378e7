"""Stage `pretrain`: a teacher learns its own labels from real images."""

from collections.abc import Callable

import jax.numpy as jnp
import optax

from dualgan_jax import losses
from dualgan_jax.config.stage_table import Pretrain
from dualgan_jax.networks.classifier import Classifier, join, split
from dualgan_jax.teachers.preparation import Preparation
from dualgan_jax.training import image_batches
from dualgan_jax.training.image_batches import RealImages
from dualgan_jax.training.phase import Phase, first_state, train_step


def phase(
  name: str,
  classifier: Classifier,
  preparation: Preparation,
  load_images: Callable[[], RealImages],
  training: Pretrain,
  optimiser: optax.GradientTransformation,
) -> Phase:
  """Trains one teacher with binary cross-entropy per label.

  Args:
    name: the phase's.
    classifier: of |Y_m| logits.
    preparation: makes what the classifier takes of images in [0, 1].
    load_images: gives the images, their targets 0 or 1, [n, |Y_m|].
    training: steps, and images per step, drawn with replacement.
    optimiser: of the parameters.
  """

  def init(key):
    variables = classifier.init(key, preparation.image_shape)
    return first_state(key, *split(variables), optimiser)

  def step(frozen, state):
    def loss_fn(params, batch_stats, key):
      # Drawn with the step's key, so that a resumed run draws the same.
      images, targets = image_batches.draw_batch(
        (frozen,), key, training.batch, preparation.image_shape[:2]
      )
      logits, variables = classifier.apply(
        join(params, batch_stats), preparation(images), train=True
      )
      # A logit above 0 is a probability above one half.
      label_accuracy = jnp.mean((logits > 0) == (targets > 0.5))
      return losses.cross_entropy(logits, targets), (
        split(variables)[1],
        {'label_accuracy': label_accuracy},
      )

    return train_step(loss_fn, optimiser, state)

  return Phase(name, training.steps, init, step, load_images)
