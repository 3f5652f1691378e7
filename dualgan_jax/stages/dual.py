"""Stage `dual`: the dual generator T learns block by block, Eq. 12-16.

While block b trains, the generator, the teachers and T^1 .. T^{b-1} are frozen;
with it train the filters f_m^b that carry its output F_u^b to the teachers, and
an adapter where the generator's features don't have the student's width. With
λ^2 = 0 the generator's features are no second input, and need no adapter.

`teachers` and `label_map` hold only teachers of whom Y_cst asks something.
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
from dualgan_jax.method import discriminators
from dualgan_jax.method.frozen_generator import FrozenGenerator
from dualgan_jax.method.labels import LabelMap
from dualgan_jax.networks.classifier import Classifier, apply_block, join, split
from dualgan_jax.teachers import forward
from dualgan_jax.teachers.forward import feature_shapes
from dualgan_jax.teachers.teacher import Teacher
from dualgan_jax.training.phase import Phase, first_state, train_step


@struct.dataclass
class Frozen:
  """Arrays that block b's step reads and never updates.

  Attributes:
    teachers: M of them.
    source: the generator.
    student: variables of T^1 .. T^{b-1}.
  """

  teachers: tuple[Teacher, ...]
  source: FrozenGenerator
  student: tuple[Any, ...]


def phase(
  b: int,
  student: Classifier,
  label_map: LabelMap,
  frozen: Frozen,
  *,
  image: tuple[int, int, int],
  filters: str,
  lambda_own: float,
  lambda_generated: float,
  steps: int,
  batch: int,
  optimiser: optax.GradientTransformation,
) -> Phase:
  """Trains T^b under L_u^b (Eq. 16).

  The state's params are {'block': ..., 'head': ..., 'filters': {teacher's
  name: ...}, 'adapter': ...}: 'head' only for b = B, whose discriminator is
  empty, and which has no filters then; 'adapter' only where it is needed.

  Args:
    b: 1 .. B.
    student: T, with |Y_cst| logits.
    label_map: the teachers of `frozen` in the same order.
    frozen: see `Frozen`.
    image: (height, width, channels).
    filters: 'stage1' or 'fresh': f_m^b starts from stage 1's f_m^{B-b}, which
      sits at the same place, or anew. Where the student is not as wide as the
      generator's features, stage 1's don't fit, and it starts anew.
    lambda_own: λ^1 of Eq. 16.
    lambda_generated: λ^2.
    steps: training steps.
    batch: images per step.
    optimiser: of block, filters and adapter.
  """
  blocks = len(student.blocks)
  block = student.blocks[b - 1]
  generated_width = frozen.source.module.channels[blocks - b - 1]
  from_stage1 = filters == 'stage1' and generated_width == block.width
  # At b = 1 both inputs are the image.
  two_streams = b > 1 and lambda_generated > 0
  adapter = (
    nn.Conv(student.blocks[b - 2].width, (1, 1)) if two_streams else None
  )

  def init(key):
    variables = student.init(jax.random.fold_in(key, 0), image)
    params, batch_stats = split(variables)
    state = {'block': params[b - 1]}
    if b == blocks:
      state['head'] = params[-1]
    else:
      state['filters'] = {
        teacher.name: frozen.source.filters[teacher.name][f'group_{blocks - b}']
        if from_stage1
        else discriminators.new_filter(
          jax.random.fold_in(key, m),
          block.width,
          feature_shapes(teacher, image)[b - 1][-1],
        )
        for m, teacher in enumerate(frozen.teachers, start=1)
      }
    if two_streams:
      channels = frozen.source.module.channels[blocks - b]
      if channels != adapter.features:
        x = jnp.zeros((1, 1, 1, channels))
        state['adapter'] = adapter.init(
          jax.random.fold_in(key, len(frozen.teachers) + 1), x
        )
    return first_state(key, state, batch_stats[b - 1], optimiser)

  def step(frozen, state):
    def loss_fn(params, batch_stats, key):
      features = frozen.source.features(key, batch)
      own_path, generated = inputs(student, frozen.student, features)
      if 'adapter' in params:
        generated = adapter.apply(params['adapter'], generated)
      variables = join(params['block'], batch_stats)
      # T^b's running averages follow its own path, the one of test time.
      out, variables = apply_block(block, variables, own_path, train=True)
      outs = [out]
      if two_streams:
        outs.append(apply_block(block, variables, generated, train=True)[0])
      terms = block_losses(
        b, jnp.concatenate(outs), features[-1], params, student, label_map,
        frozen,
      )  # fmt: skip
      l_d = [losses.dual([t[i] for t in terms]) for i in range(len(outs))]
      total = losses.dual_streams(
        l_d[0],
        l_d[-1],
        lambda_own=lambda_own,
        lambda_generated=lambda_generated,
      )
      metrics = {'l_d_own': l_d[0]}
      if two_streams:
        metrics['l_d_generated'] = l_d[1]
      return total, (split(variables)[1], metrics)

    return train_step(loss_fn, optimiser, state)

  return Phase(f'dual/block_{b}', steps, init, step, lambda: frozen)


def inputs(
  student: Classifier,
  before: Sequence[Any],
  features: Sequence[chex.Array],
) -> tuple[chex.Array, chex.Array]:
  """The two inputs of T^b, Eq. 15.

  `F_i^1 = T^{b-1} ∘ … ∘ T^1(I_g)`, the student's own path, and
  `F_i^2 = F_g^{B+1-b}`, the generator's features at that place. Both are I_g
  at b = 1.

  Args:
    student: T.
    before: variables of T^1 .. T^{b-1}.
    features: F_g^1 .. F_g^B.

  Returns:
    F_i^1 and F_i^2.
  """
  own_path = features[-1]
  for block, variables in zip(student.blocks, before, strict=False):
    own_path, _ = apply_block(block, variables, own_path, train=False)
  return own_path, features[len(features) - 1 - len(before)]


def block_losses(
  b: int,
  out: chex.Array,
  image: chex.Array,
  params: Any,
  student: Classifier,
  label_map: LabelMap,
  frozen: Frozen,
) -> list[list[chex.Array]]:
  """L_d^{b,m} of Eq. 13, per teacher and stream.

  At b = B the student's own head answers, and a label of several teachers has
  the mean of their probabilities as its target. With
  `FrozenGenerator.foreign_labels_absent` an image's own teacher alone sets the
  target.

  Args:
    b: 1 .. B.
    out: F_u^b of S streams of N rows each, one after the other, [S·N, h, w, c].
    image: I_g, [N, h, w, c].
    params: of the phase: 'filters', or at b = B 'head'.
    student: T.
    label_map: the teachers in the same order.
    frozen: teachers and generator.

  Returns:
    Per teacher a list of S scalars.
  """
  last = b == len(student.blocks)
  count = len(out) // len(image)
  if last or frozen.source.foreign_labels_absent:
    targets = frozen.source.ensemble_logits(frozen.teachers, image, label_map)
  if last:
    answers = student.answer({'params': params['head']}, out)
  terms = []
  for m, teacher in enumerate(frozen.teachers):
    columns = label_map.customised_columns(m)
    if last:
      rows, target = answers[:, columns], targets[:, columns]
    else:
      # g_m of what teacher m says of the block's output, and of the image.
      kept = label_map.task_filter(m)
      entry = discriminators.filtered(params['filters'][teacher.name], out)
      if frozen.source.foreign_labels_absent:
        rows = forward.tail(teacher, teacher.variables[b:], entry, b)
        target = targets[:, columns]
      else:
        x = forward.ladder(
          teacher, frozen.source.filtered_image(teacher, image), {b: entry}
        )
        rows, target = x.entries[b], x.image[:, kept]
      rows = rows[:, kept]
    terms.append([losses.dual_block(s, target) for s in jnp.split(rows, count)])
  return terms
