"""Classifiers cut into blocks: what our teachers and the student are made of.

A classifier is a value: B Linen blocks and a head, each with variables of its
own, so that any block can be trained, frozen, copied or left out alone.
"""

import dataclasses
import functools
from typing import Any

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from dualgan_jax.networks.normalization import normalize

Variables = dict[str, Any]


class _Block(nn.Module):
  """What all kinds of blocks have.

  Attributes:
    width: channels.
    depth: convolutions, or units of two.
    stride: of the first one, or of the pooling.
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
  """`depth` 3×3 convolutions, the first strides; odd sizes round up."""

  @nn.compact
  def __call__(self, x: chex.Array, *, train: bool) -> chex.Array:
    """Maps [N, h, w, c] to [N, ⌈h/stride⌉, ⌈w/stride⌉, width]."""
    for i in range(self.depth):
      x = _convolution(self, x, stride=self.stride if i == 0 else 1)
      x = nn.relu(_norm(self, x, train))
    return x


class ResidualBlock(_Block):
  """`depth` basic residual units (He et al., 2016), the first strides."""

  @nn.compact
  def __call__(self, x: chex.Array, *, train: bool) -> chex.Array:
    """Maps [N, h, w, c] to [N, ⌈h/stride⌉, ⌈w/stride⌉, width]."""
    for i in range(self.depth):
      stride = self.stride if i == 0 else 1
      y = _convolution(self, x, stride=stride)
      y = nn.relu(_norm(self, y, train))
      y = _norm(self, _convolution(self, y), train)
      if x.shape != y.shape:
        x = _norm(self, _convolution(self, x, stride=stride, kernel=1), train)
      x = nn.relu(x + y)
    return x


class LeNetBlock(_Block):
  """`depth` 5×5 convolutions without padding, then max pooling by `stride`.

  As in LeNet-5 (LeCun et al., 1998), whose features of 32×32 images are 14, 5
  and 1 high: depths (1, 1, 1), strides (2, 2, 1).
  """

  @nn.compact
  def __call__(self, x: chex.Array, *, train: bool) -> chex.Array:
    """Maps [N, h, w, c] to [N, ⌊(h-4·depth)/stride⌋, ..., width]."""
    for _ in range(self.depth):
      x = _convolution(self, x, kernel=5, padding='VALID')
      x = nn.relu(_norm(self, x, train))
    window = (self.stride, self.stride)
    return nn.max_pool(x, window_shape=window, strides=window)


class Head(nn.Module):
  """One logit per label, from all features or from their spatial mean.

  Attributes:
    labels: number of logits.
    pool: whether to average over space first, as residual nets do. A head that
      looks at every position knows where strokes belong, and so does a
      generator that is trained against it.
  """

  labels: int
  pool: bool

  @nn.compact
  def __call__(self, x: chex.Array) -> chex.Array:
    """Maps [N, h, w, c] to logits [N, labels], in float32."""
    x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    x = jnp.mean(x, axis=(1, 2)) if self.pool else x.reshape(x.shape[0], -1)
    return nn.Dense(self.labels)(x)


def one_against_rest(scores: chex.Array) -> chex.Array:
  """The logits of softmax probabilities: `x_k - log Σ_{j≠k} exp x_j`.

  Their sigmoid is `softmax(x)_k`, so that a net whose labels exclude one
  another can stand wherever labels are on or off independently.

  Args:
    scores: x, what a softmax would take, [N, L], L at least 2.

  Returns:
    Logits, [N, L].
  """
  # Where a head gives bfloat16, its probabilities would not add up to 1.
  scores = scores.astype(jnp.promote_types(scores.dtype, jnp.float32))
  log_p = jax.nn.log_softmax(scores)
  # Not jax.nn.one_hot, whose truth values onnxruntime does not know.
  everyone = jnp.arange(scores.shape[-1])[None]
  top = everyone == jnp.argmax(scores, axis=-1, keepdims=True)
  # 1 - p would lose what the most probable label leaves to the others.
  beside_top = jax.nn.logsumexp(log_p, axis=-1, where=~top, keepdims=True)
  beside = jnp.log1p(-jnp.where(top, 0, jnp.exp(log_p)))
  return log_p - jnp.where(top, beside_top, beside)


# The largest image that a student may take: height times width.
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
    blocks: Linen modules called as `block(x, train=...)`, first to last.
    head: Linen module called as `head(features)`.
    single_label: whether labels exclude one another: the head gives what a
      softmax takes.
  """

  blocks: tuple[nn.Module, ...]
  head: nn.Module
  single_label: bool = False

  def answer(self, variables: Variables, features: chex.Array) -> chex.Array:
    """Maps the last block's output [N, h, w, c] to logits [N, labels].

    Their sigmoids are probabilities, those of a softmax if `single_label`.
    """
    x = self.scores(variables, features)
    return one_against_rest(x) if self.single_label else x

  def scores(self, variables: Variables, features: chex.Array) -> chex.Array:
    """What the head gives, before a softmax if `single_label`, [N, labels]."""
    return self.head.apply(variables, features)

  def init(self, key: chex.PRNGKey, image: tuple[int, int, int]) -> tuple:
    """Makes the variables.

    Args:
      key: a PRNG key.
      image: (height, width, channels).

    Returns:
      B + 1 variable dicts: one per block, then the head's.
    """
    variables, x = [], jnp.zeros((1, *image))
    for b, block in enumerate(self.blocks):
      x, own = block.init_with_output(
        jax.random.fold_in(key, b), x, train=False
      )
      variables.append(own)
    key = jax.random.fold_in(key, len(self.blocks))
    return (*variables, self.head.init(key, x))

  def apply(
    self, variables: tuple, x: chex.Array, *, train: bool
  ) -> tuple[chex.Array, tuple]:
    """Answers images.

    Args:
      variables: as `init` makes them.
      x: images, [N, h, w, c].
      train: whether batch norm uses the batch's moments.

    Returns:
      Logits [N, L] and the variables, running averages updated if `train`.
    """
    updated = []
    for block, own in zip(self.blocks, variables[:-1], strict=True):
      x, own = apply_block(block, own, x, train=train)
      updated.append(own)
    return self.answer(variables[-1], x), (*updated, variables[-1])


