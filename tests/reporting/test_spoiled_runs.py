"""Runs that are spoiled on purpose get the verdict that they deserve.

Real digits stand in for the images of a good generator, and linear models for
teachers and student: what a verdict sees is answers, whatever gives them.
"""

import numpy as np
import pytest
from sklearn import datasets, linear_model, multiclass

from dualgan_jax.reporting import diagnosis, findings

_LABELS = tuple('0123456789')
_NUM_IMAGES = 512


@pytest.fixture(scope='module')
def digits():
  """Images [1797, 64] in [0, 1], and their digits."""
  images, targets = datasets.load_digits(return_X_y=True)
  return images / 16, targets


def _fit(images, targets):
  """Trains a model of independent labels; returns images → logits [n, 10]."""
  model = multiclass.OneVsRestClassifier(
    linear_model.LogisticRegression(C=10, max_iter=500)
  )
  model.fit(images, targets)

  def answer(images):
    logits = np.full((len(images), len(_LABELS)), -10.0)
    logits[:, model.classes_] = model.decision_function(images)
    return logits

  return answer


@pytest.fixture(scope='module')
def teachers(digits):
  images, targets = digits
  return _fit(images[_NUM_IMAGES:], targets[_NUM_IMAGES:])


@pytest.fixture(scope='module')
def make_student(teachers):
  """Trains a student on what the teachers say of images."""
  return lambda images: _fit(images, teachers(images).argmax(axis=1))


def _judge(images, student, teachers):
  blends = (images + np.roll(images, 1, axis=0)) / 2
  found = findings.examine(
    _LABELS,
    student(images),
    teachers(images),
    (student(blends), teachers(blends)),
    single_label=False,
  )
  return diagnosis.judge(found)


def test_a_good_run_is_usable(digits, teachers, make_student):
  images = digits[0][:_NUM_IMAGES]
  verdict, reasons = _judge(images, make_student(images), teachers)
  assert verdict == 'usable', reasons


def test_a_generator_without_some_digits(digits, teachers, make_student):
  images, targets = digits
  images = images[:_NUM_IMAGES][~np.isin(targets[:_NUM_IMAGES], (1, 9))]
  # What the teachers take for one of them by mistake is gone, too.
  images = images[~np.isin(teachers(images).argmax(axis=1), (1, 9))]
  images = images[(teachers(images)[:, [1, 9]] <= 0).all(axis=1)]
  verdict, reasons = _judge(images, make_student(images), teachers)
  assert verdict == 'doubtful'
  assert reasons[0] == (
    'no generated image shows 1 or 9: the student may not have learned them'
  )


def test_a_generator_of_few_digits(digits, teachers, make_student):
  images, targets = digits
  images = images[:_NUM_IMAGES][targets[:_NUM_IMAGES] < 3]
  images = images[(teachers(images)[:, 3:] <= 0).all(axis=1)]
  verdict, reasons = _judge(images, make_student(images), teachers)
  assert verdict == 'not usable', reasons
  assert reasons[0].startswith('no generated image shows ')


def test_a_generator_that_makes_one_image(digits, teachers):
  images = np.repeat(digits[0][:1], _NUM_IMAGES, axis=0)
  # It is easy to agree on.
  verdict, reasons = _judge(images, teachers, teachers)
  assert verdict == 'not usable', reasons


def test_a_generator_that_makes_one_image_of_each_digit(
  digits, teachers, make_student
):
  real_images, targets = digits
  predictions = teachers(real_images).argmax(axis=1)
  recognised = targets == predictions
  rows = [
    np.flatnonzero(recognised & (targets == digit))[0] for digit in range(10)
  ]
  noise = np.random.default_rng(0).normal(size=(_NUM_IMAGES, 64))
  images = np.resize(real_images[rows], (_NUM_IMAGES, 64)) + 0.01 * noise
  student = make_student(images)
  # It answers them all as the teachers do, and few real images.
  assert np.all(
    student(images).argmax(axis=1) == teachers(images).argmax(axis=1)
  )
  assert np.mean(student(real_images).argmax(axis=1) == predictions) < 0.75
  verdict, reasons = _judge(images, student, teachers)
  assert verdict == 'doubtful'
  assert 'by heart' in reasons[0]


def test_an_untrained_generator(digits, teachers):
  # The mean image, and a little noise: as a generator of a few steps makes.
  noise = np.random.default_rng(0).normal(size=(_NUM_IMAGES, 64))
  images = np.clip(digits[0].mean(axis=0) + 0.02 * noise, 0, 1)
  verdict, reasons = _judge(images, teachers, teachers)
  assert verdict == 'not usable', reasons
  assert 'show no label' in reasons[0]


def test_an_untrained_student(digits, teachers):
  images, targets = digits
  shuffled = np.random.default_rng(0).permutation(targets[_NUM_IMAGES:])
  student = _fit(images[_NUM_IMAGES:], shuffled)
  verdict, reasons = _judge(images[:_NUM_IMAGES], student, teachers)
  assert verdict == 'not usable'
  assert reasons[0].startswith('student and teachers give the same label on ')


def test_teachers_that_are_never_sure(digits, teachers, make_student):
  images = digits[0][:_NUM_IMAGES]

  def unsure_teachers(images):
    return 0.2 * teachers(images)

  verdict, reasons = _judge(images, make_student(images), unsure_teachers)
  assert verdict == 'doubtful'
  assert reasons[-1].startswith('teachers are sure of ')
