"""The replay buffer of stage `refine`: images of earlier steps.

The student learns from them again, so that it does not forget them, as in CMI
(Fang et al. 2021, arXiv 2105.08584).
"""

import chex
import jax.numpy as jnp

from dualgan_jax.training import parallel


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
