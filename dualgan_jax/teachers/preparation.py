"""Brings images to the size, channels and scale that a net takes."""

import dataclasses

import chex
import jax
import jax.numpy as jnp

# As Pillow and PyTorch's transforms make grey of red, green and blue.
_LUMA = (0.299, 0.587, 0.114)


@dataclasses.dataclass(frozen=True)
class Preparation:
  """What a teacher's first block does to our images before all else.

  Attributes:
    size: (height, width, channels) that it takes; of colours it makes one
      channel, their luma (ITU-R BT.601), of one channel three alike.
    mean: per channel, or one for all; taken away from images in [0, 1].
    deviation: per channel, or one for all; they are divided by it then.
  """

  size: tuple[int, int, int]
  mean: tuple[float, ...] = (0.0,)
  deviation: tuple[float, ...] = (1.0,)

  def __call__(self, x: chex.Array) -> chex.Array:
    """Maps images [N, h, w, c] in [0, 1] to [N, *size]."""
    *size, channels = self.size
    if tuple(size) != x.shape[1:3]:
      x = jax.image.resize(x, (len(x), *size, x.shape[-1]), 'bilinear')
    if channels < x.shape[-1]:
      x = x @ jnp.asarray(_LUMA, x.dtype)[:, None]
    x = jnp.broadcast_to(x, (len(x), *self.size))
    mean, deviation = (
      jnp.asarray(v, x.dtype).reshape(1, 1, 1, -1)
      for v in (self.mean, self.deviation)
    )
    return (x - mean) / deviation
