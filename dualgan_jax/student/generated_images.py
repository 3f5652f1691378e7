"""Stores images of a run's generator, which stand in for the missing data."""

import pathlib
import zipfile
from typing import NamedTuple

import numpy as np

from dualgan_jax.display import printable
from dualgan_jax.errors import UserError

NAME = 'generated.npz'


class GeneratedImages(NamedTuple):
  """Images of the generator, and what the teachers together say of them.

  Attributes:
    images: uint8 [n, h, w, c].
    ensemble_logits: of the student's labels, float32 [n, L].
  """

  images: np.ndarray
  ensemble_logits: np.ndarray


def write(
  path: pathlib.Path, images: np.ndarray, ensemble_logits: np.ndarray
) -> None:
  """Writes images and logits.

  Args:
    path: path of the file.
    images: in [0, 1], [n, h, w, c].
    ensemble_logits: [n, L].
  """
  pixels = np.uint8(np.rint(255 * np.clip(images, 0, 1)))
  np.savez_compressed(
    path, images=pixels, ensemble_logits=np.float32(ensemble_logits)
  )


def read(
  path: pathlib.Path, image_shape: tuple[int, int, int], num_labels: int
) -> GeneratedImages:
  """Reads images and logits, at least two of each.

  Args:
    path: path of the file.
    image_shape: (height, width, channels) of the student's images.
    num_labels: number of its labels.

  Raises:
    UserError: there is no such file, or it is damaged or of another student.
  """
  try:
    with np.load(path) as arrays:
      generated = GeneratedImages(arrays['images'], arrays['ensemble_logits'])
    num_images = len(generated.images)
    if (
      num_images < 2
      or generated.images.dtype != np.uint8
      or generated.images.shape[1:] != image_shape
      or generated.ensemble_logits.shape != (num_images, num_labels)
    ):
      raise ValueError('it is not of this student')
  # What else NumPy raises for a damaged file.
  except (OSError, ValueError, LookupError, zipfile.BadZipFile) as error:
    raise UserError(
      f'{printable(path)}: no images of the generator '
      f"({printable(error, 200)}); delete the run's folder evaluate, and run "
      'that stage again.'
    ) from error
  return generated
