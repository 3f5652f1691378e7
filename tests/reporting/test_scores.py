"""Scores are those of small examples worked out by hand."""

import numpy as np
import pytest

from dualgan_jax.reporting.scores import compute_scores, eleven_point_precision


def _scores(logits, targets):
  return compute_scores(np.float32(logits), np.float32(targets))


def test_scores_of_single_labels_by_hand():
  scores = _scores(
    [[2, -1, -3], [1, 3, -2], [-1, -2, -3], [-1, 2, 1]],
    [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]],
  )
  # Only the first image's best label is its own.
  assert scores['top1'] == 1 / 4
  # Label 0 ranks its images first and second; label 1 has three images, 3, 2
  # and -1, before its own; label 2 has its own first.
  assert scores['mAP'] == pytest.approx((1 + 1 / 4 + 1) / 3)
  # Hits, false alarms, misses: (2, 0, 0), (0, 2, 1), (1, 0, 0).
  assert scores['f1_macro'] == pytest.approx((1 + 0 + 1) / 3)
  assert scores['f1_micro'] == pytest.approx(2 * 3 / (2 * 3 + 2 + 1))
  # The first alone: two others fire for two labels, one for none.
  assert scores['exact_match'] == 1 / 4


def test_scores_of_several_labels_by_hand():
  scores = _scores(
    [[3, 1], [2, -1], [1, 2], [-1, -2]],
    [[1, 1], [0, 0], [1, 0], [0, 1]],
  )
  assert scores['top1'] is None  # the first image has two labels
  # Label 0: its images are first and third. Label 1: second and fourth.
  label_0 = (1 / 1 + 2 / 3) / 2
  label_1 = (1 / 2 + 2 / 4) / 2
  assert scores['mAP'] == pytest.approx((label_0 + label_1) / 2)
  # The best precision at or after each of eleven recalls.
  eleven = ((6 * 1 + 5 * 2 / 3) / 11 + 1 / 2) / 2
  assert scores['mAP_11'] == pytest.approx(eleven)
  # Hits, false alarms, misses: (2, 1, 0) and (1, 1, 1).
  assert scores['f1_macro'] == pytest.approx((4 / 5 + 2 / 4) / 2)
  assert scores['f1_micro'] == pytest.approx(6 / 9)
  # Both answers to the first image are right; of each other, one is not.
  assert scores['exact_match'] == 1 / 4


def test_perfect_answers():
  targets = np.eye(3)[[0, 1, 2, 1]]
  assert _scores(10 * targets - 5, targets) == {
    'top1': 1.0,
    'mAP': 1.0,
    'mAP_11': 1.0,
    'f1_macro': 1.0,
    'f1_micro': 1.0,
    'exact_match': 1.0,
  }


def test_images_without_any_label_are_negatives_except_for_top1():
  logits, targets = [[2, 1], [1, 2]], [[1, 0], [0, 1]]
  labelled_only = _scores(logits, targets)
  # Two images of something else, and label 0 fires at the first of them.
  scores = _scores([*logits, [3, -2], [-3, -1]], [*targets, [0, 0], [0, 0]])
  assert labelled_only['top1'] == scores['top1'] == 1.0
  assert labelled_only['mAP'] == 1.0
  assert scores['mAP'] == pytest.approx((1 / 2 + 1) / 2)
  # One false alarm for each label before; one more for label 0.
  assert labelled_only['f1_micro'] == pytest.approx(4 / 6)
  assert scores['f1_micro'] == pytest.approx(4 / 7)
  # Both labels fire at the first two images; none does at the last, rightly.
  assert labelled_only['exact_match'] == 0.0
  assert scores['exact_match'] == 1 / 4


def test_a_label_that_never_occurs():
  scores = _scores(
    [[2, -1, -1], [-2, 1, -1], [-1, -1, 1]],
    [[1, 0, 0], [0, 1, 0], [1, 0, 0]],
  )
  assert scores['top1'] == pytest.approx(2 / 3)
  # Label 0 ranks its images first and second, label 1 its own first; label 2
  # has none to find and does not count.
  assert scores['mAP'] == 1.0
  # Hits, false alarms, misses: (1, 0, 1), (1, 0, 0) and (0, 1, 0).
  assert scores['f1_macro'] == pytest.approx((2 / 3 + 1 + 0) / 3)
  assert scores['f1_micro'] == pytest.approx(4 / 6)


