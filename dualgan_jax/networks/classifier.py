"""Classifiers cut into blocks: the student, and the teachers trained here.

A classifier is a value: B Linen blocks and a head, each with variables of its
own, so that each block can be trained, frozen, copied or left out separately.
"""

import dataclasses
import functools
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from dualgan_jax.networks.head import Head
from dualgan_jax.networks.normalization import normalize
from dualgan_jax.networks.thin_convolution import conv_general_dilated

# By collection: 'params', and 'batch_stats' if there is batch norm.
Variables = dict[str, Any]


class _Block(nn.Module):
  """The fields of all kinds of blocks.

  Attributes:
    width: channels of the output.
    depth: number of convolutions, or of units of two.
    stride: of the first convolution, or of the pooling.
    batch_norm: whether batch norm follows each convolution.
    dtype: that it computes in, that of its input if None; parameters and batch
      moments stay float32.
  """

  width: int
  depth: int = 1
  stride: int = 2
  batch_norm: bool = True
  dtype: jnp.dtype | None = None


class ConvBlock(_Block):
  """3×3 convolutions, `depth` in number; the first strides.

  Odd sizes round up.
  """

  @nn.compact
  def __call__(self, features: chex.Array, *, train: bool) -> chex.Array:
    """Maps [N, h, w, c] to [N, ⌈h/stride⌉, ⌈w/stride⌉, width]."""
    for index in range(self.depth):
      features = _convolve(
        self, features, stride=self.stride if index == 0 else 1
      )
      features = nn.relu(_maybe_normalize(self, features, train))
    return features


class ResidualBlock(_Block):
  """Basic residual units (He et al., 2016), `depth` in number.

  The first one strides.
  """

  @nn.compact
  def __call__(self, features: chex.Array, *, train: bool) -> chex.Array:
    """Maps [N, h, w, c] to [N, ⌈h/stride⌉, ⌈w/stride⌉, width]."""
    for index in range(self.depth):
      stride = self.stride if index == 0 else 1
      residual = _convolve(self, features, stride=stride)
      residual = nn.relu(_maybe_normalize(self, residual, train))
      residual = _maybe_normalize(self, _convolve(self, residual), train)
      # A shortcut without parameters, wherever shapes allow it.
      if features.shape != residual.shape:
        features = _maybe_normalize(
          self, _convolve(self, features, stride=stride, kernel_size=1), train
        )
      features = nn.relu(features + residual)
    return features


class LeNetBlock(_Block):
  """5×5 convolutions without padding, `depth` in number, then a max pool.

  As in LeNet-5 (LeCun et al., 1998), whose features of 32×32 images are 14, 5
  and 1 high: widths (6, 16, 120), depths (1, 1, 1), strides (2, 2, 1), and a
  head of hidden widths (84,).
  """

  @nn.compact
  def __call__(self, features: chex.Array, *, train: bool) -> chex.Array:
    """Maps [N, h, w, c] to [N, ⌊(h-4·depth)/stride⌋, ..., width]."""
    for _ in range(self.depth):
      features = _convolve(self, features, kernel_size=5, padding='VALID')
      features = nn.relu(_maybe_normalize(self, features, train))
    # `nn.max_pool` drops a last odd row or column.
    window = (self.stride, self.stride)
    return nn.max_pool(features, window_shape=window, strides=window)


def one_against_rest(scores: chex.Array) -> chex.Array:
  """Computes logits of softmax probabilities: `x_k - log Σ_{j≠k} exp x_j`.

  Their sigmoid is `softmax(x)_k`, so that a net whose labels exclude one
  another can replace a net whose labels are independent.

  Args:
    scores: x, the input of the softmax, [N, L], L at least 2.

  Returns:
    Logits, [N, L].
  """
  # In bfloat16 the probabilities would not add up to 1.
  scores = scores.astype(jnp.promote_types(scores.dtype, jnp.float32))
  log_probabilities = jax.nn.log_softmax(scores)
  # Not jax.nn.one_hot, whose truth values onnxruntime does not know.
  label_indices = jnp.arange(scores.shape[-1])[None]
  is_top = label_indices == jnp.argmax(scores, axis=-1, keepdims=True)
  # 1 - p would lose what the most probable label leaves to the others.
  log_rest_of_top = jax.nn.logsumexp(
    log_probabilities, axis=-1, where=~is_top, keepdims=True
  )
  log_rest = jnp.log1p(-jnp.where(is_top, 0, jnp.exp(log_probabilities)))
  return log_probabilities - jnp.where(is_top, log_rest_of_top, log_rest)


# Upper bound on the height times width of a student's images.
MOST_PIXELS = 2**22

# Each kind's block, and whether its head pools.
KINDS = {
  'conv': (ConvBlock, False),
  'residual': (ResidualBlock, True),
  'lenet': (LeNetBlock, False),
}


