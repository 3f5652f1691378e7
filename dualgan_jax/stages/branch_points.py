"""Stage `targetnet`: measure branch points, regroup, as stage 3 of the method.

The published equations stop at 16; the branch points follow the same authors'
"Amalgamating Filtered Knowledge" (IJCAI 2019). The nets themselves are
fine-tuned by `stages.distil`.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from dualgan_jax.method.labels import LabelMap
from dualgan_jax.networks.classifier import Classifier
from dualgan_jax.stages import dual
from dualgan_jax.training import parallel
from dualgan_jax.training.phase import Phase, TrainState


@struct.dataclass
class Measured:
  """What the branch losses are measured on.

  Attributes:
    frozen: teachers, generator and the trained student.
    filters: {'block_b': {teacher's name: parameters of f_m^b}} for b < B.
  """

  frozen: dual.Frozen
  filters: Any


def branch_phase(
  student: Classifier,
  label_map: LabelMap,
  measured: Measured,
  *,
  batches: int,
  batch: int,
) -> Phase:
  """Measures L_d^{b,m} (Eq. 13) for all b < B on fresh generated images.

  Nothing learns: the state's params are the sums over the steps so far,
  {'block_b': {teacher's name: scalar}}; `branch_losses` takes their mean.

  Args:
    student: T.
    label_map: the teachers in the same order.
    measured: see `Measured`.
    batches: how many.
    batch: images in each.
  """
  blocks = range(1, len(student.blocks))
  names = [teacher.name for teacher in measured.frozen.teachers]

  def init(key):
    sums = {
      f'block_{b}': {name: jnp.zeros(()) for name in names} for b in blocks
    }
    return TrainState(jnp.zeros((), jnp.int32), key, sums, (), ())

  def step(measured, state):
    key = jax.random.fold_in(state.key, state.step)
    features = measured.frozen.source.features(key, batch)
    values = {}
    for b in blocks:
      # The student's own path up to and with block b, at test time.
      out, _ = dual.inputs(student, measured.frozen.student[:b], features)
      terms = dual.block_losses(
        b,
        out,
        features[-1],
        {'filters': measured.filters[f'block_{b}']},
        student,
        label_map,
        measured.frozen,
      )
      values[f'block_{b}'] = {
        name: streams[0] for name, streams in zip(names, terms, strict=True)
      }
    values = parallel.mean(values)
    sums = jax.tree.map(jnp.add, state.params, values)
    metrics = {
      f'l_d/{block}/{name}': value
      for block, block_losses in values.items()
      for name, value in block_losses.items()
    }
    return state.replace(step=state.step + 1, params=sums), metrics

  return Phase('targetnet/branch_points', batches, init, step, lambda: measured)


def branch_losses(state: TrainState) -> dict[str, list[float]]:
  """Mean L_d^{b,m} by teacher's name, for b = 1 .. B-1."""
  names = state.params['block_1']
  return {
    name: [
      float(state.params[f'block_{b}'][name] / state.step)
      for b in range(1, len(state.params) + 1)
    ]
    for name in names
  }


def branch_points(
  losses: Mapping[str, list[float]], tolerance: float
) -> dict[str, int]:
  """p_m = argmin_{b<B} L_d^{b,m}, or deeper.

  Args:
    losses: L_d^{b,m} by teacher's name, for b = 1 .. B-1.
    tolerance: the deepest b whose loss is at most the least plus this, for a
      longer trunk and a smaller net; 0 for the argmin.

  Returns:
    By teacher's name, from 1 to B-1.
  """
  points = {}
  for name, values in losses.items():
    within = np.asarray(values) <= min(values) + tolerance
    points[name] = int(np.flatnonzero(within)[-1]) + 1
  return points
