"""Two images of different classes in one, after Sabour et al. (NIPS 2017).

"Dynamic Routing Between Capsules", MultiMNIST: each image is shifted by up to
`SHIFT` pixels in each direction on a canvas that leaves room for it, and laid
over another of a different class.
"""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from dualgan_jax.errors import UserError

if TYPE_CHECKING:
  from dualgan_jax.data.sources import Split

SHIFT = 4


def pairs(split: 'Split', seed: int, times: int = 1) -> 'Split':
  """Two-in-one images, in which each image is on top `times` times.

  Image i is laid over a random other image of a different label set, both
  shifted independently and uniformly by -4 .. 4 pixels along each axis; pixels
  add up, and stop at 255. 28×28 becomes 36×36. The labels are the union.

  Args:
    split: images [n, h, w, c] with at least two different label sets.
    seed: of partners and shifts.
    times: the result has n · times images.

  Raises:
    UserError: there is only one label set.
  """
  check(split)
  rng = np.random.default_rng(seed)
  images, targets = zip(
    *(_round(split, rng) for _ in range(times)), strict=True
  )
  return dataclasses.replace(
    split, images=np.concatenate(images), targets=np.concatenate(targets)
  )


def check(split: 'Split') -> None:
  """Sees that each image has another to be laid over.

  Raises:
    UserError: there is only one label set.
  """
  if (split.targets == split.targets[0]).all():
    raise UserError(
      'data: images can be laid over one another only if not all of them carry '
      'the same labels; set overlay to 0.'
    )


def _round(split, rng):
  n, height, width, channels = split.images.shape
  partner = rng.integers(0, n, n)
  while True:
    same = np.flatnonzero((split.targets == split.targets[partner]).all(axis=1))
    if not same.size:
      break
    partner[same] = rng.integers(0, n, same.size)
  canvas = np.zeros(
    (n, height + 2 * SHIFT, width + 2 * SHIFT, channels), np.uint16
  )
  for rows in (np.arange(n), partner):
    down, right = rng.integers(0, 2 * SHIFT + 1, (2, n))
    y = down[:, None, None] + np.arange(height)[:, None]  # [n, h, 1]
    x = right[:, None, None] + np.arange(width)  # [n, 1, w]
    canvas[np.arange(n)[:, None, None], y, x] += split.images[rows]
  targets = np.maximum(split.targets, split.targets[partner])
  return np.minimum(canvas, 255).astype(np.uint8), targets
