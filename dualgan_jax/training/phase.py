"""One training: an initial state, a pure step, and a number of steps.

A stage is one phase (the generator) or several in a row (one per teacher, one
per block of the student).
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from dualgan_jax.training import parallel

# By name: scalars, or vectors with an entry per label.
Metrics = dict[str, chex.Array]
# (params, batch_stats, key) -> (loss, (batch_stats, metrics))
LossFn = Callable[..., tuple[chex.Array, tuple[Any, Metrics]]]


@struct.dataclass
class TrainState:
  """Everything that a checkpoint must hold to resume a phase.

  Attributes:
    step: number of steps done, int32.
    key: the phase's PRNG key; a step's randomness is `fold_in(key, step)`.
    params: the trained parameters, any pytree.
    batch_stats: running averages of the batch norms, any pytree.
    opt_state: state of the optimiser.
  """

  step: chex.Array
  key: chex.PRNGKey
  params: Any
  batch_stats: Any
  opt_state: Any


@dataclasses.dataclass(frozen=True)
class Phase:
  """A training that the loop can run to its end.

  Attributes:
    name: 'stage' or 'stage/part', as in 'dual/block_2'.
    steps: number of steps after which it is done.
    init: `key -> TrainState`.
    step: `(frozen, state) -> (state, metrics)`, pure; with `frozen` bound it is
      the `step(state)` that the loop repeats.
    frozen: makes the arrays that the step reads and never updates; called
      only when there are steps to do.
    label_names: names for the entries of metrics that are vectors.
    teacher_labels: by a teacher's name, the indices of its labels in
      `label_names`.
    draw: `state -> picture`, uint8 [height, width, 1 or 3], of an unreplicated
      state, a few times in its training. None if there is nothing to see.
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
  draw: Callable[[TrainState], np.ndarray] | None = None


def adam(
  learning_rate: float, steps: int, *, b1: float = 0.9
) -> optax.GradientTransformation:
  """Makes Adam with a learning rate that decays to 0 along half a cosine.

  Args:
    learning_rate: at step 0.
    steps: after which the rate is 0; of 0 steps none is taken.
    b1: decay of the running average of gradients.
  """
  schedule = optax.cosine_decay_schedule(learning_rate, max(steps, 1))
  return optax.adam(schedule, b1=b1)


def first_state(
  key: chex.PRNGKey,
  params: Any,
  batch_stats: Any,
  optimiser: optax.GradientTransformation,
) -> TrainState:
  """Makes the state before step 0."""
  return TrainState(
    jnp.zeros((), jnp.int32), key, params, batch_stats, optimiser.init(params)
  )


def train_step(
  loss_fn: LossFn, optimiser: optax.GradientTransformation, state: TrainState
) -> tuple[TrainState, Metrics]:
  """Takes one step down the gradient of the mean loss over all devices.

  Args:
    loss_fn: `(params, batch_stats, key) -> (loss, (batch_stats, metrics))`, the
      scalar loss of this device's share of the batch; terms that are not
      linear in the share must be averaged over devices inside.
    optimiser: takes the averaged gradients.
    state: before the step.

  Returns:
    The state after it, and the averaged metrics with `loss` added.
  """
  # From the step's number, so that a resumed run draws the same.
  key = jax.random.fold_in(state.key, state.step)
  grad_fn = jax.value_and_grad(loss_fn, has_aux=True)
  (loss, (batch_stats, metrics)), grads = grad_fn(
    state.params, state.batch_stats, key
  )
  # Batch norms have averaged their statistics over devices already.
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
  """Averages gradients and metrics over devices, and updates the parameters.

  Args:
    optimiser: takes the averaged gradients.
    params: before the step.
    opt_state: before the step.
    grads: gradients of this device's share of the batch.
    metrics: of this device's share.

  Returns:
    params and opt_state after the step, and the averaged metrics.
  """
  # In one reduction: each waits for the slowest device.
  grads, metrics = parallel.mean((grads, metrics))
  updates, opt_state = optimiser.update(grads, opt_state, params)
  return optax.apply_updates(params, updates), opt_state, metrics
