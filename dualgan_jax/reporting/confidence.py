"""Computes 95 % confidence intervals of scores over the test images.

They tell how far a score would move with other test images of the same kind,
and not with another training.
"""

import math

import numpy as np

_QUANTILE = 1.96  # of the standard normal distribution, at 97.5 %
# Groups of images, to be left out one by one: more of them tell the width more
# exactly, and cost more where many labels are present.
_MIN_GROUPS, _MAX_GROUPS = 20, 200
_MAX_LEFT_OUT = 4_000_000  # groups times present labels

Interval = tuple[float, float]


def share_interval(share: float, num_images: int) -> Interval:
  """Computes the interval of a share of images, as accuracy is one.

  Wilson's (1927) stays within 0 and 1, and has a width at their ends, too.

  Args:
    share: from 0 to 1.
    num_images: images that it is a share of, at least 1.

  Returns:
    Lower and upper bound.
  """
  square = _QUANTILE**2 / num_images
  center = (share + square / 2) / (1 + square)
  half_width = (
    _QUANTILE
    / (1 + square)
    * math.sqrt(share * (1 - share) / num_images + square / (4 * num_images))
  )
  return max(center - half_width, 0.0), min(center + half_width, 1.0)


def mean_precision_interval(
  logits: np.ndarray, targets: np.ndarray, seed: int = 0
) -> Interval | None:
  """Computes the interval of mAP by a grouped jackknife (Tukey, 1958).

  The images are put into groups at random, and mAP is computed without each
  of them: how far these values scatter tells the standard error. The bootstrap
  gives the same within a few percent, and takes minutes where this takes a
  second.

  Args:
    logits: [n, L].
    targets: 0 or 1, [n, L]; NaN counts neither way.
    seed: of the grouping.

  Returns:
    Lower and upper bound; None if no image is known to carry a label.
  """
  num_images, num_hits = len(logits), int((targets > 0.5).sum())
  num_groups = _MAX_LEFT_OUT // max(num_hits, 1)
  num_groups = min(max(num_groups, _MIN_GROUPS), _MAX_GROUPS, num_images)
  groups = np.random.default_rng(seed).permutation(num_images)
  groups %= max(num_groups, 1)
  # A label that no image carries has no precision, as in the score itself.
  columns = np.flatnonzero((targets > 0.5).any(axis=0))
  if not columns.size or num_groups < 2:
    return None
  precisions = [
    _precisions_without_groups(
      logits[:, column], targets[:, column], groups, num_groups
    )
    for column in columns
  ]
  # Without a group, a rare label may be missing.
  mean_precision, *means = np.nanmean(precisions, axis=0)
  variance = (num_groups - 1) * np.var(means)
  half_width = _QUANTILE * math.sqrt(variance)
  return (
    float(max(mean_precision - half_width, 0.0)),
    float(min(mean_precision + half_width, 1.0)),
  )


def _precisions_without_groups(
  logits: np.ndarray, targets: np.ndarray, groups: np.ndarray, num_groups: int
) -> np.ndarray:
  """Computes a label's average precision of all images, and without each group.

  Args:
    logits: the label's, [n].
    targets: 0 or 1, [n], at least one of them 1; NaN counts neither way.
    groups: of each image, in 0 .. G - 1, [n].
    num_groups: G.

  Returns:
    [1 + G], that of all images first; NaN where no image carries the label.
  """
  order = np.argsort(-logits)
  order = order[~np.isnan(targets[order])]
  is_hit, groups = targets[order] > 0.5, groups[order]
  num_hits = int(is_hit.sum())
  # By group, the images in the ranks that end with each hit; none after the
  # last hit matter.
  rank_section = np.cumsum(is_hit) - is_hit
  images_of_group = np.bincount(
    rank_section * num_groups + groups, minlength=(num_hits + 1) * num_groups
  ).reshape(-1, num_groups)[:num_hits]
  hits_of_group = np.eye(num_groups, dtype=np.int32)[groups[is_hit]]
  images_left, hits_left = (
    # A column for no group left out, then one for each.
    np.cumsum(counts.sum(axis=1))[:, None]
    - np.pad(np.cumsum(counts, axis=0), ((0, 0), (1, 0)))
    for counts in (images_of_group, hits_of_group)
  )
  is_left = 1 - np.pad(hits_of_group, ((0, 0), (1, 0)))
  precision = hits_left / np.maximum(images_left, 1)
  sums = (precision * is_left).sum(axis=0)
  hit_counts = is_left.sum(axis=0)
  return np.where(hit_counts > 0, sums / np.maximum(hit_counts, 1), np.nan)
