"""Ensembles of teachers of the same labels, by hand and at the extremes."""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np

from dualgan_jax.method import ensembles


def _logits(*probabilities):
  """Logits whose sigmoids are these probabilities."""
  probabilities = np.array(probabilities)
  return jnp.asarray(np.log(probabilities / (1 - probabilities)), jnp.float32)


class EnsemblesTest(chex.TestCase):
  """One image, two teachers, two labels, by hand."""

  @chex.all_variants
  def test_mean_of_logits(self):
    def average(logits):
      return ensembles.average_logits(logits, single_label=False)

    logits = jnp.array([[[1.0, -2.0]], [[3.0, 0.0]]])
    np.testing.assert_allclose(self.variant(average)(logits), [[2.0, -1.0]])

  @chex.all_variants
  def test_mean_of_the_scores_of_softmaxes(self):
    def average(logits):
      return ensembles.average_logits(logits, single_label=True)

    # Scores (ln 4, 0) and (0, 0): their mean (ln 2, 0) gives 2/3.
    answer = self.variant(average)(_logits([[0.8, 0.2]], [[0.5, 0.5]]))
    np.testing.assert_allclose(
      jax.nn.sigmoid(answer), [[2 / 3, 1 / 3]], rtol=1e-5
    )

  @chex.all_variants
  def test_sure_teachers_weigh_more(self):
    answer = self.variant(ensembles.weigh_by_entropy)(
      _logits([[0.9, 0.1]], [[0.5, 0.5]])
    )
    # H = 0.3251 and ln 2 = 0.6931 nats, so w = 1 / (1 + exp(-0.3681 / 0.3)).
    entropy = -0.9 * math.log(0.9) - 0.1 * math.log(0.1)
    weight = 1 / (1 + math.exp((entropy - math.log(2)) / 0.3))
    expected = weight * 0.9 + (1 - weight) * 0.5
    np.testing.assert_allclose(
      jax.nn.sigmoid(answer), [[expected, 1 - expected]], rtol=1e-5
    )

  @chex.all_variants
  def test_without_temperature_it_is_the_mean_of_probabilities(self):
    def weigh(logits):
      return ensembles.weigh_by_entropy(logits, math.inf)

    answer = self.variant(weigh)(_logits([[0.9, 0.1]], [[0.3, 0.7]]))
    np.testing.assert_allclose(jax.nn.sigmoid(answer), [[0.6, 0.4]], rtol=1e-5)

  @chex.all_variants
  def test_sure_answers_stay_finite_and_so_do_gradients(self):
    def both(logits):
      answers = ensembles.weigh_by_entropy(logits)
      return jnp.sum(
        answers + ensembles.average_logits(logits, single_label=True)
      ), answers

    # Two images: both teachers sure of the first label; each of another one.
    first, second = [1e4, -1e4], [-1e4, 1e4]
    logits = jnp.array([[first, first], [first, second]])
    value_and_grad = jax.value_and_grad(both, has_aux=True)
    (value, answers), gradient = self.variant(value_and_grad)(logits)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(answers, [first, [0, 0]], atol=1e-3)

  @chex.all_variants
  def test_the_gradient_of_a_mean_goes_to_each_teacher(self):
    def first_answer(logits):
      return ensembles.average_logits(logits, single_label=False)[0, 0]

    gradient = self.variant(jax.grad(first_answer))(jnp.zeros((4, 1, 2)))
    np.testing.assert_allclose(gradient[:, 0], [[0.25, 0.0]] * 4)

  @chex.all_variants
  def test_the_gradient_of_weights_by_entropy(self):
    # Differences of the function itself, at a point without symmetry.
    def first_answer(logits):
      return ensembles.weigh_by_entropy(logits)[0, 0]

    logits = _logits([[0.8, 0.2]], [[0.4, 0.6]])
    gradient = self.variant(jax.grad(first_answer))(logits)
    change = jnp.zeros_like(logits).at[0, 0, 0].set(1e-2)
    slope = (first_answer(logits + change) - first_answer(logits - change)) / (
      2e-2
    )
    np.testing.assert_allclose(gradient[0, 0, 0], slope, rtol=1e-3)


def test_fedavg_weighs_nets_by_their_images():
  nets = [
    ({'params': {'kernel': np.full((2, 2), value, np.float32)}},)
    for value in (1.0, 5.0)
  ]
  (averaged,) = ensembles.average_variables(nets, [300, 100])
  np.testing.assert_allclose(averaged['params']['kernel'], np.full((2, 2), 2.0))
