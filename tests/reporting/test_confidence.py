"""Confidence intervals against worked cases and other ways to them."""

import numpy as np
import pytest

from dualgan_jax.reporting import confidence
from dualgan_jax.reporting.scores import compute_scores


def test_wilsons_interval_of_a_textbook_case():
  # 81 of 263 (Newcombe, 1998, method 3).
  low, high = confidence.share_interval(81 / 263, 263)
  assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


@pytest.mark.parametrize(
  ('share', 'bounds'), [(0, (0, 0.037)), (1, (0.963, 1))]
)
def test_at_its_ends_the_interval_keeps_a_width(share, bounds):
  assert confidence.share_interval(share, 100) == pytest.approx(
    bounds, abs=5e-4
  )


def _draw(num_images, rng):
  targets = np.float32(rng.uniform(size=(num_images, 3)) < 0.3)
  return targets + rng.normal(size=targets.shape), targets


def test_the_interval_of_map_is_as_wide_as_maps_of_other_images():
  rng = np.random.default_rng(0)
  others = [compute_scores(*_draw(300, rng))['mAP'] for _ in range(200)]
  expected = np.percentile(others, 97.5) - np.percentile(others, 2.5)
  low, high = confidence.mean_precision_interval(*_draw(300, rng))
  assert high - low == pytest.approx(expected, rel=0.2)
  assert low < np.mean(others) < high


def test_unknown_targets_count_neither_way():
  rng = np.random.default_rng(0)
  logits, targets = _draw(50, rng)
  targets[:, 1] = np.nan
  interval = confidence.mean_precision_interval(logits, targets)
  assert interval == confidence.mean_precision_interval(
    logits[:, [0, 2]], targets[:, [0, 2]]
  )
  assert confidence.mean_precision_interval(logits, 0 * targets) is None
