"""The group-stack generator, Eq. 2."""

import functools

import chex
import flax.linen as nn
import jax.numpy as jnp

from dualgan_jax.networks import bilinear_resize
from dualgan_jax.networks.cpu_convolution import conv_general_dilated
from dualgan_jax.networks.normalization import normalize

# Mean and standard deviation of images, per channel or one for all.
ImageStatistics = tuple[tuple[float, ...], tuple[float, ...]]


class Group(nn.Module):
  """A group G^j: resizes, convolves to `width`, convolves to `channels`.

  Attributes:
    size: (height, width) of its output.
    width: channels inside.
    channels: channels of its output F_g^j.
    is_image: whether its output is the image; otherwise it is features, which
      are not negative, like the output of a block.
    image_statistics: see `Generator`.
    dtype: that it computes in, that of its input if None; parameters, batch
      moments and the image stay float32.
  """

  size: tuple[int, int]
  width: int
  channels: int
  is_image: bool = False
  image_statistics: ImageStatistics | None = None
  dtype: jnp.dtype | None = None

  @nn.compact
  def __call__(self, features: chex.Array, *, train: bool) -> chex.Array:
    """Maps noise [N, d] or features [N, h, w, c] to [N, *size, channels]."""

    norm = functools.partial(normalize, train=train, dtype=self.dtype)
    conv = functools.partial(
      nn.Conv,
      kernel_size=(3, 3),
      dtype=self.dtype,
      conv_general_dilated=conv_general_dilated,
    )
    # The first group makes a small feature map of the noise.
    if features.ndim == 2:
      height, width = self.size
      # No layer before batch norm has a bias, which its mean would take away.
      features = nn.Dense(
        height * width * self.width, use_bias=False, dtype=self.dtype
      )(features)
      features = nn.leaky_relu(
        norm(features.reshape(-1, height, width, self.width)), 0.2
      )
    else:
      # Bilinear, and not nearest: sizes need not divide one another.
      features = bilinear_resize.resize(features, self.size)
    features = conv(self.width, use_bias=False)(features)
    features = nn.leaky_relu(norm(features), 0.2)
    # The last group has a bias and a sigmoid instead of batch norm and ReLU.
    if self.is_image:
      features = conv(self.channels)(features)
      features = features.astype(jnp.promote_types(features.dtype, jnp.float32))
      if self.image_statistics is None:
        return nn.sigmoid(features)
      mean, std = (
        jnp.asarray(values, features.dtype).reshape(1, 1, 1, -1)
        for values in self.image_statistics
      )
      return mean + std * norm(jnp.tanh(features), dtype=None, affine=False)
    features = conv(self.channels, use_bias=False)(features)
    return nn.relu(norm(features))


class Generator(nn.Module):
  """G = G^B ∘ … ∘ G^1, Eq. 2: `F_g^1 = G^1(z)`, `F_g^j = G^j(F_g^{j-1})`.

  Attributes:
    sizes: (height, width) of F_g^1 .. F_g^B, the last that of the image.
    channels: channels of F_g^1 .. F_g^B, the last those of the image.
    widths: channels inside each group.
    image_statistics: mean and standard deviation that a batch norm without
      scale and bias gives each channel of the images, after a tanh, as DAFL's
      code has it (Chen et al., ICCV 2019); these images may leave [0, 1]. None:
      a sigmoid makes the images.
    dtype: that it computes in, that of its input if None; parameters, batch
      moments and the image stay float32.
  """

  sizes: tuple[tuple[int, int], ...]
  channels: tuple[int, ...]
  widths: tuple[int, ...]
  image_statistics: ImageStatistics | None = None
  dtype: jnp.dtype | None = None

  @nn.compact
  def __call__(
    self, noise: chex.Array, *, train: bool
  ) -> tuple[chex.Array, ...]:
    """Generates a batch of images, and the features on the way.

    Args:
      noise: z, [N, d].
      train: whether batch norm uses the batch's moments. Stages that do not
        train the generator use its running averages (`train=False`), so that an
        image depends on its own noise only; `stages.routing_probe` is the
        exception.

    Returns:
      (F_g^1, ..., F_g^B), F_g^j of shape [N, *sizes[j-1], channels[j-1]];
      F_g^B = I_g is the image, in [0, 1] but for `image_statistics`.
    """
    # Groups have names, from which parameters get their paths.
    group_outputs, group_output = [], noise
    group_fields = zip(self.sizes, self.widths, self.channels, strict=True)
    for group_number, (size, width, channels) in enumerate(
      group_fields, start=1
    ):
      group_output = Group(
        size,
        width,
        channels,
        is_image=group_number == len(self.sizes),
        image_statistics=self.image_statistics,
        dtype=self.dtype,
        name=f'group_{group_number}',
      )(group_output, train=train)
      group_outputs.append(group_output)
    return tuple(group_outputs)
