"""A frozen teacher: named labels, B block functions, a head, variables."""

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from dualgan_jax.errors import UserError
from dualgan_jax.losses import Moments
from dualgan_jax.networks.classifier import Classifier, one_against_rest
from dualgan_jax.preparation import Preparation

BlockFn = Callable[[Any, chex.Array], chex.Array]


@struct.dataclass
class Teacher:
  """A trained classifier A_m = head ∘ A_m^B ∘ … ∘ A_m^1 that stays as it is.

  Any functions will do, whatever made them, as long as they are pure and treat
  each row of a batch alone.

  Attributes:
    name: what the user calls it.
    labels: Y_m, in the order of its logits.
    blocks: B functions `(variables, x) -> x`; the first takes images
      [N, h, w, c] in [0, 1].
    head: `(variables, x) -> logits [N, |Y_m|]`.
    variables: B + 1 dicts, one per block and the head's last, of 'params', any
      pytree, and perhaps 'batch_stats', which no gradient moves.
    single_label: whether its labels exclude one another; the sigmoids of its
      logits are softmax probabilities then (use `single_label`).
  """

  name: str = struct.field(pytree_node=False)
  labels: tuple[str, ...] = struct.field(pytree_node=False)
  blocks: tuple[BlockFn, ...] = struct.field(pytree_node=False)
  head: BlockFn = struct.field(pytree_node=False)
  variables: tuple[Any, ...] = ()
  single_label: bool = struct.field(pytree_node=False, default=False)


@dataclasses.dataclass(frozen=True)
class _SoftmaxHead:
  """The logits of the probabilities that a softmax over a head gives."""

  head: BlockFn

  def __call__(self, variables: Any, x: chex.Array) -> chex.Array:
    return one_against_rest(self.head(variables, x))


def single_label(teacher: Teacher) -> Teacher:
  """A teacher whose head's scores go through a softmax: one label per image.

  Args:
    teacher: its head gives what the softmax takes, for two labels or more.
  """
  return teacher.replace(head=_SoftmaxHead(teacher.head), single_label=True)


def without_softmax(teacher: Teacher) -> Teacher:
  """A teacher that gives what `single_label`'s softmax takes, if it has one."""
  if not isinstance(teacher.head, _SoftmaxHead):
    return teacher
  return teacher.replace(head=teacher.head.head, single_label=False)


@dataclasses.dataclass(frozen=True)
class _PreparedBlock:
  """Prepares images for a first block."""

  preparation: Preparation
  block: BlockFn

  def __call__(self, variables: Any, x: chex.Array) -> chex.Array:
    return self.block(variables, self.preparation(x))


def prepared(teacher: Teacher, preparation: Preparation) -> Teacher:
  """A teacher that is shown our images, and sees what it is used to."""
  first, *others = teacher.blocks
  return teacher.replace(blocks=(_PreparedBlock(preparation, first), *others))


_BOTH = ('first', 'second')


@dataclasses.dataclass(frozen=True)
class _MergedBlock:
  """Two blocks, one after the other."""

  blocks: tuple[BlockFn, BlockFn]

  def __call__(self, variables: Any, x: chex.Array) -> chex.Array:
    for place, block in zip(_BOTH, self.blocks, strict=True):
      x = block({k: v[place] for k, v in variables.items() if place in v}, x)
    return x


def merged(teacher: Teacher, b: int) -> Teacher:
  """The same teacher, cut into one block less: b and b + 1 are one.

  Args:
    teacher: of B blocks.
    b: 1 .. B - 1.
  """
  two = slice(b - 1, b + 1)
  parts = dict(zip(_BOTH, teacher.variables[two], strict=True))
  kinds = dict.fromkeys(kind for own in parts.values() for kind in own)
  variables = {
    kind: {place: own[kind] for place, own in parts.items() if kind in own}
    for kind in kinds
  }

  def cut(entries, one):
    return (*entries[: b - 1], one, *entries[b + 1 :])

  return teacher.replace(
    blocks=cut(teacher.blocks, _MergedBlock(teacher.blocks[two])),
    variables=cut(teacher.variables, variables),
  )


@dataclasses.dataclass(frozen=True)
class _FrozenBlock:
  """Runs a Linen block with its running averages."""

  module: nn.Module

  def __call__(self, variables: Any, x: chex.Array) -> chex.Array:
    return self.module.apply(variables, x, train=False)


