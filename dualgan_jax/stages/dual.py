"""Stage `dual`: the dual generator T learns block by block, Eq. 12-16.

While block b trains, the generator, the teachers and T^1 .. T^{b-1} are frozen.
The filters f_m^b, which carry its output F_u^b to the teachers, train with it,
and so does an adapter where the generator's features don't have the student's
width. With λ^2 = 0 the generator's features are no second input, and need no
adapter.

`teachers` and `label_map` hold relevant teachers only, those that answer some
label of Y_cst.
"""

from collections.abc import Sequence
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct

from dualgan_jax import losses
from dualgan_jax.config.stage_table import Dual
from dualgan_jax.method import discriminators
from dualgan_jax.method.frozen_generator import FrozenGenerator
from dualgan_jax.method.labels import LabelMap
from dualgan_jax.networks.classifier import Classifier, apply_block, join, split
from dualgan_jax.teachers import forward
from dualgan_jax.teachers.forward import feature_shapes
from dualgan_jax.teachers.teacher import Teacher
from dualgan_jax.training.phase import Phase, first_state, train_step


@struct.dataclass
class BlockInputs:
  """Arrays that block b's step reads and never updates.

  Attributes:
    teachers: M of them.
    generator: the trained one, with stage 1's filters.
    previous_blocks: variables of T^1 .. T^{b-1}.
  """

  teachers: tuple[Teacher, ...]
  generator: FrozenGenerator
  previous_blocks: tuple[Any, ...]


def phase(
  block_number: int,
  student: Classifier,
  label_map: LabelMap,
  block_inputs: BlockInputs,
  training: Dual,
  *,
  image_shape: tuple[int, int, int],
  optimiser: optax.GradientTransformation,
) -> Phase:
  """Trains T^b under L_u^b (Eq. 16).

  The state's params are {'block': ..., 'head': ..., 'filters': {teacher's
  name: ...}, 'adapter': ...}: 'head' only for b = B, whose discriminator is
  empty, and which has no filters then; 'adapter' only where it is needed.

  Args:
    block_number: b, 1 .. B.
    student: T, with |Y_cst| logits.
    label_map: the teachers of `block_inputs` in the same order.
    block_inputs: the frozen nets around T^b.
    training: steps, batch, λ^1 and λ^2 of Eq. 16, and `filters`: whether f_m^b
      starts from stage 1's f_m^{B-b}, which sits at the same place, or anew.
      Where the student is not as wide as the generator's features, stage 1's
      don't fit, and it starts anew.
    image_shape: (height, width, channels).
    optimiser: of block, filters and adapter.
  """
  block = student.blocks[block_number - 1]
  # At b = 1 both inputs are the image.
  two_streams = block_number > 1 and training.lambda_generated > 0
  adapter = None
  if two_streams:
    adapter = nn.Conv(student.blocks[block_number - 2].width, (1, 1))

  def init(key):
    params, batch_stats = _first_params(
      key,
      block_number,
      student,
      block_inputs,
      adapter,
      image_shape=image_shape,
      filter_start=training.filter_start,
    )
    return first_state(key, params, batch_stats, optimiser)

  def step(frozen, state):
    def loss_fn(params, batch_stats, key):
      # Eq. 15: F_i^1 and F_i^2 of fresh images.
      features = frozen.generator.features(key, training.batch)
      own_path, generated = input_streams(
        student, frozen.previous_blocks, features
      )
      if 'adapter' in params:
        generated = adapter.apply(params['adapter'], generated)
      # T^b's running averages follow its own path, the one of test time.
      variables = join(params['block'], batch_stats)
      output, variables = apply_block(block, variables, own_path, train=True)
      outputs = [output]
      if two_streams:
        outputs.append(apply_block(block, variables, generated, train=True)[0])
      # Eq. 13: one pass of each teacher judges both streams.
      teacher_losses = block_losses(
        block_number, jnp.concatenate(outputs), features[-1], params, student,
        label_map, frozen,
      )  # fmt: skip
      # Eq. 14 sums over the teachers, Eq. 16 weighs the streams.
      stream_losses = [
        losses.dual(of_stream) for of_stream in zip(*teacher_losses)
      ]
      total = losses.dual_streams(
        stream_losses[0],
        stream_losses[-1],
        lambda_own=training.lambda_own,
        lambda_generated=training.lambda_generated,
      )
      metrics = {'l_d_own': stream_losses[0]}
      if two_streams:
        metrics['l_d_generated'] = stream_losses[1]
      return total, (split(variables)[1], metrics)

    return train_step(loss_fn, optimiser, state)

  name = f'dual/block_{block_number}'
  return Phase(name, training.steps, init, step, lambda: block_inputs)


