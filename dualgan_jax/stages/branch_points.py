"""Stage `targetnet`: measures where the teachers' tails may branch off.

This begins stage 3 of the method. The published equations stop at 16; the
branch points follow the same authors' "Amalgamating Filtered Knowledge" (IJCAI
2019). `method.branched` regroups the nets, and `stages.distillation` fine-tunes
them.
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
class BranchPointInputs:
  """Arrays that the branch losses are measured on.

  Attributes:
    block_inputs: teachers, generator and all blocks of the trained student.
    filters: {'block_b': {teacher's name: parameters of f_m^b}} for b < B.
  """

  block_inputs: dual.BlockInputs
  filters: Any


def branch_phase(
  student: Classifier,
  label_map: LabelMap,
  branch_inputs: BranchPointInputs,
  *,
  num_batches: int,
  batch_size: int,
) -> Phase:
  """Measures L_d^{b,m} (Eq. 13) for all b < B on fresh generated images.

  Nothing learns: the state's params are the sums over the steps so far,
  {'block_b': {teacher's name: scalar}}; `branch_losses` takes their mean.

  Args:
    student: T.
    label_map: the teachers in the same order.
    branch_inputs: the frozen nets.
    num_batches: batches to average over, one per step.
    batch_size: images in each.
  """
  block_numbers = range(1, len(student.blocks))
  names = [teacher.name for teacher in branch_inputs.block_inputs.teachers]

  def init(key):
    # Scalars in params, so that a checkpoint holds what was measured.
    loss_sums = {
      f'block_{block_number}': {name: jnp.zeros(()) for name in names}
      for block_number in block_numbers
    }
    return TrainState(jnp.zeros((), jnp.int32), key, loss_sums, (), ())

  def step(frozen, state):
    nets = frozen.block_inputs
    key = jax.random.fold_in(state.key, state.step)
    features = nets.generator.features(key, batch_size)
    batch_losses = {}
    for block_number in block_numbers:
      # The student's own path up to and with block b, at test time.
      output, _ = dual.input_streams(
        student, nets.previous_blocks[:block_number], features
      )
      teacher_losses = dual.block_losses(
        block_number,
        output,
        features[-1],
        {'filters': frozen.filters[f'block_{block_number}']},
        student,
        label_map,
        nets,
      )
      # There is one stream, the own path.
      batch_losses[f'block_{block_number}'] = {
        name: stream_losses[0]
        for name, stream_losses in zip(names, teacher_losses, strict=True)
      }
    # Summed here, and divided once in the end: no batch counts more.
    batch_losses = parallel.mean(batch_losses)
    loss_sums = jax.tree.map(jnp.add, state.params, batch_losses)
    metrics = {
      f'l_d/{block}/{name}': loss
      for block, losses_of_block in batch_losses.items()
      for name, loss in losses_of_block.items()
    }
    return state.replace(step=state.step + 1, params=loss_sums), metrics

  return Phase(
    'targetnet/branch_points', num_batches, init, step, lambda: branch_inputs
  )


def branch_losses(state: TrainState) -> dict[str, list[float]]:
  """Averages L_d^{b,m} over the batches of `branch_phase`.

  Args:
    state: after the last step.

  Returns:
    By teacher's name, L_d^{b,m} for b = 1 .. B-1.
  """
  names = state.params['block_1']
  return {
    name: [
      float(state.params[f'block_{block_number}'][name] / state.step)
      for block_number in range(1, len(state.params) + 1)
    ]
    for name in names
  }


def choose_branch_points(
  losses: Mapping[str, list[float]], tolerance: float
) -> dict[str, int]:
  """Chooses p_m = argmin_{b<B} L_d^{b,m}, or a deeper block that is as good.

  Args:
    losses: L_d^{b,m} by teacher's name, for b = 1 .. B-1.
    tolerance: the deepest b whose loss is at most the least plus this, for a
      longer trunk and a smaller net; 0 for the argmin.

  Returns:
    By teacher's name, from 1 to B-1.
  """
  points = {}
  for name, block_losses in losses.items():
    # Of blocks that are as good as the best, the deepest shares most.
    is_tolerable = np.asarray(block_losses) <= min(block_losses) + tolerance
    points[name] = int(np.flatnonzero(is_tolerable)[-1]) + 1
  return points