def test_the_only_label():
  # Four images, one with the label; the two best answers say yes.
  scores = _scores([[2], [1], [-1], [-2]], [[0], [1], [0], [0]])
  assert scores['mAP'] == 1 / 2
  assert scores['top1'] is None  # it is always the most probable
  # One hit, one false alarm, no miss. That two images rightly carry no label
  # is no merit in an F1.
  assert scores['f1_macro'] == pytest.approx(2 / 3)
  assert scores['f1_micro'] == pytest.approx(2 / 3)
  # But they are answered exactly, as is the hit.
  assert scores['exact_match'] == 3 / 4


def test_no_answer_at_all_is_f1_0():
  scores = _scores([[-1, -2], [-2, -1]], [[1, 0], [0, 1]])
  assert scores['f1_macro'] == scores['f1_micro'] == 0.0
  assert scores['top1'] == 1.0
  assert scores['exact_match'] == 0.0


def test_a_probability_of_one_half_is_a_no():
  # Like everywhere else, a label fires above 0.
  scores = _scores([[0, 1]], [[1, 1]])
  assert scores['f1_micro'] == pytest.approx(2 / 3)
  assert scores['exact_match'] == 0.0
  assert _scores([[0, 1]], [[0, 1]])['exact_match'] == 1.0


def test_sure_answers_count_as_others_do():
  scores = _scores(
    [[1e4, -1e4], [-1e4, 1e4], [1e4, 1e4]], [[1, 0], [1, 0], [1, 1]]
  )
  assert scores['top1'] is None
  assert scores['exact_match'] == pytest.approx(2 / 3)
  # Hits, false alarms, misses: (2, 0, 1) and (1, 1, 0).
  assert scores['f1_macro'] == pytest.approx((4 / 5 + 2 / 3) / 2)


def test_scores_can_be_written_as_json():
  scores = _scores([[2, 1], [1, 2]], [[1, 0], [0, 1]])
  assert {type(x) for x in scores.values()} == {float}


def test_eleven_points_by_hand():
  # Ranked: right, wrong, right. Precision 1 up to recall 1/2, then 2/3.
  present = np.array([True, False, True])
  logits = np.array([3.0, 2, 1])
  expected = (6 * 1 + 5 * 2 / 3) / 11
  assert eleven_point_precision(present, logits) == pytest.approx(expected)


def test_eleven_points_when_the_best_is_wrong():
  # At recall 0, too, only precisions of images count: here 1/2.
  precision = eleven_point_precision(
    np.array([False, True]), np.array([2.0, 1])
  )
  assert precision == pytest.approx(1 / 2)


def test_eleven_points_of_ten_images():
  # A recall of 3/10 is reached by three of ten, whatever its rounding.
  present = np.array([True] * 3 + [False] * 7 + [True] * 7)
  precision = eleven_point_precision(present, -np.arange(17.0))
  after = max((3 + k) / (10 + k) for k in range(1, 8))
  assert precision == pytest.approx((4 * 1 + 7 * after) / 11)


def test_an_unknown_target_counts_neither_way():
  scores = _scores([[3, 1], [-2, 2], [1, -1]], [[1, np.nan], [0, 1], [0, 0]])
  assert scores['top1'] is None
  assert scores['mAP'] == 1.0
  # Label 0: one hit, one false alarm. Label 1: one hit, and one not counted.
  assert scores['f1_macro'] == pytest.approx((2 / 3 + 1) / 2)
  assert scores['f1_micro'] == pytest.approx(4 / 5)
  assert scores['exact_match'] == pytest.approx(2 / 3)


def test_a_label_of_unknown_targets_only_counts_neither_way():
  unknown = [[np.nan], [np.nan]]
  scores = _scores([[3], [-2]], unknown)
  assert scores['mAP'] is scores['f1_macro'] is scores['f1_micro'] is None
  assert scores['exact_match'] is None
  scores = _scores([[3, 1], [-2, 1]], [[np.nan, 1], [np.nan, 0]])
  assert scores['top1'] == 0.0  # it says the label that nobody knows
  scores = _scores([[0, 1], [-2, 1]], [[np.nan, 1], [np.nan, 0]])
  assert scores['top1'] == 1.0
  assert scores['mAP'] == 1 / 2
  assert scores['f1_macro'] == scores['f1_micro'] == pytest.approx(2 / 3)
