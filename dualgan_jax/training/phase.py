"""One training: a first state, a pure step, and for how long.

A stage is one phase (the generator) or several in a row (one per teacher, one
per block of the student).
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import optax
from flax import struct

from dualgan_jax.training import parallel

Metrics = dict[str, chex.Array]
# (params, batch_stats, key) -> (loss, (batch_stats, metrics))
LossFn = Callable[..., tuple[chex.Array, tuple[Any, Metrics]]]


@struct.dataclass
class TrainState:
  """Everything that going on needs.

  Attributes:
    step: steps done, int32.
    key: the phase's PRNG key; a step's randomness is `fold_in(key, step)`.
    params: what is learned.
    batch_stats: running averages of its batch norms.
    opt_state: the optimiser's.
  """

  step: chex.Array
  key: chex.PRNGKey
  params: Any
  batch_stats: Any
  opt_state: Any


@dataclasses.dataclass(frozen=True)
class Phase:
  """What the loop needs to train something.

  Attributes:
    name: 'stage' or 'stage/part', as in 'dual/block_2'.
    steps: how many make it done.
    init: `key -> TrainState`.
    step: `(frozen, state) -> (state, metrics)`, pure; with `frozen` bound it is
      the `step(state)` that the loop repeats.
    frozen: makes the arrays that the step reads and never changes; called
      only when there are steps to do.
    label_names: names for the entries of metrics that are vectors.
    teacher_labels: by a teacher's name, which of these are its labels.
  """

  name: str
  steps: int
  init: Callable[[chex.PRNGKey], TrainState]
  step: Callable[[Any, TrainState], tuple[TrainState, Metrics]]
  frozen: Callable[[], Any]
  label_names: tuple[str, ...] = ()
  teacher_labels: Mapping[str, Sequence[int]] = dataclasses.field(
    default_factory=dict
  )


def adam(
  learning_rate: float, steps: int, *, b1: float = 0.9
) -> optax.GradientTransformation:
  """Adam whose rate falls to 0 over `steps` along half a cosine."""
  return optax.adam(optax.cosine_decay_schedule(learning_rate, steps), b1=b1)


def first_state(
  key: chex.PRNGKey,
  params: Any,
  batch_stats: Any,
  optimiser: optax.GradientTransformation,
) -> TrainState:
  """The state before step 0."""
  return TrainState(
    jnp.zeros((), jnp.int32), key, params, batch_stats, optimiser.init(params)
  )


def train_step(
  loss_fn: LossFn, optimiser: optax.GradientTransformation, state: TrainState
) -> tuple[TrainState, Metrics]:
  """One step down the gradient of the mean loss over all devices.

  Args:
    loss_fn: `(params, batch_stats, key) -> (loss, (batch_stats, metrics))`, the
      loss that of this device's share of the batch; what is not linear in the
      share has been averaged over devices inside.
    optimiser: takes the averaged gradients.
    state: before the step.

  Returns:
    The state after it and the averaged metrics, `loss` among them.
  """
  key = jax.random.fold_in(state.key, state.step)
  grad_fn = jax.value_and_grad(loss_fn, has_aux=True)
  (loss, (batch_stats, metrics)), grads = grad_fn(
    state.params, state.batch_stats, key
  )
  params, opt_state, metrics = descend(
    optimiser, state.params, state.opt_state, grads, {'loss': loss, **metrics}
  )
  return state.replace(
    step=state.step + 1,
    params=params,
    batch_stats=batch_stats,
    opt_state=opt_state,
  ), metrics


def descend(
  optimiser: optax.GradientTransformation,
  params: Any,
  opt_state: Any,
  grads: Any,
  metrics: Metrics,
) -> tuple[Any, Any, Metrics]:
  """What a step makes of this device's gradients and metrics.

  Args:
    optimiser: takes the gradients' mean over devices.
    params: before the step.
    opt_state: before the step.
    grads: of this device's share.
    metrics: of this device's share.

  Returns:
    params and opt_state after it, and the metrics' mean over devices.
  """
  grads, metrics = parallel.mean((grads, metrics))
  updates, opt_state = optimiser.update(grads, opt_state, params)
  return optax.apply_updates(params, updates), opt_state, metrics
