"""Computes logits of real images, and compares those of several models."""

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
