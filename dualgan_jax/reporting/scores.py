"""Defines the scores of a model on real, labelled images, a function each.

`SCORES` lists them: results and tables have a score for each of its rows.
scikit-learn is imported where it is called, since loading it takes a second
and only measuring needs it.
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np


class Answers(NamedTuple):
  """A model's answers to real images, and what is right.

  Attributes:
    logits: [n, L].
    targets: 0 or 1, [n, L]; NaN counts neither way. Images without any of the
      labels count as negatives, except for top-1 accuracy.
  """

  logits: np.ndarray
  targets: np.ndarray

  @property
  def known(self) -> np.ndarray:
    """Which targets are known, bool [n, L]."""
    return ~np.isnan(self.targets)

  @property
  def present(self) -> np.ndarray:
    """Which images carry which label, bool [n, L]."""
    return self.targets > 0.5

  @property
  def predicted(self) -> np.ndarray:
    """Which labels the model gives at probability 0.5, bool [n, L]."""
    return self.logits > 0

  def label_columns(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Iterates over labels with known targets: who carries it, and logits."""
    for column, rows in enumerate(self.known.T):
      if rows.any():
        yield self.present[rows, column], self.logits[rows, column]


class Score(NamedTuple):
  """A score of a model.

  Attributes:
    compute: takes `Answers`; returns None where the score has no meaning.
    title: head of its column in tables; '' if it stands in `results.json` only.
  """

  compute: Callable[[Answers], float | None]
  title: str = ''


def top1(answers: Answers) -> float | None:
  """Computes the share of images whose most probable label is right.

  Only images with one of the labels count.

  Returns:
    None where an image has several labels; where a target is NaN, except for
    labels that are NaN throughout; and where there is one label only, which is
    always the most probable.
  """
  known, present = answers.known, answers.present
  label_counts = present.sum(axis=1)
  all_known = (known | ~known.any(axis=0)).all()
  rows = label_counts == 1
  if (
    label_counts.max(initial=0) > 1
    or not all_known
    or present.shape[1] < 2
    or not rows.any()
  ):
    return None
  right = answers.logits[rows].argmax(axis=1) == present[rows].argmax(axis=1)
  return float(right.mean())


def mean_average_precision(answers: Answers) -> float | None:
  """Computes the average precision, mean over labels that occur, or None."""
  from sklearn import metrics

  return _mean_over_occurring(answers, metrics.average_precision_score)


def mean_eleven_point_precision(answers: Answers) -> float | None:
  """Computes `eleven_point_precision`, mean over labels that occur, or None."""
  return _mean_over_occurring(answers, eleven_point_precision)


def f1_macro(answers: Answers) -> float | None:
  """Computes F1 at probability 0.5, mean over labels with known targets.

  A label that is neither there nor predicted has an F1 of 0, like one that is
  always missed.

  Returns:
    None if there are no known targets.
  """
  from sklearn import metrics

  return _mean(
    [
      metrics.f1_score(present, logits > 0, zero_division=0)
      for present, logits in answers.label_columns()
    ]
  )


def f1_micro(answers: Answers) -> float | None:
  """Computes F1 at probability 0.5 over all pairs of image and label, or None.

  Only pairs whose target is known count.
  """
  from sklearn import metrics

  known = answers.known
  if not known.any():
    return None
  return float(
    metrics.f1_score(
      answers.present[known], answers.predicted[known], zero_division=0
    )
  )


def exact_match(answers: Answers) -> float | None:
  """Computes the share of images all of whose answers at 0.5 are right.

  Returns:
    None if no target is known.
  """
  known = answers.known
  if not known.any():
    return None
  right = (answers.predicted == answers.present) | ~known
  return float(right.all(axis=1).mean())


def eleven_point_precision(present: np.ndarray, logits: np.ndarray) -> float:
  """Computes VOC 2007's average precision: the mean at recalls 0, 0.1, ..., 1.

  At each of them the best precision at that recall or a larger one counts
  (Everingham et al., 2010).

  Args:
    present: which images carry the label, bool [n], at least one.
    logits: [n].
  """
  from sklearn import metrics

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


# By their names in `results.json`, in the order of the tables' columns.
SCORES: Mapping[str, Score] = MappingProxyType(
  {
    'top1': Score(top1, 'top-1'),
    'mAP': Score(mean_average_precision, 'mAP'),
    'mAP_11': Score(mean_eleven_point_precision),
    'f1_macro': Score(f1_macro, 'macro F1'),
    'f1_micro': Score(f1_micro, 'micro F1'),
    'exact_match': Score(exact_match, 'exact match'),
  }
)
# Titles of the columns of tables, by the names of the scores.
COLUMN_TITLES: Mapping[str, str] = MappingProxyType(
  {name: score.title for name, score in SCORES.items() if score.title}
)


def compute_scores(
  logits: np.ndarray, targets: np.ndarray
) -> dict[str, float | None]:
  """Computes all `SCORES`.

  Args:
    logits: [n, L].
    targets: 0 or 1, or NaN if unknown, [n, L].
  """
  answers = Answers(logits, targets)
  return {name: score.compute(answers) for name, score in SCORES.items()}


def _mean_over_occurring(
  answers: Answers, compute: Callable[[np.ndarray, np.ndarray], float]
) -> float | None:
  """Averages a score of one label over the labels that occur."""
  return _mean(
    [
      compute(present, logits)
      for present, logits in answers.label_columns()
      if present.any()
    ]
  )


def _mean(values: list[float]) -> float | None:
  return float(np.mean(values)) if values else None
