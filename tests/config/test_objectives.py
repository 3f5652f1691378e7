"""Objectives by their names, and the rule behind the paper's weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dualgan_jax import losses
from dualgan_jax.config import objectives
from dualgan_jax.presets import digits, overlap


@pytest.mark.parametrize('num_labels', [2, 3, 10])
def test_one_label_per_image_is_what_the_papers_weights_ask_for(num_labels):
  weights = objectives.paper(num_labels)

  def loss(logit):
    # Every image shows each label with the same probability.
    logits = jnp.full((4, num_labels), logit)
    entropy = losses.information_entropy(
      losses.label_mean(logits, 'bernoulli'), 'bernoulli'
    )
    return weights.beta * entropy + weights.gamma * losses.discrete(logits)

  best_logit = jnp.log(1 / num_labels) - jnp.log(1 - 1 / num_labels)
  np.testing.assert_allclose(jax.grad(loss)(best_logit), 0, atol=1e-5)
  assert loss(best_logit) < min(loss(best_logit - 1), loss(best_logit + 1))


def test_the_papers_weights_count_the_labels_of_all_teachers():
  # Y_cst of `overlap` has 7 labels, its teachers have 10.
  one, other = digits.get_config('paper'), overlap.get_config('paper')
  assert one.objective.gamma == other.objective.gamma
  assert not one.augmentation.shift
  assert one.dual.lambda_generated == 1.0
