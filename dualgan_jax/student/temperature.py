"""Chooses how sure a student's answers are: its temperature.

A student that was distilled at a temperature above 1 matches its teachers
there, and is less sure than they are at 1. Temperature scaling (Guo et al.,
2017, arXiv 1706.04599) needs labelled images; without data, the teachers'
probabilities for generated images take the place of labels.
"""

from collections.abc import Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from dualgan_jax.networks.classifier import one_against_rest

_NUM_HALVINGS = 30


def choose_temperature(
  student_logits: np.ndarray,
  teacher_logits: np.ndarray,
  *,
  single_label: bool,
  bounds: tuple[float, float],
) -> float:
  """Chooses the temperature at which a student is as sure as its teachers.

  It minimises the cross-entropy of the student's answers, their logits divided
  by the temperature, against the teachers' probabilities. Not against the
  labels that these give: students became too sure of real images.

  Args:
    student_logits: of N ≥ 1 generated images, [N, L].
    teacher_logits: the ensemble's of the same images, [N, L].
    single_label: whether the student's probabilities are those of a softmax.
    bounds: the lowest and the highest temperature that may be chosen, above 0.

  Returns:
    The temperature.
  """
  logits, teachers = (
    np.asarray(array, np.float64) for array in (student_logits, teacher_logits)
  )
  scores, targets = logits, _sigmoid(teachers)
  if single_label:
    scores, targets = (
      _log_sigmoid(logits),
      _softmax(_log_sigmoid(teachers)),
    )

  def slope(log_temperature: float) -> float:
    """Computes the derivative of the cross-entropy by 1 / temperature."""
    scaled = scores / np.exp(log_temperature)
    probabilities = _softmax(scaled) if single_label else _sigmoid(scaled)
    return float(np.mean(scores * (probabilities - targets)))

  # The cross-entropy is convex in 1 / temperature, so its slope grows with it.
  low, high = np.log(bounds)
  # Exactly a bound, if what would be best lies beyond it.
  if slope(low) <= 0:
    return bounds[0]
  if slope(high) >= 0:
    return bounds[1]
  for _ in range(_NUM_HALVINGS):
    middle = (low + high) / 2
    low, high = (middle, high) if slope(middle) > 0 else (low, middle)
  return float(np.exp((low + high) / 2))


def divide_logits(
  logits: chex.Array, temperature: float, *, single_label: bool
) -> chex.Array:
  """Divides logits by a temperature; of a softmax, its scores.

  Args:
    logits: [N, L]; their sigmoids are probabilities.
    temperature: above 0.
    single_label: whether they are the probabilities of a softmax.

  Returns:
    Logits [N, L] of the same kind.
  """
  if single_label:
    return one_against_rest(jax.nn.log_sigmoid(logits) / temperature)
  return jnp.asarray(logits) / temperature


def divide_head(
  variables: Sequence[Any], temperature: float
) -> tuple[Any, ...]:
  """Divides the last dense layer of a net by a temperature.

  Whatever reads the net then gives calibrated answers, and needs no
  temperature.

  Args:
    variables: B + 1 of them, as `Classifier.init` makes them.
    temperature: above 0.
  """
  *blocks, head = variables
  last_layer = f'Dense_{len(head["params"]) - 1}'
  divided = jax.tree.map(
    lambda leaf: leaf / np.float32(temperature), head['params'][last_layer]
  )
  params = {**head['params'], last_layer: divided}
  return (*blocks, {**head, 'params': params})


def _softmax(scores: np.ndarray) -> np.ndarray:
  return np.exp(scores - np.logaddexp.reduce(scores, axis=1, keepdims=True))


def _sigmoid(logits: np.ndarray) -> np.ndarray:
  # Without an overflow at -1e4.
  return 0.5 * (1 + np.tanh(0.5 * logits))


def _log_sigmoid(logits: np.ndarray) -> np.ndarray:
  return -np.logaddexp(0, -logits)
