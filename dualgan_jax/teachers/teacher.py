"""A frozen teacher: named labels, B block functions, a head, variables."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import chex
import flax.linen as nn
import jax
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
    image_shape: (height, width, channels) of the images that it is shown, if
      known.
  """

  name: str = struct.field(pytree_node=False)
  labels: tuple[str, ...] = struct.field(pytree_node=False)
  blocks: tuple[BlockFn, ...] = struct.field(pytree_node=False)
  head: BlockFn = struct.field(pytree_node=False)
  variables: tuple[Any, ...] = ()
  single_label: bool = struct.field(pytree_node=False, default=False)
  image_shape: tuple[int, int, int] | None = struct.field(
    pytree_node=False, default=None
  )

  @classmethod
  def from_flax(
    cls,
    module: nn.Module,
    variables: Any,
    *,
    labels: Sequence[str],
    image_shape: tuple[int, int, int],
    cut_after: Sequence[str],
    single_label: bool = False,
    preparation: Preparation | None = None,
    name: str = 'teacher',
    **call_arguments: Any,
  ) -> 'Teacher':
    """Makes a teacher of a Flax Linen model, which stays as it is written.

    The model is cut after the output of some of its submodules. It is called
    with `train`, `training` and `is_training` False, `deterministic` and
    `use_running_average` True, where it takes such an argument. Each block gets
    only those of the variables that it reads.

    Args:
      module: with `setup` or `nn.compact`; maps images to one logit per label.
      variables: its {'params': ..., 'batch_stats': ...}.
      labels: in the order of its logits.
      image_shape: (height, width, channels) of the images that it is shown.
      cut_after: two or more submodules, like ('Conv_1', 'encoder/Conv_3'), each
        called once; the first block ends after the first of them, and what
        follows the last is the head.
      single_label: whether its labels exclude one another: its logits are what
        a softmax takes.
      preparation: what images need before the model sees them.
      name: of the teacher.
      **call_arguments: of the model, beside the images.

    Raises:
      UserError: the model cannot answer such images, or cannot be cut there,
        for instance since a skip connection leads around a cut.
    """
    from dualgan_jax.teachers import linen_model  # it makes teachers

    bound = linen_model.bound(module, variables, call_arguments)
    return _from_model(
      cls(name, tuple(labels), (), None, (), image_shape=tuple(image_shape)),
      *bound,
      cut_after,
      softmax=single_label,
      preparation=preparation,
    )

  @classmethod
  def from_nnx(
    cls,
    module: Any,
    *,
    labels: Sequence[str],
    image_shape: tuple[int, int, int],
    cut_after: Sequence[str],
    single_label: bool = False,
    preparation: Preparation | None = None,
    name: str = 'teacher',
    **call_arguments: Any,
  ) -> 'Teacher':
    """Makes a teacher of a Flax NNX model, as `from_flax` does of Linen's.

    The statistics prior does not see its batch norms, as it does not see those
    of plain functions; a run says so.

    Args:
      module: an `nnx.Module` with its variables; it stays as it is, and answers
        as after `module.eval()`.
      labels: see `from_flax`.
      image_shape: see `from_flax`.
      cut_after: submodules, like ('conv', 'encoder/layers/0').
      single_label: see `from_flax`.
      preparation: see `from_flax`.
      name: see `from_flax`.
      **call_arguments: see `from_flax`.

    Raises:
      UserError: see `from_flax`.
    """
    from dualgan_jax.teachers import nnx_model  # it makes teachers

    return _from_model(
      cls(name, tuple(labels), (), None, (), image_shape=tuple(image_shape)),
      *nnx_model.bound(module, call_arguments),
      cut_after,
      softmax=single_label,
      preparation=preparation,
    )


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


def _from_model(
  empty: Teacher,
  apply: Callable[..., chex.Array],
  variables: Any,
  cut_after: Sequence[str],
  *,
  softmax: bool,
  preparation: Preparation | None,
) -> Teacher:
  """Fills a teacher with the blocks of a model, see `cut_model.cut`."""
  from dualgan_jax.teachers import cut_model  # it takes teachers

  images = jax.random.uniform(jax.random.PRNGKey(0), (2, *empty.image_shape))
  if preparation:
    images = preparation(images)
  (*blocks, head), parts = cut_model.cut(apply, variables, images, cut_after)
  teacher = empty.replace(blocks=tuple(blocks), head=head, variables=parts)
  if preparation:
    teacher = prepared(teacher, preparation)
  return single_label(teacher) if softmax else teacher


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
