"""Real images on the device: drawn, augmented, resized, scaled."""

from collections.abc import Sequence

import chex
import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from dualgan_jax.training import parallel


@struct.dataclass
class RealImages:
  """One data set in memory.

  Attributes:
    images: uint8 [n, h, w, c].
    targets: the training target of each image, [n, ...].
    shift: how far `augment` moves an image, in pixels of the stored images.
    flip: whether `augment` mirrors half of the images.
    num_images: how many count, the first ones; None for all of them.
  """

  images: chex.Array
  targets: chex.Array
  shift: int = struct.field(pytree_node=False, default=0)
  flip: bool = struct.field(pytree_node=False, default=False)
  num_images: chex.Array | int | None = None

  @property
  def size(self) -> chex.Array | int:
    """Number of images that count."""
    return len(self.images) if self.num_images is None else self.num_images

  def pad(self, length: int) -> 'RealImages':
    """Adds images that do not count, on the host.

    Sets of the same length are drawn from by the same program.

    Args:
      length: number of images then, at least as many as there are.
    """
    num_images = len(self.images)
    images, targets = (
      np.concatenate(
        [array, np.zeros((length - num_images, *array.shape[1:]), array.dtype)]
      )
      for array in (self.images, self.targets)
    )
    return self.replace(
      images=images, targets=targets, num_images=np.int32(num_images)
    )


def scale_and_resize(
  images: chex.Array, image_size: tuple[int, int]
) -> chex.Array:
  """Brings uint8 images to [0, 1], and bilinearly to another size.

  Args:
    images: uint8 [n, h, w, c].
    image_size: (height, width) of the result.

  Returns:
    float32 [n, *image_size, c].
  """
  num_images, *_, channels = images.shape
  scaled_images = images.astype(jnp.float32) / 255
  return jax.image.resize(
    scaled_images, (num_images, *image_size, channels), 'bilinear'
  )


def augment(
  image: chex.Array, key: chex.PRNGKey, *, shift: int, flip: bool
) -> chex.Array:
  """Moves and mirrors one image at random.

  Args:
    image: [h, w, c].
    key: the sample's.
    shift: it moves by -shift .. shift pixels along each axis; 0 comes in.
    flip: whether it is mirrored left to right with probability 1/2.

  Returns:
    The image, [h, w, c].
  """
  # Split even if one is not used, so that flips do not depend on `shift`.
  shift_key, flip_key = jax.random.split(key)
  if shift:
    padded_image = jnp.pad(image, ((shift, shift), (shift, shift), (0, 0)))
    top, left = jax.random.randint(shift_key, (2,), 0, 2 * shift + 1)
    image = jax.lax.dynamic_slice(padded_image, (top, left, 0), image.shape)
  if flip:
    image = jnp.where(jax.random.bernoulli(flip_key), image[:, ::-1], image)
  return image


def draw_batch(
  image_sets: Sequence[RealImages],
  key: chex.PRNGKey,
  batch_size: int,
  image_size: tuple[int, int],
) -> tuple[chex.Array, chex.Array]:
  """Draws this device's share of a random batch from the union of all sets.

  Args:
    image_sets: all their images are equally likely; drawn with replacement.
    key: the step's.
    batch_size: size of the whole batch.
    image_size: (height, width) to bring the images to.

  Returns:
    Images in [0, 1], [share, h, w, c], and their targets, [share, ...].
  """
  sample_keys = parallel.sample_keys(key, batch_size)
  num_images = sum(image_set.size for image_set in image_sets)
  # Rows count through all sets, as if they were concatenated.
  rows = jax.vmap(
    lambda sample_key: jax.random.randint(sample_key, (), 0, num_images)
  )(sample_keys)

  # Which set a sample comes from is known on the device only: so each set gives
  # an image for every sample, and the right one is chosen below.
  candidates, first_row = [], 0
  for image_set in image_sets:
    end_row = first_row + image_set.size
    set_rows = jnp.clip(rows - first_row, 0, image_set.size - 1)
    set_images = image_set.images[set_rows]
    if image_set.shift or image_set.flip:
      set_images = jax.vmap(
        lambda image, sample_key, image_set=image_set: augment(
          image,
          # The key itself has drawn the row.
          jax.random.fold_in(sample_key, 1),
          shift=image_set.shift,
          flip=image_set.flip,
        )
      )(set_images, sample_keys)
    candidates.append(
      (
        (first_row <= rows) & (rows < end_row),
        scale_and_resize(set_images, image_size),
        image_set.targets[set_rows],
      )
    )
    first_row = end_row

  (_, images, targets), *later_candidates = candidates
  for is_from_set, set_images, set_targets in later_candidates:
    images = jnp.where(
      _expand_like(is_from_set, set_images), set_images, images
    )
    targets = jnp.where(
      _expand_like(is_from_set, set_targets), set_targets, targets
    )
  return images, targets


def _expand_like(row_mask: chex.Array, array: chex.Array) -> chex.Array:
  """Reshapes a mask [n] to [n, 1, ...], with as many axes as `array` has."""
  return row_mask.reshape(-1, *[1] * (array.ndim - 1))
