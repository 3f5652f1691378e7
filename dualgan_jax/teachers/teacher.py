"""A frozen teacher: named labels, B block functions, a head, variables."""

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from typing import Any, cast

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from dualgan_jax.networks.classifier import Classifier, one_against_rest
from dualgan_jax.teachers.preparation import Preparation
from dualgan_jax.teachers.tensor_names import name_tensor

BlockFn = Callable[[Any, chex.Array], chex.Array]
# Name of what a preparation that normalises gives to the first block.
NORMALISED_IMAGE = 'normalised image'


@struct.dataclass
class Teacher:
  """A trained, frozen classifier A_m = head ∘ A_m^B ∘ … ∘ A_m^1.

  Any functions will do, whatever made them, as long as they are pure and treat
  each row of a batch by itself.

  Attributes:
    name: the user's name for it.
    labels: Y_m, in the order of its logits.
    blocks: B functions `(variables, x) -> x`; the first takes images
      [N, h, w, c] in [0, 1].
    head: `(variables, x) -> logits [N, |Y_m|]`.
    variables: B + 1 dicts, one per block and the head's last, of 'params', any
      pytree, and perhaps 'batch_stats', which no gradient moves.
    single_label: whether its labels exclude one another; the sigmoids of its
      logits are softmax probabilities then (use `single_label`).
    image_shape: (height, width, channels) of the images that it takes, if
      known.
    statistics: by the name that `name_tensor` gives a tensor [..., c] inside
      the functions, its mean and variance [c] in training, for the statistics
      prior; that of Linen's `nn.BatchNorm` is read anyway, and `prepared`
      adds that of normalised images.
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
  statistics: dict[str, Any] = struct.field(default_factory=dict)

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
    """Makes a teacher of a Flax Linen model, without rewriting it.

    The model is cut after the output of some of its submodules. It is called
    with `train`, `training` and `is_training` False, `deterministic` and
    `use_running_average` True, where it takes such an argument. Each block gets
    only those of the variables that it reads.

    Args:
      module: with `setup` or `nn.compact`; maps images to one logit per label.
      variables: its {'params': ..., 'batch_stats': ...}.
      labels: in the order of its logits.
      image_shape: (height, width, channels) of the images that it takes.
      cut_after: two or more submodules, like ('Conv_1', 'encoder/Conv_3'), each
        called once; the first block ends after the first of them, and what
        follows the last is the head.
      single_label: whether its labels exclude one another: its logits are what
        a softmax takes.
      preparation: what images need before the model sees them.
      name: of the teacher.
      **call_arguments: of the model, beside the images.

    Returns:
      A teacher of one block per cut, and a head.

    Raises:
      UserError: the model cannot answer such images, or cannot be cut there,
        for instance since a skip connection leads around a cut.
    """
    from dualgan_jax.teachers import linen_model  # it makes teachers

    apply, variables = linen_model.bind(module, variables, call_arguments)
    return _from_model(
      name,
      labels,
      image_shape,
      apply,
      variables,
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

    Args:
      module: an `nnx.Module` with its variables; it stays as it is, and answers
        as after `module.eval()`.
      cut_after: submodules, like ('conv', 'encoder/layers/0').
      labels, image_shape, single_label, preparation, name, **call_arguments:
        see `from_flax`.

    Returns:
      A teacher of one block per cut, and a head.

    Raises:
      UserError: see `from_flax`.
    """
    from dualgan_jax.teachers import nnx_model  # it makes teachers

    apply, variables = nnx_model.bind(module, call_arguments)
    teacher = _from_model(
      name,
      labels,
      image_shape,
      apply,
      variables,
      cut_after,
      softmax=single_label,
      preparation=preparation,
    )
    statistics = teacher.statistics | nnx_model.batch_statistics(module)
    return dataclasses.replace(teacher, statistics=statistics)

  @classmethod
  def from_torch_export(
    cls,
    path: str | os.PathLike[str],
    *,
    labels: Sequence[str],
    single_label: bool = False,
    mean: Sequence[float] = (0.0,),
    std: Sequence[float] = (1.0,),
    cut_after: Sequence[str] | None = None,
    merge: Sequence[int] = (),
    name: str = 'teacher',
  ) -> 'Teacher':
    """Makes a teacher of a file that `torch.export.save` wrote.

    Nothing in the file is executed, and PyTorch is not needed. Where the file
    has logits of its example (`extra_files={'logits.json': ...}`), the teacher
    must give the same ones.

    Args:
      path: of the file, usually `.pt2`, of PyTorch 2.8 or newer.
      labels: in the order of the logits.
      single_label: whether its labels exclude one another: its logits are what
        a softmax takes.
      mean: to subtract from images in [0, 1], for all channels or for each.
      std: standard deviation to divide them by then, likewise.
      cut_after: two or more modules, like ('layer1', 'layer2'), after which it
        is cut into blocks; what follows the last is the head. None cuts at the
        last place of each spatial size.
      merge: numbers of blocks to merge with the next one.
      name: of the teacher.

    Returns:
      A teacher of images [N, h, w, c] in [0, 1], of any size.

    Raises:
      UserError: the file is damaged, or has operations that are not known; it
        cannot be cut there; labels, mean or std don't fit it; its stored logits
        differ from the teacher's; or it mixes the images of a batch.
    """
    # They make teachers.
    from dualgan_jax.teachers import exported_teacher, merging

    net = exported_teacher.read('path', os.fspath(path))
    options = exported_teacher.Options(
      tuple(labels), single_label, tuple(mean), tuple(std), cut_after
    )
    teacher = exported_teacher.make(name, net, options)
    return merging.merge_blocks('merge', teacher, merge)


