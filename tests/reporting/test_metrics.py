"""Logits, and comparisons of models, of small examples worked out by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from dualgan_jax.reporting import metrics
from dualgan_jax.reporting.metrics import (
  compare_per_label,
  compute_logits,
  right_world_share,
)


@pytest.mark.parametrize('num_images', [1, 3, 4, 5, 11])
def test_logits_in_batches_are_the_logits(num_images, monkeypatch):
  monkeypatch.setattr(metrics, '_BATCH_SIZE', 4)
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (num_images, 2, 3, 1), dtype=np.uint8)
  weights = np.float32(rng.normal(size=(6, 5)))
  shapes = []

  def apply(variables, x):
    shapes.append(x.shape)  # as often as it is compiled
    return x.reshape(len(x), -1) @ variables

  logits = compute_logits(apply, weights, images, (2, 3))
  assert isinstance(logits, np.ndarray)
  assert shapes == [(4, 2, 3, 1)]
  whole = (images.reshape(num_images, 6) / 255) @ weights
  np.testing.assert_allclose(logits, whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('num_images', [499, 500, 501])
def test_no_image_is_lost_at_the_border_of_a_batch(num_images):
  images = (
    np.arange(num_images, dtype=np.uint16)
    .view(np.uint8)
    .reshape(num_images, 1, 2, 1)
  )
  # Each image tells its own number, low byte first.
  logits = compute_logits(
    lambda place, x: jnp.sum(jnp.round(x[:, 0, :, 0] * 255) * place, axis=1),
    np.float32([[1, 256]]),
    images,
    (1, 2),
  )
  np.testing.assert_array_equal(logits, np.arange(num_images))


def test_images_are_brought_to_the_size_that_the_net_takes():
  images = np.uint8([[0, 255], [255, 0]]).reshape(2, 1, 2, 1)
  logits = compute_logits(
    lambda offset, x: x[:, 0, :, 0] + offset, np.float32(1), images, (1, 4)
  )
  # Bilinear: 1/4 and 3/4 of the way between the two pixels.
  ramp = np.array([0, 1 / 4, 3 / 4, 1])
  np.testing.assert_allclose(
    logits, 1 + np.array([ramp, ramp[::-1]]), atol=1e-6
  )


def test_labels_by_hand():
  student = np.array([[2.0, -1], [-1, -3], [1, 1]])
  teachers = np.array([[2.0, 1], [1, -3], [-1, 2]])
  targets = np.array([[1, 0], [1, 0], [0, 0]])
  comparison = compare_per_label(['a', 'b'], student, teachers, targets)
  # The student ranks the images of `a` first and third.
  assert comparison['a'] == {
    'student_ap': pytest.approx((1 + 2 / 3) / 2),
    'teachers_ap': 1.0,
    'student_only': pytest.approx(1 / 3),
    'teachers_only': pytest.approx(1 / 3),
  }
  assert comparison['b'] == {
    'student_ap': None,  # no image carries it
    'teachers_ap': None,
    'student_only': 0.0,
    'teachers_only': pytest.approx(1 / 3),
  }


def test_without_real_images_labels_have_no_precision():
  logits = np.array([[1.0], [-1.0]])
  comparison = compare_per_label(['a'], logits, -logits, None)
  assert comparison['a'] == {
    'student_ap': None,
    'teachers_ap': None,
    'student_only': 0.5,
    'teachers_only': 0.5,
  }


def test_an_image_of_unknown_target_has_no_part_in_a_labels_precision():
  logits = np.array([[3.0], [2.0]])
  comparison = compare_per_label(
    ['a'], logits, logits, np.array([[np.nan], [1]])
  )
  assert comparison['a']['student_ap'] == comparison['a']['teachers_ap'] == 1.0


def test_the_right_world_share_by_hand():
  # The labels are two digits and an article.
  digits, articles = np.array([[True, True, False], [False, False, True]])
  of_digits = np.array([[2.0, 1, 0], [0, 1, 2]])
  of_articles = np.array([[-3.0, -2, -1], [0, 2, 1], [1, 0, 0]])
  share = right_world_share((of_digits, of_articles), (digits, articles))
  assert share == pytest.approx(2 / 5)
