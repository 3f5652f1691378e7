"""Measures how well logits answer real, labelled images."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from sklearn import metrics

from dualgan_jax.training import image_batches

_BATCH_SIZE = 500


def compute_logits(
  apply: Callable[[Any, Any], Any],
  variables: Any,
  images: np.ndarray,
  image_size: tuple[int, int],
) -> np.ndarray:
  """Computes a net's logits of any number of images, batch by batch.

  Args:
    apply: `(variables, images in [0, 1]) -> logits`.
    variables: variables of the net.
    images: real images, uint8 [n, h, w, c].
    image_size: (height, width) that the net takes.

  Returns:
    Logits, [n, L].
  """
  apply_batch = jax.jit(
    lambda variables, batch: apply(
      variables, image_batches.scale_and_resize(batch, image_size)
    )
  )
  logits = []
  for start in range(0, len(images), _BATCH_SIZE):
    batch = images[start : start + _BATCH_SIZE]
    # The last batch is filled up: one shape needs one compilation.
    full_batch = np.zeros((_BATCH_SIZE, *batch.shape[1:]), np.uint8)
    full_batch[: len(batch)] = batch
    batch_logits = np.asarray(apply_batch(variables, full_batch))
    logits.append(batch_logits[: len(batch)])
  return np.concatenate(logits)


def right_world_share(
  logits: Sequence[np.ndarray], known_labels: Sequence[np.ndarray]
) -> float:
  """Returns the share of images answered by a label of their own data set.

  An image is answered by its most probable label.

  Args:
    logits: per data set, the logits of its images, [n, L].
    known_labels: per data set, which of the L labels it has, bool [L].
  """
  right_answers = [
    set_labels[set_logits.argmax(axis=1)]
    for set_logits, set_labels in zip(logits, known_labels, strict=True)
  ]
  return float(np.concatenate(right_answers).mean())


def compare_per_label(
  labels: Sequence[str],
  student_logits: np.ndarray,
  teacher_logits: np.ndarray,
  targets: np.ndarray | None,
) -> dict[str, dict[str, float | None]]:
  """Compares student and teachers label by label.

  Args:
    labels: L names.
    student_logits: the student's, [n, L].
    teacher_logits: the ensemble's, [n, L].
    targets: 0 or 1, [n, L]; NaN counts neither way. None if they are not known.

  Returns:
    By label: `student_ap` and `teachers_ap`, average precision, None where no
    image is known to carry the label; `student_only` and `teachers_only`, the
    share of images that only the student or only the teachers give the label,
    at probability 0.5.
  """
  comparison = {}
  for column, label in enumerate(labels):
    label_targets = None if targets is None else targets[:, column]
    # Logits above 0 are probabilities above 0.5.
    student, teachers = student_logits[:, column], teacher_logits[:, column]
    comparison[label] = {
      'student_ap': _average_precision(label_targets, student),
      'teachers_ap': _average_precision(label_targets, teachers),
      'student_only': float(np.mean((student > 0) & ~(teachers > 0))),
      'teachers_only': float(np.mean((teachers > 0) & ~(student > 0))),
    }
  return comparison


def _average_precision(
  targets: np.ndarray | None, logits: np.ndarray
) -> float | None:
  """Computes a label's average precision over the images of known target.

  Args:
    targets: 0, 1 or NaN, [n]; None if they are not known.
    logits: the label's, [n].

  Returns:
    None if no image is known to carry the label.
  """
  if targets is None:
    return None
  rows = ~np.isnan(targets)
  present = targets[rows] > 0.5
  if not present.any():
    return None
  return float(metrics.average_precision_score(present, logits[rows]))


def compute_scores(
  logits: np.ndarray, targets: np.ndarray
) -> dict[str, float | None]:
  """Computes the metrics of `results.json`.

  Args:
    logits: [n, L].
    targets: 0 or 1, [n, L]; images without any of the labels count as
      negatives, except for top1. NaN counts neither way.

  Returns:
    top1: share of images whose most probable label is right, of those with one
      of the labels. None where an image has several; where a target is NaN,
      except for labels that are NaN throughout; and where there is one label
      only, which is always the most probable.
    mAP: average precision, mean over labels that occur; None if none does.
    mAP_11: the same of VOC 2007's precision at eleven recalls.
    f1_macro: F1 at probability 0.5, mean over labels with known targets; None
      if there are none.
    f1_micro: F1 at probability 0.5 over all pairs of image and label whose
      target is known; None if there are none.
    exact_match: share of images all of whose answers at 0.5 are right; None if
      no target is known.
  """
  known, present, predicted = ~np.isnan(targets), targets > 0.5, logits > 0
  # Top-1 accuracy is that of a single-label problem.
  label_counts = present.sum(axis=1)
  top1 = None
  all_known = (known | ~known.any(axis=0)).all()
  if label_counts.max(initial=0) <= 1 and all_known and targets.shape[1] > 1:
    rows = label_counts == 1
    right = logits[rows].argmax(axis=1) == present[rows].argmax(axis=1)
    top1 = float(right.mean()) if rows.any() else None
  # Per label, only the images count whose target is known.
  label_columns = [
    (present[rows, column], logits[rows, column], predicted[rows, column])
    for column, rows in enumerate(known.T)
    if rows.any()
  ]
  occurring_columns = [
    (label_present, label_logits)
    for label_present, label_logits, _ in label_columns
    if label_present.any()
  ]

  def mean(values):
    return float(np.mean(values)) if values else None

  # A label that is neither there nor predicted has an F1 of 0, like one that is
  # always missed.
  return {
    'top1': top1,
    'mAP': mean(
      [
        metrics.average_precision_score(label_present, label_logits)
        for label_present, label_logits in occurring_columns
      ]
    ),
    'mAP_11': mean(
      [
        eleven_point_precision(label_present, label_logits)
        for label_present, label_logits in occurring_columns
      ]
    ),
    'f1_macro': mean(
      [
        metrics.f1_score(label_present, label_predicted, zero_division=0)
        for label_present, _, label_predicted in label_columns
      ]
    ),
    'f1_micro': float(
      metrics.f1_score(present[known], predicted[known], zero_division=0)
    )
    if label_columns
    else None,
    'exact_match': float(((predicted == present) | ~known).all(axis=1).mean())
    if label_columns
    else None,
  }


def eleven_point_precision(present: np.ndarray, logits: np.ndarray) -> float:
  """Computes VOC 2007's average precision: the mean at recalls 0, 0.1, ..., 1.

  At each of them the best precision at that recall or a larger one counts
  (Everingham et al., 2010).

  Args:
    present: which images carry the label, bool [n], at least one.
    logits: [n].
  """
  precision, recall, _ = metrics.precision_recall_curve(present, logits)
  # The last point, precision 1 at recall 0, belongs to no image.
  precision, recall = precision[:-1], recall[:-1]
  # Recalls are fractions: 0.3 must not miss 3 of 10 by rounding.
  return float(
    np.mean(
      [
        precision[recall >= tenth / 10 - 1e-9].max(initial=0)
        for tenth in range(11)
      ]
    )
  )
