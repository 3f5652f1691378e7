"""Finds what a run's generated images tell of generator, teachers and student.

`diagnosis` judges it.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from dualgan_jax.losses import Moments

# A teacher that gives its label at least this probability is sure of it.
SURE_PROBABILITY = 0.9
# The variance of a layer whose channels are all constant.
_TINY = 1e-12


@dataclasses.dataclass(frozen=True)
class Findings:
  """Numbers about generated images, as `results.json` holds them.

  Attributes:
    num_images: number of generated images.
    label_counts: by label, the images that show it: it is the most probable
      one, if labels exclude one another, and else the teachers together give it
      a probability above 0.5.
    empty_share: share of images with no probability above 0.5.
    agreement: share of images whose most probable label is the same for student
      and teachers; of one label, on which both say alike whether it is there.
    label_agreement: by label, the same of the images whose most probable label
      it is for the teachers; None if there are none.
    blend_agreement: the same as `agreement`, of blends of two of the images;
      None in results of an earlier version.
    mean_top_probability: mean of the teachers' largest probability.
    sure_share: share of images on which it is `SURE_PROBABILITY` or more.
    contradictions: see `contradiction_share`; None if no label is shared.
    statistics_distance: see `statistics_distance`; None if no teacher has
      statistics.
  """

  num_images: int
  label_counts: dict[str, int]
  empty_share: float
  agreement: float
  label_agreement: dict[str, float | None]
  blend_agreement: float | None
  mean_top_probability: float
  sure_share: float
  contradictions: float | None
  statistics_distance: float | None


def examine(
  labels: Sequence[str],
  student_logits: np.ndarray,
  teacher_logits: np.ndarray,
  blend_logits: tuple[np.ndarray, np.ndarray],
  owner_logits: np.ndarray | None = None,
  moments: Sequence[Sequence[Moments]] = (),
  *,
  single_label: bool,
) -> Findings:
  """Computes what generated images say of generator, teachers and student.

  Args:
    labels: L names.
    student_logits: of N ≥ 1 generated images, [N, L].
    teacher_logits: the ensemble's of the same images, [N, L].
    blend_logits: the student's and the ensemble's of blends of these images,
      [N, L] each.
    owner_logits: see `contradiction_share`; None if only one teacher answered
      each image, or no label is shared.
    moments: see `statistics_distance`.
    single_label: whether the labels exclude one another. A mean of softmaxes
      may give none of them a probability above 0.5.
  """
  student_logits, teacher_logits = (
    np.asarray(logits, np.float64)
    for logits in (student_logits, teacher_logits)
  )
  top_labels = teacher_logits.argmax(axis=1)
  is_probable = teacher_logits > 0
  is_shown = is_probable
  if single_label:
    is_shown = top_labels[:, None] == np.arange(len(labels))
  is_same = _answer_alike(student_logits, teacher_logits)
  # σ(x) without an overflow at -1e4.
  top_probabilities = 0.5 * (1 + np.tanh(0.5 * teacher_logits.max(axis=1)))
  return Findings(
    num_images=len(teacher_logits),
    label_counts=dict(zip(labels, is_shown.sum(axis=0).tolist(), strict=True)),
    empty_share=float(np.mean(~is_probable.any(axis=1))),
    agreement=float(is_same.mean()),
    label_agreement={
      label: _mean(is_same[top_labels == column])
      for column, label in enumerate(labels)
    },
    blend_agreement=float(_answer_alike(*blend_logits).mean()),
    mean_top_probability=float(top_probabilities.mean()),
    sure_share=float(np.mean(top_probabilities >= SURE_PROBABILITY)),
    contradictions=(
      None if owner_logits is None else contradiction_share(owner_logits)
    ),
    statistics_distance=statistics_distance(moments),
  )


def _answer_alike(logits: np.ndarray, others: np.ndarray) -> np.ndarray:
  """Returns on which images two answers, [N, L] each, are the same label.

  Of one label, whether both say alike that it is there.
  """
  if logits.shape[1] == 1:
    return (logits[:, 0] > 0) == (others[:, 0] > 0)
  return logits.argmax(axis=1) == others.argmax(axis=1)


def contradiction_share(owner_logits: np.ndarray) -> float | None:
  """Computes the share of images on which owners of a label contradict.

  Two teachers that answer the same label contradict one another if only one of
  them gives it a probability above 0.5.

  Args:
    owner_logits: of each label, those of the teachers that answer it,
      [N, L, K]; NaN fills labels with fewer than K.

  Returns:
    None if no label has two owners.
  """
  is_owner = ~np.isnan(owner_logits)
  is_shared = is_owner.sum(axis=2) > 1
  if not is_shared.any():
    return None
  says_yes = (is_owner & (np.nan_to_num(owner_logits) > 0)).sum(axis=2)
  says_no = is_owner.sum(axis=2) - says_yes
  return float(np.mean(((says_yes > 0) & (says_no > 0)).any(axis=1)))


def statistics_distance(moments: Sequence[Sequence[Moments]]) -> float | None:
  """Computes how far generated images lie from the teachers' statistics.

  Of one layer it is `||μ - μ̂||_2 / ||σ̂||_2`, a distance in standard deviations:
  μ is the mean of each channel on generated images, μ̂ and σ̂ are the layer's
  own. The result is the mean over a teacher's layers, then over teachers.

  Args:
    moments: by teacher, one entry per batch-norm layer or named tensor.

  Returns:
    None if no teacher has such a layer.
  """
  distances = [
    np.mean(
      [
        np.linalg.norm(layer.mean - layer.running_mean)
        / np.sqrt(np.sum(layer.running_variance) + _TINY)
        for layer in layers
      ]
    )
    for layers in moments
    if layers
  ]
  return float(np.mean(distances)) if distances else None


def _mean(values: np.ndarray) -> float | None:
  return float(values.mean()) if values.size else None
