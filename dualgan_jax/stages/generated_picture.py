"""Draws what a generator makes, while it learns."""

import dataclasses
from collections.abc import Callable
from typing import Any

import chex
import jax
import numpy as np

from dualgan_jax.method.frozen_generator import FrozenGenerator
from dualgan_jax.training.phase import TrainState

_NUM_IMAGES, _NUM_COLUMNS = 64, 8


def make_draw(
  generator: FrozenGenerator, select_variables: Callable[[Any], Any]
) -> Callable[[TrainState], np.ndarray]:
  """Makes the function that draws the images of a state; see `Phase.draw`.

  Args:
    generator: its variables are not used.
    select_variables: takes the generator's variables out of a state.
  """
  # Every teacher gets as many images.
  num_images = _NUM_IMAGES - _NUM_IMAGES % max(
    len(generator.routed_teachers), 1
  )

  @jax.jit
  def generate(variables, key):
    trained = dataclasses.replace(generator, variables=variables, filters=None)
    return trained.features(key, num_images)[-1]

  # The same latents each time, so that pictures can be compared.
  return lambda state: tile_images(generate(select_variables(state), state.key))


def tile_images(images: chex.Array) -> np.ndarray:
  """Tiles images into one picture, row by row.

  Args:
    images: float [N, h, w, c]; what leaves [0, 1] is clipped.

  Returns:
    uint8, of ⌈N / columns⌉ rows; channels beyond the third are left out.
  """
  values = np.clip(np.asarray(images, np.float32), 0, 1)
  pixels = np.rint(255 * values).astype(np.uint8)
  num_images, height, width, channels = pixels.shape
  # TensorBoard shows grey pictures and coloured ones.
  pixels = pixels[..., :3] if channels >= 3 else pixels[..., :1]
  num_rows = -(-num_images // _NUM_COLUMNS)
  picture = np.zeros((num_rows, _NUM_COLUMNS, *pixels.shape[1:]), np.uint8)
  picture.reshape(-1, *pixels.shape[1:])[:num_images] = pixels
  return picture.swapaxes(1, 2).reshape(
    num_rows * height, _NUM_COLUMNS * width, -1
  )