def _first_params(
  key: chex.PRNGKey,
  block_number: int,
  student: Classifier,
  block_inputs: BlockInputs,
  adapter: nn.Module | None,
  *,
  image_shape: tuple[int, int, int],
  filter_start: str,
) -> tuple[dict[str, Any], Any]:
  """Initialises T^b, its head or filters, and the adapter, as `phase` says.

  Returns:
    The params of the phase, and the block's running averages.
  """
  generator, num_blocks = block_inputs.generator, len(student.blocks)
  # The values that T^b would have in a student that trains as a whole.
  variables = student.init(jax.random.fold_in(key, 0), image_shape)
  params, batch_stats = split(variables)
  first_params = {'block': params[block_number - 1]}
  # D_d^{B,m} is empty: the student's head answers, and needs no filters.
  if block_number == num_blocks:
    first_params['head'] = params[-1]
  else:
    group = num_blocks - block_number
    width = student.blocks[block_number - 1].width
    generated_width = generator.module.channels[group - 1]
    from_stage1 = filter_start == 'stage1' and generated_width == width
    first_params['filters'] = {
      teacher.name: generator.filters[teacher.name][f'group_{group}']
      if from_stage1
      else discriminators.init_filter(
        jax.random.fold_in(key, teacher_number),
        width,
        feature_shapes(teacher, image_shape)[block_number - 1][-1],
      )
      for teacher_number, teacher in enumerate(block_inputs.teachers, start=1)
    }
  # Brings F_g^{B+1-b} to the width that T^b takes.
  if adapter is not None:
    channels = generator.module.channels[num_blocks - block_number]
    if channels != adapter.features:
      first_params['adapter'] = adapter.init(
        jax.random.fold_in(key, len(block_inputs.teachers) + 1),
        jnp.zeros((1, 1, 1, channels)),
      )
  return first_params, batch_stats[block_number - 1]


def input_streams(
  student: Classifier,
  previous_blocks: Sequence[Any],
  features: Sequence[chex.Array],
) -> tuple[chex.Array, chex.Array]:
  """Computes the two inputs of T^b, Eq. 15.

  `F_i^1 = T^{b-1} ∘ … ∘ T^1(I_g)`, the student's own path, and
  `F_i^2 = F_g^{B+1-b}`, the generator's features at that place. Both are I_g
  at b = 1.

  Args:
    student: T.
    previous_blocks: variables of T^1 .. T^{b-1}.
    features: F_g^1 .. F_g^B, [N, h, w, c] each.

  Returns:
    F_i^1 and F_i^2, [N, h, w, c] each.
  """
  own_path = features[-1]
  for block, variables in zip(student.blocks, previous_blocks, strict=False):
    own_path, _ = apply_block(block, variables, own_path, train=False)
  return own_path, features[len(features) - 1 - len(previous_blocks)]


def block_losses(
  block_number: int,
  outputs: chex.Array,
  image: chex.Array,
  params: Any,
  student: Classifier,
  label_map: LabelMap,
  block_inputs: BlockInputs,
) -> list[list[chex.Array]]:
  """Computes L_d^{b,m} of Eq. 13, per teacher and stream.

  At b = B the student's own head answers, and a label of several teachers has
  the mean of their probabilities as its target. With
  `FrozenGenerator.foreign_labels_absent` an image's own teacher alone sets the
  target.

  Args:
    block_number: b, 1 .. B.
    outputs: F_u^b of S streams of N rows each, one after the other,
      [S·N, h, w, c].
    image: I_g, [N, h, w, c].
    params: of the phase: 'filters', or at b = B 'head'.
    student: T.
    label_map: the teachers in the same order.
    block_inputs: teachers and generator.

  Returns:
    Per teacher a list of S scalars.
  """
  generator, teachers = block_inputs.generator, block_inputs.teachers
  is_last = block_number == len(student.blocks)
  num_streams = len(outputs) // len(image)
  # O_g(I_g) of Eq. 10, where no single teacher's answer is the target.
  if is_last or generator.foreign_labels_absent:
    ensemble_logits = generator.ensemble_logits(teachers, image, label_map)
  if is_last:
    student_logits = student.answer({'params': params['head']}, outputs)
  teacher_losses = []
  for m, teacher in enumerate(teachers):
    columns = label_map.customised_columns(m)
    if is_last:
      block_logits = student_logits[:, columns]
      targets = ensemble_logits[:, columns]
    else:
      # g_m(O_m(F_u^b)), and g_m(O_m(I_g)) or the ensemble's answer.
      task_filter = label_map.task_filter(m)
      entry = discriminators.apply_filter(
        params['filters'][teacher.name], outputs
      )
      if generator.foreign_labels_absent:
        block_logits = forward.tail(
          teacher, teacher.variables[block_number:], entry, block_number
        )
        targets = ensemble_logits[:, columns]
      else:
        ladder = forward.ladder(
          teacher,
          generator.filtered_image(teacher, image),
          {block_number: entry},
        )
        block_logits = ladder.entries[block_number]
        targets = ladder.image[:, task_filter]
      block_logits = block_logits[:, task_filter]
    # One scalar per stream: Eq. 16 weighs them apart.
    teacher_losses.append(
      [
        losses.dual_block(stream_logits, targets)
        for stream_logits in jnp.split(block_logits, num_streams)
      ]
    )
  return teacher_losses
