"""Forward passes of frozen teachers: whole, from any block on, with statistics.

Each discriminator is the tail of a frozen teacher: D_m^j, its last j blocks,
for generator group j (Eq. 4), and D_d^{b,m}, the blocks after the student's
block b (Eq. 12), which is D_m^{B-b}.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from dualgan_jax.losses import Moments
from dualgan_jax.teachers import tensor_names
from dualgan_jax.teachers.teacher import NORMALISED_IMAGE, BlockFn, Teacher


class Ladder(NamedTuple):
  """A teacher's answers to an image, and to features that enter behind blocks.

  Attributes:
    image: logits of O_m(I_g), [N, |Y_m|].
    entries: by block, logits of the features that entered after it.
    activations: the image's features before the head, [N, h, w, c].
    moments: of the image's rows, one entry per batch-norm layer.
  """

  image: chex.Array
  entries: dict[int, chex.Array]
  activations: chex.Array
  moments: list[Moments]


def tail(
  teacher: Teacher, variables: Sequence[Any], features: chex.Array, after: int
) -> chex.Array:
  """Runs the teacher's blocks after block `after` and its head, Eq. 12.

  Args:
    teacher: gives the functions.
    variables: of blocks after+1 .. B and of the head: those of the teacher, or
      a copy that is being trained.
    features: [N, h, w, c]; images if `after` is 0.
    after: 0 .. B-1.

  Returns:
    Logits, [N, |Y_m|].
  """
  # With the variables of the caller: a branch's tail is trained further.
  *blocks, head = variables
  for block, block_variables in zip(
    teacher.blocks[after:], blocks, strict=True
  ):
    features = block(block_variables, features)
  return _as_float32(teacher.head(head, features))


def ladder(
  teacher: Teacher, image: chex.Array, entries: Mapping[int, chex.Array]
) -> Ladder:
  """Computes all of a teacher's answers of one step in one pass.

  Features that enter after block b are judged by the teacher's last B - b
  blocks: D_m^{B-b} of Eq. 4, and D_d^{b,m} of Eq. 12. They join the image's
  features there, stacked along the batch, so that each block runs once.

  Args:
    teacher: teacher m, frozen; must treat each row by itself.
    image: I_g, [N, h, w, c].
    entries: by block b (1 .. B-1), filtered features that enter after it, with
      any number of rows.

  Returns:
    The answers, and the statistics of the image's rows.
  """
  num_images, features = image.shape[0], image
  moments, entry_rows = [], {}
  parts = zip(teacher.blocks, teacher.variables[:-1], strict=True)
  for block_number, (block, variables) in enumerate(parts, start=1):
    features, block_moments = record_moments(
      block, variables, features, num_images, teacher.statistics
    )
    moments += block_moments
    # What enters here stands behind all rows so far, up to the logits.
    if block_number in entries:
      num_rows, entry = features.shape[0], entries[block_number]
      entry_rows[block_number] = slice(num_rows, num_rows + entry.shape[0])
      features = jnp.concatenate([features, entry])
  logits, head_moments = record_moments(
    teacher.head,
    teacher.variables[-1],
    features,
    num_images,
    teacher.statistics,
  )
  # The image's rows are the first, and their features those of L_a.
  logits = _as_float32(logits)
  moments += head_moments
  return Ladder(
    logits[:num_images],
    {block_number: logits[rows] for block_number, rows in entry_rows.items()},
    features[:num_images],
    moments,
  )


def record_moments(
  block: BlockFn,
  variables: Any,
  features: chex.Array,
  num_images: int,
  statistics: Mapping[str, Any] = MappingProxyType({}),
) -> tuple[chex.Array, list[Moments]]:
  """Runs a block, reading the moments of every batch norm in it on the way.

  Args:
    block: a teacher's block or head, of any code: `nn.intercept_methods` meets
      each `nn.BatchNorm` inside. None may lie in a lifted transform
      (`nn.remat`, `nn.scan`, `nn.jit`), whose inside Linen hides.
    variables: the block's.
    features: [N, h, w, c].
    num_images: the first rows of N, whose moments are recorded.
    statistics: see `Teacher`.

  Returns:
    The block's output and one `Moments` per `nn.BatchNorm` and named tensor.
  """
  moments, num_rows = [], len(features)

  def add_moments(inputs, channel_axis, mean, variance):
    # The block may have made rows of an image's places before.
    image_rows = inputs[: num_images * len(inputs) // num_rows]
    # Half precision would lose what E[x²] - E[x]² leaves.
    image_rows = image_rows.astype(jnp.promote_types(inputs.dtype, jnp.float32))
    axes = tuple(
      axis for axis in range(inputs.ndim) if axis != channel_axis % inputs.ndim
    )
    moments.append(
      Moments(
        jnp.mean(image_rows, axes),
        jnp.mean(jnp.square(image_rows), axes),
        mean,
        variance,
      )
    )

  def read_moments(next_method, args, kwargs, context):
    # NNX models and cut ones run on placeholders before the real images.
    if (
      isinstance(context.module, nn.BatchNorm)
      and context.method_name == '__call__'
      and not tensor_names.are_placeholders()
    ):
      add_moments(
        args[0] if args else kwargs['x'],
        context.module.axis,
        context.module.get_variable('batch_stats', 'mean'),
        context.module.get_variable('batch_stats', 'var'),
      )
    return next_method(*args, **kwargs)

  def read_named(tensor, name):
    if name in statistics:
      add_moments(tensor, -1, *statistics[name])

  with nn.intercept_methods(read_moments), tensor_names.listening(read_named):
    return block(variables, features), moments


def feature_shapes(
  teacher: Teacher, image_shape: tuple[int, int, int]
) -> list[tuple[int, int, int]]:
  """Lists the shape of each block's features, without computing them.

  Args:
    teacher: variables may be abstract (`jax.ShapeDtypeStruct`).
    image_shape: (height, width, channels).

  Returns:
    (height, width, channels) per block.
  """
  features = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  shapes = []
  for block, block_variables in zip(
    teacher.blocks, teacher.variables[:-1], strict=True
  ):
    features = jax.eval_shape(block, block_variables, features)
    shapes.append(features.shape[1:])
  return shapes


def has_batch_norm(teacher: Teacher, image_shape: tuple[int, int, int]) -> bool:
  """Returns whether the teacher has statistics of features.

  Those of its normalised images are not counted.

  Args:
    teacher: variables may be abstract (`jax.ShapeDtypeStruct`).
    image_shape: (height, width, channels).
  """

  def moments_of_zeros(teacher):
    images = jnp.zeros((1, *image_shape))
    return ladder(teacher, images, {}).moments

  statistics = {
    name: pair
    for name, pair in teacher.statistics.items()
    if name != NORMALISED_IMAGE
  }
  teacher = dataclasses.replace(teacher, statistics=statistics)
  # Only the number of entries counts: nothing is computed.
  return bool(jax.eval_shape(moments_of_zeros, teacher))


def named_tensors(
  teacher: Teacher, image_shape: tuple[int, int, int]
) -> dict[str, int]:
  """Lists the names that `name_tensor` gives in a pass.

  Args:
    teacher: variables may be abstract (`jax.ShapeDtypeStruct`).
    image_shape: (height, width, channels).

  Returns:
    By name, the length of the tensor's last axis.
  """
  channels_by_name = {}

  def note(tensor, name):
    channels_by_name[name] = tensor.shape[-1]

  images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  with tensor_names.listening(note):
    jax.eval_shape(
      lambda variables, images: tail(teacher, variables, images, 0),
      teacher.variables,
      images,
    )
  return channels_by_name


def _as_float32(logits: chex.Array) -> chex.Array:
  """Casts half precision, in which sure answers would be certain ones."""
  return logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
