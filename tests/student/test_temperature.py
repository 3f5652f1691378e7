"""Temperatures are chosen as a search over all of them would."""

import jax
import numpy as np
import pytest

from dualgan_jax.networks import classifier
from dualgan_jax.student import temperature

_BOUNDS = 0.2, 5.0


def _sigmoid(logits):
  return 1 / (1 + np.exp(-logits))


def _cross_entropy(logits, targets, *, single_label):
  probabilities = _sigmoid(logits)
  if single_label:
    targets = targets / targets.sum(axis=1, keepdims=True)
    return -np.mean(np.sum(targets * np.log(probabilities), axis=1))
  return -np.mean(
    targets * np.log(probabilities) + (1 - targets) * np.log(1 - probabilities)
  )


@pytest.mark.parametrize('single_label', [False, True])
def test_no_other_temperature_has_a_lower_cross_entropy(single_label):
  rng = np.random.default_rng(0)
  teacher_logits = np.where(np.eye(4)[rng.integers(0, 4, 200)] == 1, 3.0, -3.0)
  # A student that is right mostly, and far less sure than its teachers.
  logits = 0.2 * (teacher_logits + rng.normal(size=teacher_logits.shape) * 3)
  if single_label:
    logits = np.asarray(classifier.one_against_rest(jax.numpy.array(logits)))
  chosen = temperature.choose_temperature(
    logits, teacher_logits, single_label=single_label, bounds=_BOUNDS
  )
  candidates = np.geomspace(0.2, 5, 200)
  losses = [
    _cross_entropy(
      np.asarray(
        temperature.divide_logits(
          jax.numpy.array(logits), degree, single_label=single_label
        )
      ),
      _sigmoid(teacher_logits),
      single_label=single_label,
    )
    for degree in candidates
  ]
  assert chosen < 1
  assert chosen == pytest.approx(candidates[np.argmin(losses)], rel=0.02)


@pytest.mark.parametrize('degree', [0.5, 1.0, 3.0])
@pytest.mark.parametrize('single_label', [False, True])
def test_a_student_that_is_less_sure_by_a_factor_gets_that_factor(
  single_label, degree
):
  logits = np.random.default_rng(0).normal(size=(50, 4))
  if single_label:
    logits = classifier.one_against_rest(jax.numpy.array(logits))
  teacher_logits = temperature.divide_logits(
    jax.numpy.array(logits), degree, single_label=single_label
  )
  assert temperature.choose_temperature(
    logits, teacher_logits, single_label=single_label, bounds=_BOUNDS
  ) == pytest.approx(degree, rel=1e-3)


def test_temperatures_have_bounds():
  logits = np.array([[40.0, -40.0], [-40.0, 40.0]])
  assert (
    temperature.choose_temperature(
      logits / 100, logits, single_label=False, bounds=_BOUNDS
    )
    == 0.2
  )
  assert (
    temperature.choose_temperature(
      logits, -logits, single_label=False, bounds=_BOUNDS
    )
    == 5
  )


def test_extreme_logits_do_no_harm():
  logits = np.array([[1e4, -1e4, -1e4], [-1e4, 1e4, -1e4]], np.float32)
  for single_label in (False, True):
    chosen = temperature.choose_temperature(
      logits, logits, single_label=single_label, bounds=_BOUNDS
    )
    divided = temperature.divide_logits(
      jax.numpy.array(logits), chosen, single_label=single_label
    )
    assert np.isfinite(chosen)
    assert not np.isnan(divided).any()


@pytest.mark.parametrize('single_label', [False, True])
@pytest.mark.parametrize('hidden_widths', [(), (5,)])
def test_a_divided_head_answers_with_divided_logits(
  single_label, hidden_widths
):
  net = classifier.create(
    kind='conv',
    widths=(4, 4),
    depths=(1, 1),
    strides=(2, 1),
    batch_norm=True,
    hidden_widths=hidden_widths,
    single_label=single_label,
    num_labels=3,
  )
  variables = net.init(jax.random.key(0), (8, 8, 1))
  images = jax.random.uniform(jax.random.key(1), (5, 8, 8, 1))
  logits, _ = net.apply(variables, images, train=False)
  divided = temperature.divide_head(variables, 0.5)
  answers, _ = net.apply(divided, images, train=False)
  expected = temperature.divide_logits(logits, 0.5, single_label=single_label)
  np.testing.assert_allclose(answers, expected, rtol=1e-4, atol=1e-4)
  # The net that was given is as it was.
  np.testing.assert_array_equal(
    net.apply(variables, images, train=False)[0], logits
  )
