"""Real data: to pretrain teachers, for one baseline, and to evaluate.

Nothing else may import this module.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from PIL import Image

from dualgan_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Split:
  """Images with their labels.

  Attributes:
    images: uint8 [n, h, w, c].
    targets: 0 or 1, float32 [n, labels of the data set].
    names: of the labels, in the order of the columns.
  """

  images: np.ndarray
  targets: np.ndarray
  names: tuple[str, ...]

  def columns(self, labels: Sequence[str]) -> np.ndarray:
    """The targets of some labels, in that order, [n, len(labels)].

    Raises:
      UserError: the data set does not have one of them.
    """
    missing = [x for x in labels if x not in self.names]
    if missing:
      raise UserError(
        f'labels: the data set has no {", ".join(map(repr, missing))}; it has '
        f'{", ".join(map(repr, self.names))}.'
      )
    return self.targets[:, [self.names.index(x) for x in labels]]

  def showing(self, labels: Sequence[str]) -> 'Split':
    """Only the images that carry at least one of these labels."""
    rows = self.columns(labels).any(axis=1)
    return dataclasses.replace(
      self, images=self.images[rows], targets=self.targets[rows]
    )


def load(
  split: str, image: tuple[int, int, int], test_fraction: float, seed: int
) -> Split:
  """scikit-learn's bundled handwritten digits, 1,797 images of 8×8.

  Args:
    split: 'train' or 'test'; drawn by seed, stratified by digit.
    image: (height, width, channels) to bring the images to, bilinearly.
    test_fraction: share of images that are the test part.
    seed: of the split.

  Raises:
    UserError: a part would be too small to hold every digit.
  """
  # scikit-learn takes a second to import: only who opens data pays for it.
  from sklearn import datasets, model_selection

  digits = datasets.load_digits()
  try:
    train, test = model_selection.train_test_split(
      np.arange(len(digits.target)),
      test_size=test_fraction,
      stratify=digits.target,
      random_state=seed,
    )
  except ValueError as e:
    raise UserError(f'data.test_fraction: {e}; take one nearer 0.5.') from e
  rows = {'train': train, 'test': test}[split]
  height, width, channels = image
  images = np.stack(
    [
      np.asarray(
        Image.fromarray(np.uint8(x * 255 / 16)).resize(
          (width, height), Image.Resampling.BILINEAR
        )
      )
      for x in digits.images[rows]
    ]
  )
  return Split(
    np.repeat(images[..., None], channels, axis=-1),
    np.eye(10, dtype=np.float32)[digits.target[rows]],
    tuple(str(x) for x in digits.target_names),
  )
