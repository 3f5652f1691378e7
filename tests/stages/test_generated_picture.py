"""Pictures of a training show what its generator makes."""

import numpy as np

from dualgan_jax.stages import generated_picture


def test_images_are_tiled_row_by_row():
  images = np.zeros((9, 1, 2, 1), np.float32)
  images[1], images[8] = 0.2, 7.0  # what leaves [0, 1] is clipped
  picture = generated_picture.tile_images(images)
  assert picture.shape == (2, 16, 1)
  assert picture.dtype == np.uint8
  assert picture[0, :, 0].tolist() == [0, 0, 51, 51, *[0] * 12]
  assert picture[1, :, 0].tolist() == [255, 255, *[0] * 14]
