"""A frozen teacher: named labels, B block functions, a head, variables."""

import dataclasses
from collections.abc import Callable
from typing import Any

import chex
import flax.linen as nn
from flax import struct

from dualgan_jax.networks.classifier import Classifier, one_against_rest
from dualgan_jax.teachers.preparation import Preparation

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
