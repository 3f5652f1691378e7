"""Scores models on the real test images of a run."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from dualgan_jax.config.fields import Experiment
from dualgan_jax.reporting import (
  calibration,
  confidence,
  confusion,
  cost,
  scores,
  worst_errors,
)
from dualgan_jax.student import temperature
from dualgan_jax.teachers.teacher import Teacher

if TYPE_CHECKING:
  from dualgan_jax.data.sources import Split

_MOST_RESAMPLED_TEACHERS = 16


class Scorer:
  """The scores of models on the real test images, if there are any.

  Attributes:
    logits: by name of the model, its logits of all test images, or of the
      generated ones if there are none.
  """

  def __init__(self, config: Experiment, splits: Sequence['Split']):
    # Importing scikit-learn takes a second.
    from dualgan_jax.reporting import metrics

    self._metrics, self._config, self._splits = metrics, config, splits
    self.logits: dict[str, np.ndarray] = {}

  def measure(
    self,
    name: str,
    apply: Callable[..., Any],
    variables: Any,
    labels: Sequence[str],
  ) -> dict[str, Any]:
    """Measures scores, parameters and FLOPs of a model.

    Args:
      name: name of the model.
      apply: (variables, images) → logits [N, |labels|].
      variables: the model's variables.
      labels: labels that it answers.

    Returns:
      The model's row of the results. Scores are None without real images.
    """
    return {
      **self.score_logits(name, self.compute_logits(apply, variables), labels),
      **self.count_costs(apply, variables),
    }

  def compute_logits(
    self, apply: Callable[..., Any], variables: Any
  ) -> np.ndarray | None:
    """Computes a model's logits of the images of all data sets.

    Args:
      apply: (variables, images) → logits [N, L].
      variables: the model's variables.

    Returns:
      Logits [n, L]; None without real images.
    """
    if not self._splits:
      return None
    return np.concatenate(
      [
        self._metrics.compute_logits(
          apply, variables, split.images, self._config.image_shape[:2]
        )
        for split in self._splits
      ]
    )

  def count_costs(
    self, apply: Callable[..., Any], variables: Any
  ) -> dict[str, int]:
    """Counts the parameters of a model, and its FLOPs per image.

    Args:
      apply: (variables, images) → logits.
      variables: the model's variables.
    """
    image_spec = jax.ShapeDtypeStruct(
      (1, *self._config.image_shape), np.float32
    )
    return {
      'params': cost.count_parameters(variables),
      'flops': cost.count_flops(apply, variables, image_spec),
    }

  def score_logits(
    self, name: str, logits: np.ndarray | None, labels: Sequence[str]
  ) -> dict[str, Any]:
    """Computes the scores of a model over all data sets.

    Args:
      name: name of the model.
      logits: of `compute_logits`, [n, |labels|].
      labels: labels that it answers.

    Returns:
      The scores in the model's row of the results, None without real images.
    """
    # The row has the same columns as with real images.
    if logits is None:
      return dict.fromkeys(scores.COLUMN_TITLES)
    label_masks = self._label_masks(labels)
    self.logits[name] = logits
    row = scores.compute_scores(logits, self._targets(labels))
    # It compares the labels of the sets, so each set must have some.
    if len(label_masks) > 1 and all(mask.any() for mask in label_masks):
      set_ends = np.cumsum([len(split.images) for split in self._splits])
      row['right_world'] = self._metrics.right_world_share(
        np.split(logits, set_ends[:-1]), label_masks
      )
    return row

  def per_label(self) -> Any:
    """Compares compact TargetNet and teachers label by label.

    Returns:
      What `metrics.compare_per_label` returns.
    """
    labels = self._config.labels
    return self._metrics.compare_per_label(
      labels,
      self.logits['compact'],
      self.logits['teachers'],
      self._targets(labels) if self._splits else None,
    )

  def all_intervals(
    self, rows: Mapping[str, Mapping[str, Any]], teachers: Sequence[Teacher]
  ) -> dict[str, dict[str, confidence.Interval]]:
    """Computes 95 % confidence intervals of the scores of all models.

    Args:
      rows: the rows of the results, by name of the model.
      teachers: those that have a row, each on its own labels; the other models
        answer all labels of the config.

    Returns:
      By name of the model and of the metric, lower and upper bound; without
      metrics that are None, without mAP of each of very many teachers, and
      empty without real images.
    """
    if not self._splits:
      return {}
    teacher_labels = {teacher.name: teacher.labels for teacher in teachers}
    # Resampling takes seconds per model.
    few_models = len(teachers) <= _MOST_RESAMPLED_TEACHERS
    return {
      name: self._intervals(
        name,
        row,
        self._targets(teacher_labels.get(name, self._config.labels)),
        has_mean_precision=few_models or name not in teacher_labels,
      )
      for name, row in rows.items()
    }

  def answer_tables(
    self, student_row: Mapping[str, Any], degree: float, *, single_label: bool
  ) -> dict[str, Any]:
    """Counts the compact student's answers to real images.

    Args:
      student_row: its row of the results.
      degree: temperature that its logits were divided by.
      single_label: whether it ends in a softmax.

    Returns:
      `confusion`, of `confusion.count_answers`, `calibration`, of
      `calibration.count_bins`, and `uncalibrated`, the same before the
      division; None without real images.
    """
    if not self._splits:
      return dict.fromkeys(('confusion', 'calibration', 'uncalibrated'))
    logits = self.logits['compact']
    targets = self._targets(self._config.labels)
    one_label = student_row['top1'] is not None
    earlier_logits = temperature.divide_logits(
      logits, 1 / degree, single_label=single_label
    )
    return {
      'confusion': confusion.count_answers(
        logits, targets, one_label=one_label
      ),
      **{
        name: calibration.count_bins(
          np.asarray(answers), targets, one_label=one_label
        )
        for name, answers in (
          ('calibration', logits),
          ('uncalibrated', earlier_logits),
        )
      },
    }

  def worst_errors(
    self, student_row: Mapping[str, Any]
  ) -> tuple[list[dict[str, Any]], list[np.ndarray]]:
    """Lists the errors of which the compact student is surest.

    Args:
      student_row: its row of the results.

    Returns:
      What `worst_errors.list_errors` returns, and the real images that the
      errors are about, uint8 [h, w, c]; both empty without real images.
    """
    if not self._splits:
      return [], []
    labels = self._config.labels
    errors = worst_errors.list_errors(
      labels,
      self.logits['compact'],
      self.logits['teachers'],
      self._targets(labels),
      one_label=student_row['top1'] is not None,
    )
    images = itertools.chain.from_iterable(
      split.images for split in self._splits
    )
    rows = {error['row'] for error in errors}
    image_of_row = {
      row: image for row, image in enumerate(images) if row in rows
    }
    return errors, [image_of_row[error['row']] for error in errors]

  def _intervals(self, name, row, targets, *, has_mean_precision):
    """Computes the intervals of one model's scores."""
    intervals = {
      # Only images with one of the labels count in top-1 accuracy.
      'top1': row['top1'] is not None
      and confidence.share_interval(
        row['top1'], int((targets > 0.5).any(axis=1).sum())
      ),
      'mAP': has_mean_precision
      and row['mAP'] is not None
      and confidence.mean_precision_interval(self.logits[name], targets),
      'exact_match': row['exact_match'] is not None
      and confidence.share_interval(row['exact_match'], len(targets)),
    }
    return {
      metric: interval for metric, interval in intervals.items() if interval
    }

  def _targets(self, labels):
    """Returns 0 or 1 per test image and label, NaN where no set has it."""
    targets = np.concatenate(
      [split.label_targets(labels) for split in self._splits]
    )
    # An image of a set says nothing about labels that no set has.
    targets[:, ~np.any(self._label_masks(labels), axis=0)] = np.nan
    return targets

  def _label_masks(self, labels):
    """Returns for each data set which of the labels it has, bool [|labels|]."""
    return [np.isin(labels, split.label_names) for split in self._splits]
