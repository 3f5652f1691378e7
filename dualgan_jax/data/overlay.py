"""Overlays two images of different classes, after Sabour et al. (NIPS 2017).

"Dynamic Routing Between Capsules", MultiMNIST: each image is shifted by up to
`MAX_SHIFT` pixels in each direction on a canvas that leaves room for it, and
laid over another of a different class.
"""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from dualgan_jax.errors import UserError

if TYPE_CHECKING:
  from dualgan_jax.data.sources import Split

MAX_SHIFT = 4


def make_pairs(split: 'Split', seed: int, pairs_per_image: int = 1) -> 'Split':
  """Makes images of two, with each image on top `pairs_per_image` times.

  Image i is laid over a random other image of a different label set. Both are
  shifted independently and uniformly by -4 .. 4 pixels along each axis; pixels
  add up, and stop at 255. 28×28 becomes 36×36. The labels are the union.

  Args:
    split: images uint8 [n, h, w, c] with at least two different label sets.
    seed: seed of partners and shifts.
    pairs_per_image: how often each image is on top.

  Returns:
    Images uint8 [n · pairs_per_image, h + 8, w + 8, c], and their targets.

  Raises:
    UserError: there is only one label set.
  """
  check(split)
  random_generator = np.random.default_rng(seed)
  images, targets = zip(
    *(_pair_all(split, random_generator) for _ in range(pairs_per_image)),
    strict=True,
  )
  return dataclasses.replace(
    split, images=np.concatenate(images), targets=np.concatenate(targets)
  )


def check(split: 'Split') -> None:
  """Checks that each image has another to be laid over.

  Raises:
    UserError: there is only one label set.
  """
  if (split.targets == split.targets[0]).all():
    raise UserError(
      'data: images can be laid over one another only if not all of them carry '
      'the same labels; set overlay to 0.'
    )


def _pair_all(split, random_generator):
  """Lays each image once over a partner, and returns images and targets."""
  num_images, height, width, channels = split.images.shape
  # Draw again for images whose partner has the same label set. Every image has
  # another to be drawn, since `check` has passed.
  partners = random_generator.integers(0, num_images, num_images)
  while True:
    unfit_rows = np.flatnonzero(
      (split.targets == split.targets[partners]).all(axis=1)
    )
    if not unfit_rows.size:
      break
    partners[unfit_rows] = random_generator.integers(
      0, num_images, unfit_rows.size
    )
  # 16 bits hold the sum of two images, which may exceed 255.
  canvas = np.zeros(
    (num_images, height + 2 * MAX_SHIFT, width + 2 * MAX_SHIFT, channels),
    np.uint16,
  )
  for rows in (np.arange(num_images), partners):
    down, right = random_generator.integers(
      0, 2 * MAX_SHIFT + 1, (2, num_images)
    )
    y = down[:, None, None] + np.arange(height)[:, None]  # [n, h, 1]
    x = right[:, None, None] + np.arange(width)  # [n, 1, w]
    canvas[np.arange(num_images)[:, None, None], y, x] += split.images[rows]
  targets = np.maximum(split.targets, split.targets[partners])
  return np.minimum(canvas, 255).astype(np.uint8), targets