def create(
  *,
  kind: str,
  widths: tuple[int, ...],
  depths: tuple[int, ...],
  strides: tuple[int, ...],
  labels: int,
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
    labels: logits of the head.
    batch_norm: see `_Block`.
    single_label: see `Classifier`.
    dtype: see `_Block`.

  Raises:
    ValueError: the three tuples differ in length.
  """
  block, pool = KINDS[kind]
  make_block = functools.partial(block, batch_norm=batch_norm, dtype=dtype)
  blocks = tuple(
    make_block(width=width, depth=depth, stride=stride)
    for width, depth, stride in zip(widths, depths, strides, strict=True)
  )
  return Classifier(blocks, Head(labels, pool), single_label)


def apply_block(
  block: nn.Module, variables: Variables, x: chex.Array, *, train: bool
) -> tuple[chex.Array, Variables]:
  """One block: its output, and its variables, updated if `train`."""
  if not train:
    return block.apply(variables, x, train=False), variables
  y, updated = block.apply(variables, x, train=True, mutable=['batch_stats'])
  return y, {**variables, **updated}


def split(variables: Any) -> tuple[Any, Any]:
  """Parts a tree of variable dicts into parameters and running averages.

  Returns:
    Two trees of the same outer form: each variable dict's 'params', and each
    one's 'batch_stats' ({} where there is no batch norm).
  """

  def pick(name):
    return jax.tree.map(
      lambda own: own.get(name, {}), variables, is_leaf=_is_variables
    )

  return pick('params'), pick('batch_stats')


def join(params: Any, batch_stats: Any) -> Any:
  """The inverse of `split`, for trees of variable dicts in tuples."""
  # A teacher's parameters may be any tree, a tuple too.
  if isinstance(batch_stats, tuple):
    return tuple(join(p, s) for p, s in zip(params, batch_stats, strict=True))
  return {
    'params': params,
    **({'batch_stats': batch_stats} if batch_stats else {}),
  }


def _is_variables(node: Any) -> bool:
  return isinstance(node, dict) and 'params' in node


def _convolution(module, x, *, stride=1, kernel=3, padding='SAME'):
  # A bias before batch norm would be taken away again by its mean.
  return nn.Conv(
    module.width,
    (kernel, kernel),
    strides=stride,
    padding=padding,
    use_bias=not module.batch_norm,
    dtype=module.dtype,
  )(x)


def _norm(module, x, train):
  if not module.batch_norm:
    return x
  return normalize(x, train=train, dtype=module.dtype)
