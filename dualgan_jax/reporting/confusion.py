"""Counts what the student answers to images of each label."""

from typing import Any

import numpy as np

# A table of more labels would be the largest part of `results.json`.
MAX_LABELS = 50


def count_answers(
  logits: np.ndarray, targets: np.ndarray, *, one_label: bool
) -> dict[str, Any] | None:
  """Counts answers by label: a confusion matrix, or co-occurrences.

  Args:
    logits: the student's, [n, L].
    targets: 0 or 1, or NaN if unknown, [n, L].
    one_label: whether images carry one label each, as far as they carry any.

  Returns:
    `kind`: 'confusion' or 'cooccurrence'; `counts`, [L][L]: of the images that
    carry the label of the row, how many have the label of the column for their
    most probable one, or at a probability above 0.5; `images`, [L]: how many
    carry the label. None if there are more than `MAX_LABELS` labels, or one.
  """
  num_labels = logits.shape[1]
  if not 1 < num_labels <= MAX_LABELS:
    return None
  present = (targets > 0.5).astype(int)
  if one_label:
    answers = np.eye(num_labels, dtype=int)[logits.argmax(axis=1)]
  else:
    answers = (logits > 0).astype(int)
  return {
    'kind': 'confusion' if one_label else 'cooccurrence',
    'counts': (present.T @ answers).tolist(),
    'images': present.sum(axis=0).tolist(),
  }