def from_classifier(
  name: str,
  labels: tuple[str, ...],
  classifier: Classifier,
  variables: tuple[Any, ...],
) -> Teacher:
  """Freezes one of our classifiers, as `Classifier.init` shapes variables."""
  blocks = tuple(_FrozenBlock(block) for block in classifier.blocks)
  teacher = Teacher(name, labels, blocks, classifier.scores, variables)
  return single_label(teacher) if classifier.single_label else teacher


def feature_shapes(
  teacher: Teacher, image: tuple[int, int, int]
) -> list[tuple[int, int, int]]:
  """The (height, width, channels) that each block gives; computes nothing.

  Args:
    teacher: variables may be abstract (`jax.ShapeDtypeStruct`).
    image: (height, width, channels).
  """
  x = jax.ShapeDtypeStruct((1, *image), jnp.float32)
  shapes = []
  for block, own in zip(teacher.blocks, teacher.variables[:-1], strict=True):
    x = jax.eval_shape(block, own, x)
    shapes.append(x.shape[1:])
  return shapes


def check_agreement(
  nets: Mapping[str, Teacher],
  image: tuple[int, int, int],
  files: Mapping[str, str] = MappingProxyType({}),
) -> None:
  """Sees that one generator can serve all nets, teachers and student.

  Args:
    nets: by the config's field that describes each.
    image: (height, width, channels).
    files: of those that come from files, the field that names the file; the
      others have widths and strides.

  Raises:
    UserError: they differ in the number of blocks, or in the spatial size after
      one but the last, or have fewer than two.
  """

  (first, net), *others = nets.items()
  blocks = len(net.blocks)
  if blocks < 2:
    raise UserError(
      f'{first}.{files.get(first, "widths")}: {blocks} block; a net needs at '
      'least two to be cut into.'
    )
  merging = ', weight files by `merge`' if 'weights' in files.values() else ''
  # Nothing enters after the last block.
  sizes = [shape[:2] for shape in feature_shapes(net, image)[:-1]]
  for field, other in others:
    if len(other.blocks) != blocks:
      raise UserError(
        f'{field}.{files.get(field, "widths")}: '
        f'{len(other.blocks)} blocks, but {first} has {blocks}; cut all nets '
        f'into the same number{merging}.'
      )
    for b, shape in enumerate(feature_shapes(other, image)[:-1]):
      if shape[:2] != sizes[b]:
        raise UserError(
          f'{field}.{files.get(field, "strides")}: block {b + 1} '
          f'gives {_by(shape)} features, that of {first} {_by(sizes[b])}; the '
          'generator can meet only one size per block.'
        )


def has_batch_norm(teacher: Teacher, image: tuple[int, int, int]) -> bool:
  """Whether the teacher remembers statistics for the prior to match."""
  return bool(jax.eval_shape(lambda t: _moments_of_zeros(t, image), teacher))


def record_moments(
  block: BlockFn, variables: Any, x: chex.Array, rows: int
) -> tuple[chex.Array, list[Moments]]:
  """Runs a block, reading the moments of every batch norm in it on the way.

  Args:
    block: a teacher's block or head, of any code: each `nn.BatchNorm` inside is
      met through `nn.intercept_methods`, unless a lifted transform (`nn.remat`,
      `nn.scan`, `nn.jit`) hides it, which Linen does not let one look into.
    variables: the block's.
    x: [N, h, w, c].
    rows: only the first `rows` of N are looked at.

  Returns:
    The block's output and one `Moments` per batch-norm layer.
  """
  moments, count = [], len(x)

  def read(next_method, args, kwargs, context):
    if isinstance(context.module, nn.BatchNorm) and (
      context.method_name == '__call__'
    ):
      x = args[0] if args else kwargs['x']
      # The block may have made rows of an image's places before.
      seen = x[: rows * len(x) // count]
      # Half precision would lose what E[x²] - E[x]² leaves.
      seen = seen.astype(jnp.promote_types(x.dtype, jnp.float32))
      axes = tuple(
        i for i in range(x.ndim) if i != context.module.axis % x.ndim
      )
      moments.append(
        Moments(
          jnp.mean(seen, axes),
          jnp.mean(jnp.square(seen), axes),
          context.module.get_variable('batch_stats', 'mean'),
          context.module.get_variable('batch_stats', 'var'),
        )
      )
    return next_method(*args, **kwargs)

  with nn.intercept_methods(read):
    return block(variables, x), moments


def _moments_of_zeros(teacher, image):
  x, found = jnp.zeros((1, *image)), []
  parts = (*teacher.blocks, teacher.head)
  for part, own in zip(parts, teacher.variables, strict=True):
    x, moments = record_moments(part, own, x, rows=1)
    found += moments
  return found


def _by(size):
  return f'{size[0]}×{size[1]}'
