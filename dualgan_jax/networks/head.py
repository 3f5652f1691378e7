"""The head of a classifier: dense layers behind its blocks."""

import chex
import flax.linen as nn
import jax.numpy as jnp


class Head(nn.Module):
  """Dense layers on all features, or on their spatial mean.

  Attributes:
    num_labels: number of logits.
    pool: whether to average over space first, as residual nets do. A head that
      sees every position knows where strokes belong, and so does a generator
      that is trained against it.
    hidden_widths: of dense layers with a ReLU, before the one of the logits.
  """

  num_labels: int
  pool: bool
  hidden_widths: tuple[int, ...] = ()

  @nn.compact
  def __call__(self, features: chex.Array) -> chex.Array:
    """Maps [N, h, w, c] to logits [N, num_labels], in float32."""
    # Half precision would round the mean, and the logits.
    features = features.astype(jnp.promote_types(features.dtype, jnp.float32))
    features = (
      jnp.mean(features, axis=(1, 2))
      if self.pool
      else features.reshape(features.shape[0], -1)
    )
    for width in self.hidden_widths:
      features = nn.relu(nn.Dense(width)(features))
    return nn.Dense(self.num_labels)(features)