@dataclasses.dataclass(frozen=True)
class Classifier:
  """B blocks and a head.

  Attributes:
    blocks: Linen modules called as `block(features, train=...)`, in order.
    head: Linen module called as `head(features)`.
    single_label: whether labels exclude one another: a softmax over the head's
      scores gives probabilities.
  """

  blocks: tuple[nn.Module, ...]
  head: nn.Module
  single_label: bool = False

  def answer(self, variables: Variables, features: chex.Array) -> chex.Array:
    """Maps the last block's output [N, h, w, c] to logits [N, num_labels].

    Their sigmoids are probabilities, those of a softmax if `single_label`.
    """
    scores = self.scores(variables, features)
    return one_against_rest(scores) if self.single_label else scores

  def scores(self, variables: Variables, features: chex.Array) -> chex.Array:
    """Computes the head's output, [N, num_labels], before any softmax."""
    return self.head.apply(variables, features)

  def init(self, key: chex.PRNGKey, image_shape: tuple[int, int, int]) -> tuple:
    """Makes the variables.

    Args:
      key: a PRNG key.
      image_shape: (height, width, channels).

    Returns:
      B + 1 variable dicts: one per block, then the head's.
    """
    variables, features = [], jnp.zeros((1, *image_shape))
    for index, block in enumerate(self.blocks):
      features, block_variables = block.init_with_output(
        jax.random.fold_in(key, index), features, train=False
      )
      variables.append(block_variables)
    # Each part's key depends on its place only.
    key = jax.random.fold_in(key, len(self.blocks))
    return (*variables, self.head.init(key, features))

  def apply(
    self, variables: tuple, images: chex.Array, *, train: bool
  ) -> tuple[chex.Array, tuple]:
    """Computes the logits of images.

    Args:
      variables: as `init` makes them.
      images: [N, h, w, c].
      train: whether batch norm uses the batch's moments.

    Returns:
      Logits [N, num_labels], and the variables, with running averages updated
      if `train`.
    """
    features, updated = images, []
    for block, block_variables in zip(self.blocks, variables[:-1], strict=True):
      features, block_variables = apply_block(
        block, block_variables, features, train=train
      )
      updated.append(block_variables)
    return self.answer(variables[-1], features), (*updated, variables[-1])


def create(
  *,
  kind: str,
  widths: tuple[int, ...],
  depths: tuple[int, ...],
  strides: tuple[int, ...],
  num_labels: int,
  hidden_widths: tuple[int, ...] = (),
  batch_norm: bool = True,
  single_label: bool = False,
  dtype: jnp.dtype | None = None,
) -> Classifier:
  """Makes a classifier of `len(widths)` blocks of one kind.

  Args:
    kind: a key of `KINDS`.
    widths: channels of each block.
    depths: convolutions, or units ('residual'), of each block.
    strides: stride of each block.
    num_labels: logits of the head.
    hidden_widths: see `Head`.
    batch_norm, dtype: see `_Block`.
    single_label: see `Classifier`.

  Raises:
    ValueError: the three tuples differ in length.
  """
  block_class, head_pools = KINDS[kind]
  make_block = functools.partial(
    block_class, batch_norm=batch_norm, dtype=dtype
  )
  blocks = tuple(
    make_block(width=width, depth=depth, stride=stride)
    for width, depth, stride in zip(widths, depths, strides, strict=True)
  )
  head = Head(num_labels, head_pools, hidden_widths)
  return Classifier(blocks, head, single_label)


def apply_block(
  block: nn.Module, variables: Variables, features: chex.Array, *, train: bool
) -> tuple[chex.Array, Variables]:
  """Runs one block.

  Args:
    block: called as `block(features, train=...)`.
    variables: of the block.
    features: [N, h, w, c]; images for the first block.
    train: whether batch norm uses the batch's moments.

  Returns:
    The block's output, and its variables, with running averages updated if
    `train`.
  """
  if not train:
    return block.apply(variables, features, train=False), variables
  outputs, updated_collections = block.apply(
    variables, features, train=True, mutable=['batch_stats']
  )
  return outputs, {**variables, **updated_collections}


def split(variables: Any) -> tuple[Any, Any]:
  """Splits a tree of variable dicts into parameters and running averages.

  Returns:
    Two trees of the same outer structure: the 'params' of each variable dict,
    and its 'batch_stats' ({} where there is no batch norm).
  """

  # Parameters may be any tree: only whole variable dicts are leaves here.
  def collection(collection_name):
    return jax.tree.map(
      lambda variable_dict: variable_dict.get(collection_name, {}),
      variables,
      is_leaf=_is_variables,
    )

  return collection('params'), collection('batch_stats')


def join(params: Any, batch_stats: Any) -> Any:
  """Inverts `split`, for trees of variable dicts in tuples.

  Raises:
    ValueError: the trees are of different nets.
  """
  # A teacher's parameters may be any tree, a tuple too.
  if isinstance(batch_stats, tuple):
    return tuple(
      join(block_params, block_stats)
      for block_params, block_stats in zip(params, batch_stats, strict=True)
    )
  return {
    'params': params,
    **({'batch_stats': batch_stats} if batch_stats else {}),
  }


def _is_variables(node: Any) -> bool:
  """Returns whether a node of a tree is a variable dict."""
  return isinstance(node, dict) and 'params' in node


def _convolve(module, features, *, stride=1, kernel_size=3, padding='SAME'):
  """Convolves to the module's width; called in its `nn.compact` method."""
  # Batch norm would subtract a bias again with the mean.
  return nn.Conv(
    module.width,
    (kernel_size, kernel_size),
    strides=stride,
    padding=padding,
    use_bias=not module.batch_norm,
    dtype=module.dtype,
    conv_general_dilated=conv_general_dilated,
  )(features)


def _maybe_normalize(module, features, train):
  """Normalises if the module has batch norm; called as `_convolve` is."""
  if not module.batch_norm:
    return features
  return normalize(features, train=train, dtype=module.dtype)
