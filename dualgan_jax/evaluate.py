"""How good answers are on real, labelled images."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from sklearn import metrics

from dualgan_jax import images

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
  run = jax.jit(lambda v, x: apply(v, images.prepared(x, size)))
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


def agreement(logits: np.ndarray, said: np.ndarray) -> float:
  """Share of images on which two have the same most probable label.

  Args:
    logits: [n, L].
    said: another's answers, logits or probabilities, [n, L].
  """
  return float(np.mean(np.argmax(logits, 1) == np.argmax(said, 1)))


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
    targets: 0 or 1, [n, L]; None if they are not known.

  Returns:
    By label: `student_ap` and `teachers_ap`, average precision, None where no
    image is known to carry the label; `student_only` and `teachers_only`, the
    share of images on which only the one says, at probability 0.5, that the
    label is there.
  """
  found = {}
  for i, label in enumerate(labels):
    ours, theirs = student[:, i], teachers[:, i]
    known = targets is not None and targets[:, i].any()

    def precision(logits, i=i, known=known):
      if not known:
        return None
      return float(metrics.average_precision_score(targets[:, i], logits))

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
      negatives, except for top1.

  Returns:
    top1: over images with one of the labels, the share whose most probable
      label is right; None where an image has several.
    mAP: average precision, mean over labels that occur; None if none does.
    f1_macro: F1 at probability 0.5, mean over labels.
    f1_micro: F1 at probability 0.5 over all answers.
    exact_match: share of images all of whose answers at 0.5 are right.
  """
  counts = targets.sum(axis=1)
  top1 = None
  if counts.max(initial=0) <= 1:
    rows = counts == 1
    right = logits[rows].argmax(axis=1) == targets[rows].argmax(axis=1)
    top1 = float(right.mean()) if rows.any() else None
  occur = targets.any(axis=0)
  mean_ap = None
  if occur.any():
    mean_ap = float(
      metrics.average_precision_score(targets[:, occur], logits[:, occur])
    )
  said = logits > 0
  exact = float((said == (targets > 0.5)).all(axis=1).mean())
  if targets.shape[1] == 1:
    # One column would be taken for two classes, "yes" and "no".
    targets, said = targets[:, 0], said[:, 0]
    kinds = {'f1_macro': 'binary', 'f1_micro': 'binary'}
  else:
    kinds = {'f1_macro': 'macro', 'f1_micro': 'micro'}
  return {
    'top1': top1,
    'mAP': mean_ap,
    **{
      name: float(
        metrics.f1_score(targets, said, average=kind, zero_division=0)
      )
      for name, kind in kinds.items()
    },
    'exact_match': exact,
  }
