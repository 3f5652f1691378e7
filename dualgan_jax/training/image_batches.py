"""Real images on the device: drawn, augmented, resized, scaled."""

from collections.abc import Sequence

import chex
import jax
import jax.numpy as jnp
from flax import struct

from dualgan_jax.training import parallel


@struct.dataclass
class RealImages:
  """One data set in memory.

  Attributes:
    images: uint8 [n, h, w, c].
    targets: what goes with each image, [n, ...].
    shift: how far `augmented` moves an image, in its own pixels.
    flip: whether `augmented` mirrors half of the images.
  """

  images: chex.Array
  targets: chex.Array
  shift: int = struct.field(pytree_node=False, default=0)
  flip: bool = struct.field(pytree_node=False, default=False)


def prepared(images: chex.Array, size: tuple[int, int]) -> chex.Array:
  """Brings uint8 images to [0, 1] and bilinearly to (height, width)."""
  n, *_, channels = images.shape
  scaled = images.astype(jnp.float32) / 255
  return jax.image.resize(scaled, (n, *size, channels), 'bilinear')


def augmented(
  image: chex.Array, key: chex.PRNGKey, *, shift: int, flip: bool
) -> chex.Array:
  """One image, moved and mirrored at random.

  Args:
    image: [h, w, c].
    key: the sample's.
    shift: it moves by -shift .. shift pixels along each axis; 0 comes in.
    flip: whether it is mirrored left to right with probability 1/2.
  """
  move_key, flip_key = jax.random.split(key)
  if shift:
    wide = jnp.pad(image, ((shift, shift), (shift, shift), (0, 0)))
    down, right = jax.random.randint(move_key, (2,), 0, 2 * shift + 1)
    image = jax.lax.dynamic_slice(wide, (down, right, 0), image.shape)
  if flip:
    image = jnp.where(jax.random.bernoulli(flip_key), image[:, ::-1], image)
  return image


def draw(
  sets: Sequence[RealImages],
  key: chex.PRNGKey,
  batch: int,
  size: tuple[int, int],
) -> tuple[chex.Array, chex.Array]:
  """This device's share of a random batch from all sets together.

  Args:
    sets: each image of each is as likely; drawn with replacement.
    key: the step's.
    batch: size of the whole batch.
    size: (height, width) to bring the images to.

  Returns:
    Images in [0, 1], [share, h, w, c], and what goes with them, [share, ...].
  """
  keys = parallel.sample_keys(key, batch)
  total = sum(len(own.images) for own in sets)
  rows = jax.vmap(lambda k: jax.random.randint(k, (), 0, total))(keys)
  parts, first = [], 0
  for own in sets:
    last = first + len(own.images)
    local = jnp.clip(rows - first, 0, len(own.images) - 1)
    x = own.images[local]
    if own.shift or own.flip:
      x = jax.vmap(
        lambda x, k, own=own: augmented(
          x, jax.random.fold_in(k, 1), shift=own.shift, flip=own.flip
        )
      )(x, keys)
    here = (first <= rows) & (rows < last)
    parts.append((here, prepared(x, size), own.targets[local]))
    first = last
  (_, images, targets), *others = parts
  for here, x, y in others:
    images = jnp.where(_beside(here, x), x, images)
    targets = jnp.where(_beside(here, y), y, targets)
  return images, targets


def _beside(rows, x):
  return rows.reshape(-1, *[1] * (x.ndim - 1))
