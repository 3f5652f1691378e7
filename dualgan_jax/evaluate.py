"""How good answers are on real, labelled images."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from sklearn import metrics

_BATCH = 500


def answers(
  apply: Callable[[Any, Any], Any], variables: Any, images: np.ndarray
) -> np.ndarray:
  """Answers many images, some at a time.

  Args:
    apply: `(variables, images in [0, 1]) -> logits`.
    variables: of the net.
    images: uint8 [n, h, w, c].

  Returns:
    Logits, [n, L].
  """
  run = jax.jit(apply)
  parts = []
  for i in range(0, len(images), _BATCH):
    part = images[i : i + _BATCH].astype(np.float32) / 255
    # The last part is filled up: one shape, one compilation.
    full = np.zeros((_BATCH, *part.shape[1:]), np.float32)
    full[: len(part)] = part
    parts.append(np.asarray(run(variables, full))[: len(part)])
  return np.concatenate(parts)


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
  }
