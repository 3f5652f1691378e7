"""Compares a teacher from a weight file with the net in PyTorch.

Names and shapes of weights say nothing of pooling, strides, activations or
epsilon: only the logits do. A file with some of PyTorch's is checked; without
one, there is a fixed image whose logits both can print.
"""

import pathlib
import zipfile

import chex
import jax
import numpy as np

from dualgan_jax.display import format_shape
from dualgan_jax.errors import UserError, first_line
from dualgan_jax.teachers import forward
from dualgan_jax.teachers.teacher import Teacher, without_softmax

# Of the largest logit; single precision rounds a hundredth of it.
_TOLERANCE = 1e-3
_LARGEST = 2**28  # bytes of images and logits
_SHOWN = 10


def check(
  field: str,
  path: pathlib.Path,
  teacher: Teacher,
  image: tuple[int, int, int],
) -> None:
  """Sees that a teacher gives the logits that PyTorch gave.

  Args:
    field: of the config, for the messages.
    path: of an .npz with `images` [n, h, w, c] in [0, 1], as they are before
      mean and deviation, and PyTorch's `logits` [n, L] of them.
    teacher: in float32; it takes such images.
    image: (height, width, channels) that it takes.

  Raises:
    UserError: the logits differ, or the file is damaged or holds something
      else.
  """
  images, expected = _read(field, path)
  if images.ndim != 4 or images.shape[1:] != image or not len(images):
    raise UserError(
      f'{field}: images of {path} are {format_shape(images.shape)} instead of '
      f'n×{format_shape(image)}; in PyTorch, write '
      'images.permute(0, 2, 3, 1).numpy().'
    )
  if not (images.min() >= 0 and images.max() <= 1):
    raise UserError(
      f'{field}: images of {path} are not between 0 and 1; write them as they '
      'are before mean and standard deviation.'
    )
  wanted = (len(images), len(teacher.labels))
  if expected.shape != wanted or not np.isfinite(expected).all():
    raise UserError(
      f'{field}: logits of {path} are {format_shape(expected.shape)} instead '
      f'of {format_shape(wanted)} finite numbers; write what the model gives '
      'for these images in evaluation mode.'
    )
  found = logits(teacher, images)
  apart = np.abs(found - expected)
  n, label = np.unravel_index(np.argmax(apart), apart.shape)
  # Not the reverse, so that NaN is refused.
  if not apart.max() <= _TOLERANCE * np.abs(expected).max():
    raise UserError(
      f'{field}: the logits are not those of {path}: image {n} has '
      f'{found[n, label]:.4g} for label {teacher.labels[label]!r} here and '
      f'{expected[n, label]:.4g} there; look at mean, deviation, stem_pool, '
      'the order of channels and the architecture, whose names and shapes '
      'alone fit.'
    )


def _read(field, path):
  """Images and logits of a file, as float32."""
  try:
    with zipfile.ZipFile(path) as archive:
      size = sum(info.file_size for info in archive.infolist())
    if size > _LARGEST:
      raise ValueError(f'{size:,} bytes are more than a few images')
    with np.load(path, allow_pickle=False) as arrays:
      return tuple(
        np.asarray(arrays[name], np.float32) for name in ('images', 'logits')
      )
  except Exception as e:  # NumPy has several for damage
    raise UserError(
      f'{field}: {path} cannot be read as arrays `images` and `logits` '
      f'({first_line(e)}); write it with numpy.savez(FILE, images=..., '
      'logits=...).'
    ) from e


def logits(teacher: Teacher, images: chex.Array) -> np.ndarray:
  """Computes what a teacher's head gives, before a softmax if there is one.

  Args:
    teacher: any.
    images: [n, h, w, c] in [0, 1].

  Returns:
    [n, L].
  """
  net = without_softmax(teacher)
  with jax.default_matmul_precision('highest'):
    answer = jax.jit(lambda v, x: forward.tail(net, v, x, 0))
    return np.asarray(answer(net.variables, images))


def fixed_image(image: tuple[int, int, int]) -> np.ndarray:
  """Makes the image [1, h, w, c] that `pytorch_line` makes, too.

  Its rows, columns and channels differ, but where 97 divides the size, and
  no pixel is like its neighbours, so that the order of channels and each pool
  show in the logits.

  Args:
    image: (height, width, channels).
  """
  height, width, channels = image
  values = np.arange(channels * height * width) * 31 % 97
  pixels = values.reshape(1, channels, height, width).astype(np.float32) / 96
  return pixels.transpose(0, 2, 3, 1)


def comparison(
  teacher: Teacher,
  image: tuple[int, int, int],
  mean: tuple[float, ...],
  deviation: tuple[float, ...],
) -> list[str]:
  """Lists a teacher's logits of the fixed image, and how PyTorch prints them.

  Args:
    teacher: in float32.
    image: (height, width, channels) that it takes.
    mean: as in `teachers.Preparation`.
    deviation: as in `teachers.Preparation`.
  """
  shown = logits(teacher, fixed_image(image))[0, :_SHOWN]
  return [
    f'  {teacher.name} gives a fixed image the logits '
    f'{[round(float(x), 4) for x in shown]}; in PyTorch, this prints them:',
    f'    {pytorch_line(image, mean, deviation)}',
  ]


def pytorch_line(
  image: tuple[int, int, int],
  mean: tuple[float, ...],
  deviation: tuple[float, ...],
) -> str:
  """Gives the line of Python that prints a PyTorch `model`'s logits.

  Args:
    image: (height, width, channels).
    mean: as in `teachers.Preparation`.
    deviation: as in `teachers.Preparation`.
  """
  height, width, channels = image
  shape = f'1, {channels}, {height}, {width}'
  pixels = f'torch.arange({channels * height * width})'
  x = f'{pixels}.reshape({shape}) * 31 % 97 / 96'
  if set(mean) != {0}:
    x = f'{x} - {_per_channel(mean)}'
  if set(deviation) != {1}:
    x = f'({x}) / {_per_channel(deviation)}'
  answer = f'model.eval()({x})[0, :{_SHOWN}].tolist()'
  return f'print([round(x, 4) for x in {answer}])'


def _per_channel(values):
  return f'torch.tensor({[float(x) for x in values]}).reshape(-1, 1, 1)'
