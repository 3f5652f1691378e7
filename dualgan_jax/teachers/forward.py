"""Forward passes of frozen teachers: whole, from any block on, with statistics.

A discriminator is nothing but the tail of a frozen teacher: D_m^j, the last j
blocks, for generator group j (Eq. 4), and D_d^{b,m}, the blocks after the
student's block b (Eq. 12), which is D_m^{B-b}.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from dualgan_jax.losses import Moments
from dualgan_jax.teachers.teacher import BlockFn, Teacher

_ON_PLACEHOLDERS = contextvars.ContextVar('_ON_PLACEHOLDERS', default=False)


class Ladder(NamedTuple):
  """One teacher's answers to an image and to features that enter on its way.

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
    variables: of blocks after+1 .. B and of the head: the teacher's own, or a
      copy that is being trained.
    features: [N, h, w, c]; images if `after` is 0.
    after: 0 .. B-1.

  Returns:
    Logits, [N, |Y_m|].
  """
  *blocks, head = variables
  for block, block_variables in zip(
    teacher.blocks[after:], blocks, strict=True
  ):
    features = block(block_variables, features)
  return _widened(teacher.head(head, features))


def ladder(
  teacher: Teacher, image: chex.Array, entries: Mapping[int, chex.Array]
) -> Ladder:
  """Computes all of a teacher's answers of one step in one pass.

  Features that enter after block b are judged by the teacher's last B - b
  blocks: D_m^{B-b} of Eq. 4, and D_d^{b,m} of Eq. 12. They join the image's
  own features there, stacked along the batch, so that each block runs once.

  Args:
    teacher: teacher m, frozen; must treat rows alone.
    image: I_g, [N, h, w, c].
    entries: by block b (1 .. B-1), filtered features that enter after it, with
      any number of rows.
  """
  rows, x, moments, entered = image.shape[0], image, [], {}
  parts = zip(teacher.blocks, teacher.variables[:-1], strict=True)
  for b, (block, variables) in enumerate(parts, start=1):
    x, block_moments = record_moments(block, variables, x, rows)
    moments += block_moments
    if b in entries:
      entered[b] = slice(x.shape[0], x.shape[0] + entries[b].shape[0])
      x = jnp.concatenate([x, entries[b]])
  logits, head_moments = record_moments(
    teacher.head, teacher.variables[-1], x, rows
  )
  logits = _widened(logits)
  moments += head_moments
  return Ladder(
    logits[:rows],
    {b: logits[where] for b, where in entered.items()},
    x[:rows],
    moments,
  )


def record_moments(
  block: BlockFn, variables: Any, x: chex.Array, rows: int
) -> tuple[chex.Array, list[Moments]]:
  """Runs a block, reading the moments of every batch norm in it on the way.

  Args:
    block: a teacher's block or head, of any code: each `nn.BatchNorm` inside is
      met through `nn.intercept_methods`. None may lie in a lifted transform
      (`nn.remat`, `nn.scan`, `nn.jit`), which Linen does not let one look into.
    variables: the block's.
    x: [N, h, w, c].
    rows: only the first `rows` of N are looked at.

  Returns:
    The block's output and one `Moments` per batch-norm layer.
  """
  moments, count = [], len(x)

  def read(next_method, args, kwargs, context):
    if (
      isinstance(context.module, nn.BatchNorm)
      and context.method_name == '__call__'
      and not _ON_PLACEHOLDERS.get()
    ):
      x = args[0] if args else kwargs['x']
      # The block may have made rows of an image's places before.
      image_rows = x[: rows * len(x) // count]
      # Half precision would lose what E[x²] - E[x]² leaves.
      image_rows = image_rows.astype(jnp.promote_types(x.dtype, jnp.float32))
      axes = tuple(
        i for i in range(x.ndim) if i != context.module.axis % x.ndim
      )
      moments.append(
        Moments(
          jnp.mean(image_rows, axes),
          jnp.mean(jnp.square(image_rows), axes),
          context.module.get_variable('batch_stats', 'mean'),
          context.module.get_variable('batch_stats', 'var'),
        )
      )
    return next_method(*args, **kwargs)

  with nn.intercept_methods(read):
    return block(variables, x), moments


@contextlib.contextmanager
def placeholders() -> Iterator[Callable[[bool], None]]:
  """Hides from `record_moments` what batch norms see of placeholder images.

  Yields:
    A function that says whether placeholders run from now on; they do first.
  """
  token = _ON_PLACEHOLDERS.set(True)
  try:
    yield _ON_PLACEHOLDERS.set
  finally:
    _ON_PLACEHOLDERS.reset(token)


def feature_shapes(
  teacher: Teacher, image_shape: tuple[int, int, int]
) -> list[tuple[int, int, int]]:
  """Lists the (height, width, channels) that each block gives.

  Computes nothing but shapes.

  Args:
    teacher: variables may be abstract (`jax.ShapeDtypeStruct`).
    image_shape: (height, width, channels).
  """
  x = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  shapes = []
  for block, block_variables in zip(
    teacher.blocks, teacher.variables[:-1], strict=True
  ):
    x = jax.eval_shape(block, block_variables, x)
    shapes.append(x.shape[1:])
  return shapes


def has_batch_norm(teacher: Teacher, image_shape: tuple[int, int, int]) -> bool:
  """Tells whether the teacher has statistics for the prior to match."""
  return bool(
    jax.eval_shape(lambda t: _moments_of_zeros(t, image_shape), teacher)
  )


def _moments_of_zeros(teacher, image_shape):
  x, moments = jnp.zeros((1, *image_shape)), []
  parts = (*teacher.blocks, teacher.head)
  for part, variables in zip(parts, teacher.variables, strict=True):
    x, part_moments = record_moments(part, variables, x, rows=1)
    moments += part_moments
  return moments


def _widened(logits):
  # In half precision sure answers would be certain ones.
  return logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
