"""Ways to put teachers of the same labels together, to compare a student with.

No student learns from them: it learns from the mean of probabilities
(`discriminators.combine_logits`).
"""

from collections.abc import Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp

from dualgan_jax.networks.classifier import one_against_rest

# In nats; it was chosen on MNIST's clients (experiments/notes/federated.md).
ENTROPY_TEMPERATURE = 0.3


def average_logits(logits: chex.Array, *, single_label: bool) -> chex.Array:
  """Averages what M teachers' sigmoids or softmaxes take.

  `1/M Σ_m x_m` of independent labels. Of labels that exclude one another,
  `softmax(1/M Σ_m s_m)`, s_m the scores of teacher m; `log softmax(s_m)`
  differs from s_m by a number per image, so that it does instead.

  Args:
    logits: whose sigmoids are probabilities, [M, N, L].
    single_label: whether these are softmax probabilities.

  Returns:
    Logits whose sigmoids are the ensemble's probabilities, [N, L].
  """
  chex.assert_rank(logits, 3)
  if single_label:
    return one_against_rest(jnp.mean(jax.nn.log_sigmoid(logits), axis=0))
  return jnp.mean(logits, axis=0)


def weigh_by_entropy(
  logits: chex.Array, temperature: float = ENTROPY_TEMPERATURE
) -> chex.Array:
  """Averages softmax probabilities, with more weight for sure teachers.

  `Σ_m w_m p_m`, `w_m ∝ exp(-H_m / τ)`, H_m = -Σ_k p_mk log p_mk in nats, for
  each image by itself.

  Args:
    logits: whose sigmoids are the softmax probabilities p_m, [M, N, L].
    temperature: τ, above 0; infinity gives equal weights.

  Returns:
    Logits whose sigmoids are the ensemble's probabilities, [N, L].
  """
  chex.assert_rank(logits, 3)
  log_probabilities = jax.nn.log_sigmoid(logits)
  # A probability of 0 adds nothing, though its logarithm may be large.
  entropies = -jnp.sum(jnp.exp(log_probabilities) * log_probabilities, axis=-1)
  log_weights = jax.nn.log_softmax(-entropies / temperature, axis=0)[..., None]
  return jax.nn.logsumexp(
    log_weights + log_probabilities, axis=0
  ) - jax.nn.logsumexp(log_weights + jax.nn.log_sigmoid(-logits), axis=0)


def average_variables(
  variables: Sequence[Any], weights: Sequence[float]
) -> Any:
  """Averages the variables of nets: one round of FedAvg.

  `Σ_m n_m θ_m / Σ_m n_m` (McMahan et al., AISTATS 2017), of running averages,
  too.

  Args:
    variables: M trees of arrays of the same structure and shapes.
    weights: n_m, the training images of each net.

  Returns:
    A tree of the same structure.
  """
  total = sum(weights)
  return jax.tree.map(
    lambda *leaves: sum(
      leaf * (weight / total)
      for leaf, weight in zip(leaves, weights, strict=True)
    ),
    *variables,
  )
