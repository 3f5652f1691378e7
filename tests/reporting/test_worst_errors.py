"""The worst errors of cases that can be counted by hand."""

import numpy as np

from dualgan_jax.reporting import worst_errors

_NAN = np.nan


def test_the_worst_errors_of_one_label_per_image():
  student = np.array([[2.0, -2], [3, 1], [-1, 1], [4, -4]])
  teachers = np.array([[-2.0, 2], [1, 2], [-1, 1], [4, -4]])
  # The third is right, and the fourth shows none of the labels.
  targets = np.array([[0.0, 1], [0, 1], [0, 1], [0, 0]])
  errors = worst_errors.list_errors(
    ('a', 'b'), student, teachers, targets, one_label=True
  )
  assert [(error['row'], error['label']) for error in errors] == [
    (1, 'a'),
    (0, 'a'),
  ]
  assert errors[0]['truth'] == ['b']
  assert errors[0]['teachers_label'] == 'b'
  assert np.isclose(errors[0]['probability'], 1 / (1 + np.exp(-3)))
  assert np.isclose(errors[0]['teachers_probability'], 1 / (1 + np.exp(-1)))


def test_the_worst_errors_of_several_labels_per_image():
  student = np.array([[3.0, -4], [3, 3], [2, 5]])
  # Of the last image, the second label is unknown.
  targets = np.array([[1.0, 1], [1, 1], [0, _NAN]])
  errors = worst_errors.list_errors(
    ('a', 'b'), student, student, targets, one_label=False
  )
  # A label that was missed, and one that is not there.
  assert [(error['row'], error['label']) for error in errors] == [
    (0, 'b'),
    (2, 'a'),
  ]
  assert errors[0]['truth'] == ['a', 'b']
  assert errors[1]['truth'] == []


def test_a_student_without_errors_has_none():
  logits = np.array([[3.0, -3], [-3, 3]])
  assert (
    worst_errors.list_errors(
      ('a', 'b'), logits, logits, np.eye(2), one_label=True
    )
    == []
  )
