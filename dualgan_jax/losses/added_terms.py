"""Terms of the generator's loss that the paper does not have.

A new one is a function here, a row of `ADDED_TERMS`, and a field for its weight
in `config.objective_group.Objective`.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import chex
import jax.numpy as jnp

# Keeps the gradient of a norm finite where it is 0.
_TINY = 1e-6


class Moments(NamedTuple):
  """Statistics of a batch at one batch-norm layer, and the running ones.

  Attributes:
    mean: E[x] of the batch, [channels].
    mean_square: E[x²] of the batch, [channels].
    running_mean: the layer's running mean, [channels].
    running_variance: the layer's running variance, [channels].
  """

  mean: chex.Array
  mean_square: chex.Array
  running_mean: chex.Array
  running_variance: chex.Array


class GeneratedBatch(NamedTuple):
  """What a term that is added to Eq. 11 may judge.

  Attributes:
    image: I_g, [N, h, w, c]: on several devices, the share of one of them, so
      that a term has to be a mean over images.
    logits: the teachers' answers to it combined, [N, |U|].
    moments: of each teacher, one entry per batch-norm layer, its means already
      reduced over all devices.
  """

  image: chex.Array
  logits: chex.Array
  moments: Sequence[Sequence[Moments]]


class AddedTerm(NamedTuple):
  """A term of the generator's loss that the paper does not have.

  Attributes:
    metric: its name among the metrics.
    compute: takes a `GeneratedBatch`, returns a scalar.
  """

  metric: str
  compute: Callable[[GeneratedBatch], chex.Array]


def statistics_prior(moments: Sequence[Moments]) -> chex.Array:
  """Computes the batch-norm statistics prior L_bn of one teacher.

  `Σ_layers ||μ - μ̂||_2 + ||σ² - σ̂²||_2` (DeepInversion, Yin et al., CVPR 2020):
  μ and σ² of the batch, μ̂ and σ̂² of the layer; not in the paper.

  Args:
    moments: one entry per batch-norm layer, the batch's means already reduced
      over all devices: σ² = E[x²] - E[x]² is not linear in them.

  Returns:
    A scalar; 0 for a teacher without batch norm.
  """
  total = jnp.zeros(())
  for layer in moments:
    chex.assert_rank(list(layer), 1)
    chex.assert_equal_shape(list(layer))
    # The biased variance, as batch norm computes it.
    variance = layer.mean_square - jnp.square(layer.mean)
    total += _norm(layer.mean - layer.running_mean)
    total += _norm(variance - layer.running_variance)
  return total


def mean_statistics_prior(batch: GeneratedBatch) -> chex.Array:
  """Averages `statistics_prior` over the teachers that have batch norm.

  Args:
    batch: only its moments are read.

  Returns:
    A scalar; 0 if no teacher has batch norm.
  """
  priors = [statistics_prior(layers) for layers in batch.moments if layers]
  return sum(priors) / len(priors) if priors else jnp.zeros(())


# By the field of a config's objective that has its weight, each added term.
ADDED_TERMS: Mapping[str, AddedTerm] = MappingProxyType(
  {'bn_prior_weight': AddedTerm('l_bn', mean_statistics_prior)}
)


def _norm(x: chex.Array) -> chex.Array:
  """Computes the Euclidean norm, with gradient 0 at 0."""
  return jnp.sqrt(jnp.sum(jnp.square(x)) + _TINY**2)
