"""Computes 95 % confidence intervals of scores over the test images.

They tell how far a score would move with other test images of the same kind,
and not with another training.
"""

import math

import numpy as np

_QUANTILE = 1.96  # of the standard normal distribution, at 97.5 %
_PERCENTILES = (2.5, 97.5)
_NUM_RESAMPLES = 500

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
  """Computes the interval of mAP by the bootstrap (Efron, 1979) over images.

  Args:
    logits: [n, L].
    targets: 0 or 1, [n, L]; NaN counts neither way.
    seed: of the resampling.

  Returns:
    Lower and upper bound; None if no image is known to carry a label.
  """
  present = targets > 0.5
  columns = present.any(axis=0)
  if not columns.any():
    return None
  order = np.argsort(-logits[:, columns], axis=0, kind='stable')
  # In the order of each label, images that carry it, and that count at all.
  ranked_present, ranked_known = (
    np.take_along_axis(mask[:, columns], order, axis=0)
    for mask in (present, ~np.isnan(targets))
  )
  num_images = len(logits)
  random_generator = np.random.default_rng(seed)
  means = []
  for _ in range(_NUM_RESAMPLES):
    # How often each image is drawn.
    counts = random_generator.multinomial(
      num_images, np.full(num_images, 1 / num_images)
    )
    ranked_counts = counts[order]
    hits = ranked_counts * ranked_present
    precision = np.cumsum(hits, axis=0) / np.maximum(
      np.cumsum(ranked_counts * ranked_known, axis=0), 1
    )
    num_hits = hits.sum(axis=0)
    # A rare label may be missing among the images that were drawn.
    drawn = num_hits > 0
    if drawn.any():
      average_precision = (precision * hits).sum(axis=0)[drawn]
      means.append(np.mean(average_precision / num_hits[drawn]))
  low, high = np.percentile(means, _PERCENTILES)
  return float(low), float(high)
