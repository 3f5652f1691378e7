"""Compares a model's probabilities with how often it is right."""

from typing import Any

import numpy as np

_NUM_BINS = 10


def count_bins(
  logits: np.ndarray, targets: np.ndarray, *, one_label: bool
) -> list[dict[str, Any]]:
  """Sorts answers into bins of equal width by their probability.

  Args:
    logits: [n, L]; their sigmoids are probabilities.
    targets: 0 or 1, or NaN if unknown, [n, L].
    one_label: whether images carry one label each: the most probable label of
      each image that carries one is an answer then. Else each pair of image and
      label with a known target is one.

  Returns:
    10 bins: `confidence` and `accuracy`, means over its answers of their
    probability and of whether the label is there, None in an empty bin; and
    `count`, the number of answers.
  """
  if one_label:
    rows = np.flatnonzero((targets > 0.5).any(axis=1))
    columns = logits[rows].argmax(axis=1)
    values, is_right = logits[rows, columns], targets[rows, columns] > 0.5
  else:
    known = ~np.isnan(targets)
    values, is_right = logits[known], targets[known] > 0.5
  # σ(x) without an overflow at -1e4.
  probabilities = 0.5 * (1 + np.tanh(0.5 * values.astype(np.float64)))
  # A probability of 1 belongs to the last bin.
  bin_numbers = np.minimum(
    (probabilities * _NUM_BINS).astype(int), _NUM_BINS - 1
  )
  bins = []
  for bin_number in range(_NUM_BINS):
    members = bin_numbers == bin_number
    count = int(members.sum())
    bins.append(
      {
        'confidence': float(probabilities[members].mean()) if count else None,
        'accuracy': float(is_right[members].mean()) if count else None,
        'count': count,
      }
    )
  return bins


def calibration_error(bins: list[dict[str, Any]]) -> float:
  """Computes the expected calibration error (Naeini et al., 2015).

  Args:
    bins: of `count_bins`, not all of them empty.

  Returns:
    The distance of confidence and accuracy, mean over all answers.
  """
  total = sum(one_bin['count'] for one_bin in bins)
  return (
    sum(
      one_bin['count'] * abs(one_bin['confidence'] - one_bin['accuracy'])
      for one_bin in bins
      if one_bin['count']
    )
    / total
  )
