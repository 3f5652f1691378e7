"""The group-stack generator, Eq. 2."""

import functools

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

from dualgan_jax.networks.cpu_convolution import conv_general_dilated
from dualgan_jax.networks.normalization import normalize


class Group(nn.Module):
  """One group G^j: resize, convolve to `width`, convolve to `channels`.

  Attributes:
    size: (height, width) of its output.
    width: channels inside.
    channels: channels of its output F_g^j.
    is_image: whether its output is the image, in [0, 1], instead of features
      that like a block's output are not negative.
    dtype: that it computes in, that of its input if None; parameters, batch
      moments and the image stay float32.
  """

  size: tuple[int, int]
  width: int
  channels: int
  is_image: bool = False
  dtype: jnp.dtype | None = None

  @nn.compact
  def __call__(self, x: chex.Array, *, train: bool) -> chex.Array:
    """Maps noise [N, d] or features [N, h, w, c] to [N, *size, channels]."""

    norm = functools.partial(normalize, train=train, dtype=self.dtype)
    conv = functools.partial(
      nn.Conv,
      kernel_size=(3, 3),
      dtype=self.dtype,
      conv_general_dilated=conv_general_dilated,
    )
    if x.ndim == 2:
      height, width = self.size
      x = nn.Dense(
        height * width * self.width, use_bias=False, dtype=self.dtype
      )(x)
      x = nn.leaky_relu(norm(x.reshape(-1, height, width, self.width)), 0.2)
    else:
      # Bilinear, and not nearest: two small matrix products, forwards and
      # backwards, for any pair of sizes.
      x = jax.image.resize(x, (x.shape[0], *self.size, x.shape[-1]), 'bilinear')
    x = conv(self.width, use_bias=False)(x)
    x = nn.leaky_relu(norm(x), 0.2)
    if self.is_image:
      x = conv(self.channels)(x)
      return nn.sigmoid(x.astype(jnp.promote_types(x.dtype, jnp.float32)))
    x = conv(self.channels, use_bias=False)(x)
    return nn.relu(norm(x))


class Generator(nn.Module):
  """G = G^B ∘ … ∘ G^1, Eq. 2: `F_g^1 = G^1(z)`, `F_g^j = G^j(F_g^{j-1})`.

  Attributes:
    sizes: (height, width) of F_g^1 .. F_g^B, the last that of the image.
    channels: channels of F_g^1 .. F_g^B, the last those of the image.
    widths: channels inside each group.
    dtype: that it computes in, that of its input if None; parameters, batch
      moments and the image stay float32.
  """

  sizes: tuple[tuple[int, int], ...]
  channels: tuple[int, ...]
  widths: tuple[int, ...]
  dtype: jnp.dtype | None = None

  @nn.compact
  def __call__(
    self, noise: chex.Array, *, train: bool
  ) -> tuple[chex.Array, ...]:
    """Generates.

    Args:
      noise: z, [N, d].
      train: whether batch norm uses the batch's moments. Where it does not
        learn, but for `stages.probe`, the generator runs with its running
        averages (`train=False`), so that an image depends on its own noise
        alone.

    Returns:
      (F_g^1, ..., F_g^B), F_g^j of shape [N, *sizes[j-1], channels[j-1]];
      F_g^B = I_g is the image, in [0, 1].
    """
    features, x = [], noise
    groups = zip(self.sizes, self.widths, self.channels, strict=True)
    for j, (size, width, channels) in enumerate(groups, start=1):
      x = Group(
        size,
        width,
        channels,
        is_image=j == len(self.sizes),
        dtype=self.dtype,
        name=f'group_{j}',
      )(x, train=train)
      features.append(x)
    return tuple(features)
