"""How good answers are on real, labelled images."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from sklearn import metrics

from dualgan_jax.training import image_batches

_BATCH = 500


def answers(
  apply: Callable[[Any, Any], Any],
  variables: Any,
  real: np.ndarray,
  size: tuple[int, int],
) -> np.ndarray:
  """Answers many images, some at a time.

  Args:
    apply: `(variables, images in [0, 1]) -> logits`.
    variables: of the net.
    real: images, uint8 [n, h, w, c].
    size: (height, width) that the net takes.

  Returns:
    Logits, [n, L].
  """
  run = jax.jit(lambda v, x: apply(v, image_batches.scale_and_resize(x, size)))
  parts = []
  for i in range(0, len(real), _BATCH):
    part = real[i : i + _BATCH]
    # The last part is filled up: one shape, one compilation.
    full = np.zeros((_BATCH, *part.shape[1:]), np.uint8)
    full[: len(part)] = part
    parts.append(np.asarray(run(variables, full))[: len(part)])
  return np.concatenate(parts)


def right_world(
  logits: Sequence[np.ndarray], known: Sequence[np.ndarray]
) -> float:
  """Share of images whose most probable label is one of their own data set.

  Args:
    logits: per data set, [n, L].
    known: per data set, which of the L labels it has, bool [L].
  """
  right = [own[x.argmax(axis=1)] for x, own in zip(logits, known, strict=True)]
  return float(np.concatenate(right).mean())


def per_label(
  labels: Sequence[str],
  student: np.ndarray,
  teachers: np.ndarray,
  targets: np.ndarray | None,
) -> dict[str, dict[str, float | None]]:
  """How student and teachers do on each label, and where they are apart.

  Args:
    labels: L names.
    student: its logits, [n, L].
    teachers: theirs, [n, L].
    targets: 0 or 1, [n, L], NaN counts neither way; None if they are not known.

  Returns:
    By label: `student_ap` and `teachers_ap`, average precision, None where no
    image is known to carry the label; `student_only` and `teachers_only`, the
    share of images on which only the one says, at probability 0.5, that the
    label is there.
  """
  found = {}
  for i, label in enumerate(labels):
    ours, theirs = student[:, i], teachers[:, i]

    def precision(logits, i=i):
      if targets is None:
        return None
      rows = ~np.isnan(targets[:, i])
      present = targets[rows, i] > 0.5
      if not present.any():
        return None
      return float(metrics.average_precision_score(present, logits[rows]))

    found[label] = {
      'student_ap': precision(ours),
      'teachers_ap': precision(theirs),
      'student_only': float(np.mean((ours > 0) & ~(theirs > 0))),
      'teachers_only': float(np.mean((theirs > 0) & ~(ours > 0))),
    }
  return found


def scores(logits: np.ndarray, targets: np.ndarray) -> dict[str, float | None]:
  """The metrics of `results.json`.

  Args:
    logits: [n, L].
    targets: 0 or 1, [n, L]; images without any of the labels count as
      negatives, except for top1. NaN counts neither way.

  Returns:
    top1: over images with one of the labels, the share whose most probable
      label is right; None where an image has several, a target is NaN, but
      for labels of which nothing is known, or there is one label only, which is
      always the most probable.
    mAP: average precision, mean over labels that occur; None if none does.
    mAP_11: the same of VOC 2007's precision at eleven recalls (`ap_11`).
    f1_macro: F1 at probability 0.5, mean over labels of which anything is
      known; None if there are none.
    f1_micro: F1 at probability 0.5 over all answers; None as well.
    exact_match: share of images all of whose answers at 0.5 are right; None as
      well.
  """
  known, present, said = ~np.isnan(targets), targets > 0.5, logits > 0
  counts = present.sum(axis=1)
  top1 = None
  sure = (known | ~known.any(axis=0)).all()
  if counts.max(initial=0) <= 1 and sure and targets.shape[1] > 1:
    rows = counts == 1
    right = logits[rows].argmax(axis=1) == present[rows].argmax(axis=1)
    top1 = float(right.mean()) if rows.any() else None
  columns = [
    (present[rows, i], logits[rows, i], said[rows, i])
    for i, rows in enumerate(known.T)
    if rows.any()
  ]
  occurring = [(y, x) for y, x, _ in columns if y.any()]

  def mean(values):
    return float(np.mean(values)) if values else None

  return {
    'top1': top1,
    'mAP': mean([metrics.average_precision_score(*own) for own in occurring]),
    'mAP_11': mean([ap_11(*own) for own in occurring]),
    'f1_macro': mean(
      [metrics.f1_score(y, own, zero_division=0) for y, _, own in columns]
    ),
    'f1_micro': float(
      metrics.f1_score(present[known], said[known], zero_division=0)
    )
    if columns
    else None,
    'exact_match': float(((said == present) | ~known).all(axis=1).mean())
    if columns
    else None,
  }


def ap_11(present: np.ndarray, logits: np.ndarray) -> float:
  """VOC 2007's average precision: the mean over recalls 0, 0.1, ..., 1.

  At each the best precision at that recall or a larger one counts (Everingham
  et al., 2010).

  Args:
    present: which images carry the label, bool [n], one at least.
    logits: [n].
  """
  precision, recall, _ = metrics.precision_recall_curve(present, logits)
  # The last point, precision 1 at recall 0, is no image's.
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
