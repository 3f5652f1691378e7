"""Brings images to the size, channels and scale that a net expects."""

import dataclasses
import functools
import math
import warnings
from collections.abc import Sequence
from typing import TypeVar

import chex
import jax
import jax.numpy as jnp

from dualgan_jax.errors import UserError

# Pillow and PyTorch's transforms weigh red, green and blue so.
_LUMA_WEIGHTS = (0.299, 0.587, 0.114)
_Class = TypeVar('_Class')


# By their names in version 0.1, the present ones.
_FORMER_NAMES = {'size': 'image_shape', 'deviation': 'std'}


def _take_former_names(cls: type[_Class]) -> type[_Class]:
  """Lets a class take arguments by their former names, with a warning."""
  initialise = cls.__init__

  @functools.wraps(initialise)
  def initialise_with_former_names(self, *args, **kwargs):
    for former_name in _FORMER_NAMES.keys() & kwargs.keys():
      present_name = _FORMER_NAMES[former_name]
      warnings.warn(
        f'{cls.__name__}({former_name}=...) is now {present_name}; the old '
        'name will be removed.',
        DeprecationWarning,
        stacklevel=2,
      )
      kwargs[present_name] = kwargs.pop(former_name)
    initialise(self, *args, **kwargs)

  cls.__init__ = initialise_with_former_names  # type: ignore[method-assign]
  return cls


@_take_former_names
@dataclasses.dataclass(frozen=True)
class Preparation:
  """A function that prepares images for a teacher's first block.

  Attributes:
    image_shape: (height, width, channels) that the teacher takes; colours
      become one channel, their luma (ITU-R BT.601), and one channel is
      repeated.
    mean: per channel, or one for all; subtracted from images in [0, 1].
    std: standard deviation to divide by then, per channel or one for all.

  Raises:
    UserError: `mean` or `std` has other numbers than it can have.
  """

  image_shape: tuple[int, int, int]
  mean: tuple[float, ...] = (0.0,)
  std: tuple[float, ...] = (1.0,)

  def __post_init__(self):
    if (
      not all(map(math.isfinite, (*self.mean, *self.std))) or min(self.std) <= 0
    ):
      raise UserError(
        f'mean {self.mean} and std {self.std}: give finite numbers, and a std '
        'above 0, of images in [0, 1].'
      )

  @property
  def normalises(self) -> bool:
    """Whether it subtracts a mean, or divides by a standard deviation."""
    return any(self.mean) or any(value != 1 for value in self.std)

  def __call__(self, images: chex.Array) -> chex.Array:
    """Maps images [N, h, w, c] in [0, 1] to [N, *image_shape]."""
    num_images, *image_size, num_channels = images.shape
    *target_size, target_channels = self.image_shape
    if image_size != target_size:
      images = jax.image.resize(
        images, (num_images, *target_size, num_channels), 'bilinear'
      )
    if target_channels < num_channels:
      images = images @ jnp.asarray(_LUMA_WEIGHTS, images.dtype)[:, None]
    images = jnp.broadcast_to(images, (num_images, *self.image_shape))
    # In the images' precision, to which the result is to belong, too.
    mean, std = (
      jnp.asarray(channel_values, images.dtype).reshape(1, 1, 1, -1)
      for channel_values in (self.mean, self.std)
    )
    return (images - mean) / std


def make(
  field: str,
  image_shape: tuple[int, int, int],
  mean: Sequence[float],
  std: Sequence[float],
) -> Preparation:
  """Makes a preparation from fields of a config, or from arguments.

  Args:
    field: where mean and std stand, such as 'teachers.mine.', for messages.
    image_shape: see `Preparation`.
    mean: see `Preparation`.
    std: see `Preparation`.

  Raises:
    UserError: there are more values, or fewer, than the images have channels.
  """
  for name, channel_values in (('mean', mean), ('std', std)):
    num_values = len(channel_values)
    if num_values not in (1, image_shape[-1]):
      raise UserError(
        f'{field}{name}: {num_values} values for {image_shape[-1]} channel(s); '
        'give one for all, or one for each.'
      )
  return Preparation(image_shape, tuple(mean), tuple(std))
