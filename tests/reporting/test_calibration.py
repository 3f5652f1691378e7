"""Calibration and confusion are counted by hand."""

import math

import numpy as np
import pytest

from dualgan_jax.reporting import calibration, confusion

_NAN = np.nan


def _logit(probability):
  return math.log(probability / (1 - probability))


def test_the_bins_of_one_label_by_hand():
  logits = np.array(
    [
      [_logit(0.92), _logit(0.1)],  # right
      [_logit(0.98), _logit(0.1)],  # wrong
      [_logit(0.2), _logit(0.55)],  # right
      [_logit(0.9), _logit(0.8)],  # carries no label
    ]
  )
  targets = np.array([[1, 0], [0, 1], [0, 1], [0, 0]])
  bins = calibration.count_bins(logits, targets, one_label=True)
  assert [one_bin['count'] for one_bin in bins] == [0] * 5 + [1, 0, 0, 0, 2]
  assert bins[9]['confidence'] == pytest.approx(0.95)
  assert bins[9]['accuracy'] == 0.5
  assert bins[0]['confidence'] is None
  # (2 · 0.45 + 1 · 0.45) / 3.
  assert calibration.calibration_error(bins) == pytest.approx(0.45)


def test_of_several_labels_all_known_pairs_count():
  logits = np.array([[1e4, -1e4], [0.0, 5.0]])
  targets = np.array([[1, 0], [1, _NAN]])
  bins = calibration.count_bins(logits, targets, one_label=False)
  counts = [one_bin['count'] for one_bin in bins]
  assert counts == [1, 0, 0, 0, 0, 1, 0, 0, 0, 1]
  assert bins[0]['accuracy'] == 0 and bins[9]['accuracy'] == 1


def test_a_confusion_matrix_by_hand():
  logits = np.array([[2.0, 1], [-2, -1], [1, 0], [3, 0]])
  targets = np.array([[1, 0], [1, 0], [0, 1], [0, 0]])
  assert confusion.count_answers(logits, targets, one_label=True) == {
    'kind': 'confusion',
    'counts': [[1, 1], [1, 0]],
    'images': [2, 1],
  }


def test_cooccurrences_by_hand():
  logits = np.array([[2.0, 1], [-2, 1]])
  targets = np.array([[1, 1], [_NAN, 1]])
  assert confusion.count_answers(logits, targets, one_label=False) == {
    'kind': 'cooccurrence',
    'counts': [[1, 1], [1, 2]],
    'images': [1, 2],
  }


@pytest.mark.parametrize('num_labels', [1, 51])
def test_no_table_of_one_label_or_of_very_many(num_labels):
  zeros = np.zeros((3, num_labels))
  assert confusion.count_answers(zeros, zeros, one_label=True) is None
