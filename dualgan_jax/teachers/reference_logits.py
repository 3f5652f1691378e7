"""Compares a teacher from a weight file with the net in PyTorch.

Names and shapes of weights do not depend on pooling, strides, activations or
epsilon, but the logits do. If the user gives a file with some of PyTorch's
logits, it is checked; otherwise there is a fixed image whose logits both can
print.
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

# Relative to the largest logit; single precision rounds a hundredth of it.
_TOLERANCE = 1e-3
_MAX_FILE_BYTES = 2**28
_MAX_SHOWN_LOGITS = 10
# A prime, so that rows and channels repeat only where it divides their size.
_NUM_PIXEL_VALUES = 97
# Neighbours differ by about a third of the range, as 31 is a third of 97.
_PIXEL_STRIDE = 31


def check(
  field: str,
  path: pathlib.Path,
  teacher: Teacher,
  image_shape: tuple[int, int, int],
) -> None:
  """Checks that a teacher gives the same logits as the net in PyTorch.

  Args:
    field: of the config, for the messages.
    path: of an .npz with `images` [n, h, w, c] in [0, 1], as they are before
      mean and std, and PyTorch's `logits` [n, L] of them.
    teacher: in float32; it takes such images.
    image_shape: (height, width, channels) that it takes.

  Raises:
    UserError: the logits differ, or the file is damaged or holds something
      else.
  """
  images, expected_logits = _read_reference(field, path)
  if images.ndim != 4 or images.shape[1:] != image_shape or not len(images):
    raise UserError(
      f'{field}: images of {path} are {format_shape(images.shape)} instead of '
      f'n×{format_shape(image_shape)}; in PyTorch, write '
      'images.permute(0, 2, 3, 1).numpy().'
    )
  if not (images.min() >= 0 and images.max() <= 1):
    raise UserError(
      f'{field}: images of {path} are not between 0 and 1; write them as they '
      'are before mean and standard deviation.'
    )
  logits_shape = (len(images), len(teacher.labels))
  if (
    expected_logits.shape != logits_shape
    or not np.isfinite(expected_logits).all()
  ):
    raise UserError(
      f'{field}: logits of {path} are {format_shape(expected_logits.shape)} '
      f'instead of {format_shape(logits_shape)} finite numbers; write what '
      'the model gives for these images in evaluation mode.'
    )

  actual_logits = compute_logits(teacher, images)
  errors = np.abs(actual_logits - expected_logits)
  tolerance = _TOLERANCE * np.abs(expected_logits).max()
  # Not `>`, so that NaN is refused.
  if not errors.max() <= tolerance:
    row, column = np.unravel_index(np.argmax(errors), errors.shape)
    raise UserError(
      f'{field}: the logits are not those of {path}: image {row} has '
      f'{actual_logits[row, column]:.4g} for label '
      f'{teacher.labels[column]!r} here and '
      f'{expected_logits[row, column]:.4g} there; look at mean, std, '
      'stem_pool, the order of channels and the architecture, whose names and '
      'shapes alone fit.'
    )


def _read_reference(
  field: str, path: pathlib.Path
) -> tuple[np.ndarray, np.ndarray]:
  """Reads the images and logits of a file, as float32.

  Raises:
    UserError: the file is damaged, too large or holds something else.
  """
  try:
    # Compressed arrays can be far larger than their file.
    with zipfile.ZipFile(path) as archive:
      num_bytes = sum(info.file_size for info in archive.infolist())
    if num_bytes > _MAX_FILE_BYTES:
      raise ValueError(f'{num_bytes:,} bytes are more than a few images')
    with np.load(path, allow_pickle=False) as arrays:
      return tuple(
        np.asarray(arrays[name], np.float32) for name in ('images', 'logits')
      )
  # NumPy and zipfile have several exceptions for damage.
  except Exception as error:
    raise UserError(
      f'{field}: {path} cannot be read as arrays `images` and `logits` '
      f'({first_line(error)}); write it with numpy.savez(FILE, images=..., '
      'logits=...).'
    ) from error


def compute_logits(teacher: Teacher, images: chex.Array) -> np.ndarray:
  """Computes the output of a teacher's head, before a softmax if there is one.

  Args:
    teacher: any.
    images: [n, h, w, c] in [0, 1].

  Returns:
    [n, L].
  """
  net = without_softmax(teacher)
  # Accelerators would multiply float32 matrices in lower precision.
  with jax.default_matmul_precision('highest'):
    forward_pass = jax.jit(
      lambda variables, images: forward.tail(net, variables, images, 0)
    )
    return np.asarray(forward_pass(net.variables, images))


def fixed_image(image_shape: tuple[int, int, int]) -> np.ndarray:
  """Makes the image [1, h, w, c] that `pytorch_line` makes, too.

  Its rows, columns and channels differ, unless 97 divides the size, and no
  pixel is like its neighbours, so that the order of channels and each pool
  show in the logits.

  Args:
    image_shape: (height, width, channels).
  """
  height, width, channels = image_shape
  counts = np.arange(channels * height * width)
  values = counts * _PIXEL_STRIDE % _NUM_PIXEL_VALUES
  # In PyTorch's order of axes, so that one line makes the same image there.
  pixels = values.reshape(1, channels, height, width).astype(np.float32)
  return (pixels / (_NUM_PIXEL_VALUES - 1)).transpose(0, 2, 3, 1)


def describe_comparison(
  teacher: Teacher,
  image_shape: tuple[int, int, int],
  mean: tuple[float, ...],
  std: tuple[float, ...],
) -> list[str]:
  """Lists a teacher's logits of the fixed image, and how PyTorch prints them.

  Args:
    teacher: in float32.
    image_shape: (height, width, channels) that it takes.
    mean: see `Preparation`.
    std: see `Preparation`.

  Returns:
    Lines for the user.
  """
  logits = compute_logits(teacher, fixed_image(image_shape))
  shown_logits = [round(float(x), 4) for x in logits[0, :_MAX_SHOWN_LOGITS]]
  return [
    f'  {teacher.name} gives a fixed image the logits {shown_logits}; in '
    'PyTorch, this prints them:',
    f'    {pytorch_line(image_shape, mean, std)}',
  ]


def pytorch_line(
  image_shape: tuple[int, int, int],
  mean: tuple[float, ...],
  std: tuple[float, ...],
) -> str:
  """Writes the line of Python that prints the logits of a PyTorch `model`.

  Args:
    image_shape: (height, width, channels).
    mean: see `Preparation`.
    std: see `Preparation`.
  """
  height, width, channels = image_shape
  pixels = (
    f'torch.arange({channels * height * width})'
    f'.reshape(1, {channels}, {height}, {width})'
    f' * {_PIXEL_STRIDE} % {_NUM_PIXEL_VALUES} / {_NUM_PIXEL_VALUES - 1}'
  )
  # The line stays short where there is nothing to subtract or divide.
  if set(mean) != {0}:
    pixels = f'{pixels} - {_channel_tensor(mean)}'
  if set(std) != {1}:
    pixels = f'({pixels}) / {_channel_tensor(std)}'
  logits = f'model.eval()({pixels})[0, :{_MAX_SHOWN_LOGITS}].tolist()'
  return f'print([round(x, 4) for x in {logits}])'


def _channel_tensor(values: tuple[float, ...]) -> str:
  """Writes a PyTorch tensor of one value per channel, as Python code."""
  return f'torch.tensor({[float(x) for x in values]}).reshape(-1, 1, 1)'
