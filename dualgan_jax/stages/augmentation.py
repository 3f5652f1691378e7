"""Moves, mirrors and blends the images that a student learns from.

Blends are those of mixup (Zhang et al. 2018, arXiv 1710.09412). The teachers
answer the changed images, so that the student is to be the same function as
they are, not only where generated images lie (Beyer et al. 2022, arXiv
2106.05237).
"""

import chex
import jax
import jax.numpy as jnp

from dualgan_jax.config.augmentation_group import Augmentation
from dualgan_jax.training import image_batches, parallel


def augment_batch(
  images: chex.Array,
  key: chex.PRNGKey,
  batch_size: int,
  augmentation: Augmentation,
  answer_mask: chex.Array,
) -> chex.Array:
  """Changes each image of a batch.

  Args:
    images: this device's share, [share, h, w, c] in [0, 1].
    key: the draw's.
    batch_size: images in the whole batch.
    augmentation: what is changed. A blend is `λ x + (1 - λ) x'`, with another
      image x' of the batch and λ uniform in [0, 1].
    answer_mask: which teachers answer each image, bool [share, M]. An image
      is blended with itself where those of its partner differ.

  Returns:
    Images in [0, 1], [share, h, w, c].
  """
  if augmentation == Augmentation():
    return images
  # Partners come from the whole batch, so that a blend does not depend on the
  # number of devices.
  batch, batch_masks = parallel.gather(images), parallel.gather(answer_mask)

  def change(image, sample_key, mask):
    def draw_partner(row_key):
      row = jax.random.randint(row_key, (), 0, batch_size)
      return jnp.where(jnp.all(batch_masks[row] == mask), batch[row], image)

    return _blend(sample_key, augmentation, lambda _: image, draw_partner)

  return jax.vmap(change)(
    images, parallel.sample_keys(key, batch_size), answer_mask
  )


def draw_augmented(
  stored_images: chex.Array,
  num_filled: chex.Array | int,
  key: chex.PRNGKey,
  batch_size: int,
  augmentation: Augmentation,
  num_turns: int = 1,
) -> chex.Array:
  """Draws this device's share of a batch of stored images, and changes them.

  Args:
    stored_images: uint8 [size, h, w, c].
    num_filled: how many of them, the first ones, there are.
    key: the draw's.
    batch_size: images in the whole draw.
    augmentation: what is changed; see `augment_batch`.
    num_turns: M, if stored image i belongs to teacher i mod M (`routing`), else
      1. Sample i of the draw belongs to the same teacher, and so do both images
      of a blend.

  Returns:
    Images in [0, 1], [share, h, w, c].
  """
  sample_keys = parallel.sample_keys(key, batch_size)
  turns = jnp.arange(len(sample_keys)) % num_turns

  def draw_sample(sample_key, turn):
    def draw_image(row_key):
      # Every num_turns-th row belongs to the same teacher.
      row = jax.random.randint(row_key, (), 0, num_filled // num_turns)
      return stored_images[row * num_turns + turn]

    return _blend(sample_key, augmentation, draw_image, draw_image)

  return jax.vmap(draw_sample)(sample_keys, turns)


def _blend(key, augmentation, make_image, make_partner):
  """Blends an image with a partner, both moved and mirrored.

  Args:
    key: the sample's.
    augmentation: what is changed.
    make_image: key -> image [h, w, c], uint8 or in [0, 1].
    make_partner: likewise.
  """

  def change(make, image_key):
    row_key, move_key = jax.random.split(image_key)
    image = image_batches.augment(
      make(row_key),
      move_key,
      shift=augmentation.shift,
      flip=augmentation.flip,
    )
    if image.dtype == jnp.uint8:
      return image.astype(jnp.float32) / 255
    return image

  keys = jax.random.split(key, 4)
  image = change(make_image, keys[0])
  if not augmentation.mixup:
    return image
  # λ is 1 where nothing is blended.
  blend = jnp.where(
    jax.random.bernoulli(keys[2], augmentation.mixup),
    jax.random.uniform(keys[3]),
    1.0,
  )
  return blend * image + (1 - blend) * change(make_partner, keys[1])