@dataclasses.dataclass(frozen=True)
class _SoftmaxHead:
  """A head whose logits are those of a softmax's probabilities."""

  head: BlockFn

  def __call__(self, variables: Any, features: chex.Array) -> chex.Array:
    return one_against_rest(self.head(variables, features))


def single_label(teacher: Teacher) -> Teacher:
  """Puts a softmax over a teacher's head: one label per image.

  Args:
    teacher: its head gives the softmax's scores, for two labels or more.

  Returns:
    A teacher whose logits' sigmoids are the softmax's probabilities.
  """
  # Logits label by label are all that the losses know.
  return dataclasses.replace(
    teacher, head=_SoftmaxHead(teacher.head), single_label=True
  )


def without_softmax(teacher: Teacher) -> Teacher:
  """Takes off the softmax of `single_label`, so that the head gives scores.

  Args:
    teacher: any; without a softmax, it comes back as it is.
  """
  if not isinstance(teacher.head, _SoftmaxHead):
    return teacher
  head = teacher.head.head
  return dataclasses.replace(teacher, head=head, single_label=False)


@dataclasses.dataclass(frozen=True)
class _PreparedBlock:
  """A first block that prepares its images."""

  preparation: Preparation
  block: BlockFn

  def __call__(self, variables: Any, images: chex.Array) -> chex.Array:
    images = name_tensor(self.preparation(images), NORMALISED_IMAGE)
    return self.block(variables, images)


def prepared(teacher: Teacher, preparation: Preparation) -> Teacher:
  """Prepares images before a teacher's first block.

  Where the preparation normalises, the teacher's training images had mean 0 and
  variance 1 after it, which the statistics prior then asks of generated ones.

  Args:
    teacher: takes images as it was trained on, of another size or range.
    preparation: makes such images of ours, [N, h, w, c] in [0, 1].

  Returns:
    A teacher that takes images in [0, 1].
  """
  first_block, *other_blocks = teacher.blocks
  prepared_block: BlockFn = _PreparedBlock(preparation, first_block)
  blocks = (prepared_block, *other_blocks)
  statistics = teacher.statistics
  if preparation.normalises:
    num_channels = preparation.image_shape[-1]
    pair = jnp.zeros(num_channels), jnp.ones(num_channels)
    statistics = {**statistics, NORMALISED_IMAGE: pair}
  return dataclasses.replace(teacher, blocks=blocks, statistics=statistics)


def _from_model(
  name: str,
  labels: Sequence[str],
  image_shape: tuple[int, int, int],
  apply: Callable[..., chex.Array],
  variables: Any,
  cut_after: Sequence[str],
  *,
  softmax: bool,
  preparation: Preparation | None,
) -> Teacher:
  """Makes a teacher of the blocks of a model, see `cut_model.cut`."""
  from dualgan_jax.teachers import cut_model  # it takes teachers

  # Two rows, as the protocol's check has: a cut is tried on them.
  images = jax.random.uniform(jax.random.PRNGKey(0), (2, *image_shape))
  if preparation:
    images = preparation(images)
  (*blocks, head), parts = cut_model.cut(apply, variables, images, cut_after)
  teacher = Teacher(
    name,
    tuple(labels),
    tuple(blocks),
    head,
    parts,
    image_shape=cast(tuple[int, int, int], tuple(image_shape)),
  )
  if preparation:
    teacher = prepared(teacher, preparation)
  return single_label(teacher) if softmax else teacher


@dataclasses.dataclass(frozen=True)
class _FrozenPart:
  """A Linen block with its running averages, or a head; equal if its net is."""

  module: nn.Module
  is_head: bool = False

  def __call__(self, variables: Any, features: chex.Array) -> chex.Array:
    apply = functools.partial(self.module.apply, variables, features)
    return apply() if self.is_head else apply(train=False)


def from_classifier(
  name: str,
  labels: tuple[str, ...],
  classifier: Classifier,
  variables: tuple[Any, ...],
) -> Teacher:
  """Makes a teacher of a trained classifier of this package.

  Args:
    name: of the teacher.
    labels: in the order of its logits.
    classifier: any of `networks.classifier`.
    variables: B + 1 dicts, as `Classifier.init` shapes them.

  Returns:
    A teacher of its B blocks.
  """
  # The scores before a softmax, which `single_label` puts on.
  blocks = tuple(_FrozenPart(block) for block in classifier.blocks)
  head = _FrozenPart(classifier.head, is_head=True)
  teacher = Teacher(name, labels, blocks, head, variables)
  return single_label(teacher) if classifier.single_label else teacher
