"""The replay buffer of stage `refine`: images of earlier steps.

The student learns from them again, so that it does not forget them, as in CMI
(Fang et al. 2021, arXiv 2105.08584). They are moved, mirrored and blended with
one another (mixup, Zhang et al. 2018, arXiv 1710.09412).
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from dualgan_jax.training import image_batches, parallel


class Augmentation(NamedTuple):
  """Random changes of replayed images.

  Attributes:
    shift: how far they are moved at most, in pixels; 0 comes in.
    flip: whether half of them are mirrored left to right.
    mixup: share that is blended, each with another one.
  """

  shift: int = 0
  flip: bool = False
  mixup: float = 0.0


def draw_replayed(
  replay_buffer: chex.Array,
  num_filled: chex.Array,
  key: chex.PRNGKey,
  batch_size: int,
  augmentation: Augmentation,
  num_turns: int = 1,
) -> chex.Array:
  """Draws this device's share of a batch from the replay buffer.

  Args:
    replay_buffer: uint8 [size, h, w, c].
    num_filled: how many of its images, the first ones, have been made.
    key: the draw's.
    batch_size: images in the whole draw.
    augmentation: of each image. A blend is `λ x + (1 - λ) x'`, with another
      draw x' and λ uniform in [0, 1].
    num_turns: M, if each image belongs to one teacher (`routing`), else 1.
      Sample i of the draw belongs to teacher i mod M, as that of a batch, and
      so do both images of a blend.

  Returns:
    Images in [0, 1], [share, h, w, c].
  """
  shift, flip, mixup = augmentation

  def draw_image(key, turn):
    row_key, move_key = jax.random.split(key)
    # Every num_turns-th row of the buffer belongs to the same teacher.
    row = jax.random.randint(row_key, (), 0, num_filled // num_turns)
    image = image_batches.augment(
      replay_buffer[row * num_turns + turn], move_key, shift=shift, flip=flip
    )
    return image.astype(jnp.float32) / 255

  def draw_sample(key, turn):
    keys = jax.random.split(key, 4)
    # λ is 1 where nothing is blended; both images are drawn all the same.
    blend = jnp.where(
      jax.random.bernoulli(keys[2], mixup), jax.random.uniform(keys[3]), 1.0
    )
    return blend * draw_image(keys[0], turn) + (1 - blend) * draw_image(
      keys[1], turn
    )

  sample_keys = parallel.sample_keys(key, batch_size)
  turns = jnp.arange(len(sample_keys)) % num_turns
  return jax.vmap(draw_sample)(sample_keys, turns)


def insert_batch(
  replay_buffer: chex.Array, first_row: chex.Array, images: chex.Array
) -> chex.Array:
  """Puts the images of all devices into the buffer, from a row on.

  Args:
    replay_buffer: uint8 [size, h, w, c].
    first_row: where the first image goes; the whole batch fits behind it.
    images: this device's share, [share, h, w, c]; values beyond [0, 1] are
      clipped.

  Returns:
    The new buffer.
  """
  pixels = jnp.round(jnp.clip(images, 0, 1) * 255)
  batch = parallel.gather(pixels.astype(replay_buffer.dtype))
  rows = first_row + jnp.arange(len(batch))
  # A scatter: on a CPU, dynamic_update_slice would copy the whole buffer.
  return jnp.asarray(replay_buffer).at[rows].set(batch, unique_indices=True)
