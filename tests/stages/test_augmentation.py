"""Images that a student learns from are moved, mirrored and blended."""

import jax
import numpy as np
import pytest

from dualgan_jax.config.augmentation_group import Augmentation
from dualgan_jax.stages.augmentation import augment_batch, draw_augmented
from dualgan_jax.training import parallel


def _replayed(
  pool, num_filled, *, devices=1, batch=64, teachers=1, width=1, **changes
):
  """Draws from images of one row of pixels, mostly of one."""
  images = np.array(pool, np.uint8).reshape(-1, 1, width, 1)
  augmentation = Augmentation(**changes)
  chosen = jax.local_devices()[:devices]

  def draw(key, images):
    return images, draw_augmented(
      images, num_filled, key, batch, augmentation, teachers
    )

  _, drawn = parallel.compile_step(draw, chosen)(
    parallel.replicate(jax.random.PRNGKey(0), chosen),
    parallel.replicate(images, chosen),
  )
  return np.asarray(drawn).reshape(batch, width) * 255


def test_replayed_images_are_those_of_the_pool_that_were_made():
  drawn = _replayed([10, 20, 30, 255], 3)
  np.testing.assert_allclose(np.unique(drawn), [10, 20, 30], rtol=1e-6)


def test_replayed_images_are_moved_and_mirrored():
  drawn = _replayed([1, 2, 3], 1, width=3, shift=1, flip=True).round()
  actual = {tuple(int(pixel) for pixel in x) for x in drawn}
  moved = {(0, 1, 2), (1, 2, 3), (2, 3, 0), (0, 0, 0)}  # up or down: all 0
  assert actual == moved | {x[::-1] for x in moved}


def test_a_blend_lies_between_two_images():
  drawn = _replayed([100, 200], 2, mixup=0.999)
  assert ((drawn >= 100 - 1e-3) & (drawn <= 200 + 1e-3)).all()
  assert len(np.unique(drawn)) > 20  # half of all pairs are of one image


def test_mixup_is_the_share_that_is_blended():
  drawn = _replayed([0, 255], 2, batch=4096, mixup=0.5)
  # Half of the blends are of an image with itself.
  between = (drawn > 0.5) & (drawn < 254.5)
  assert abs(between.mean() - 0.25) < 0.03


@pytest.mark.parametrize('mixup', [0.0, 0.999])
def test_replayed_images_belong_to_the_teachers_in_turn(mixup):
  drawn = _replayed([10, 100, 11, 101, 0, 255], 4, teachers=2, mixup=mixup)
  assert ((drawn[0::2] > 9.9) & (drawn[0::2] < 11.1)).all()
  assert ((drawn[1::2] > 99.9) & (drawn[1::2] < 101.1)).all()


def test_a_replayed_sample_is_the_same_on_any_number_of_devices():
  pool = range(0, 250, 10)
  np.testing.assert_allclose(
    _replayed(pool, 20, devices=4, mixup=0.5),
    _replayed(pool, 20, devices=1, mixup=0.5),
    rtol=1e-5,
  )


def _augmented(pixels, mask=None, *, devices=1, **changes):
  """Augments a batch of images of one pixel, from 0 to 255."""
  batch_size = len(pixels)
  images = np.float32(pixels).reshape(devices, -1, 1, 1, 1) / 255
  mask = np.ones(batch_size) if mask is None else np.array(mask)
  masks = mask.reshape(devices, -1, 1).astype(bool)
  chosen = jax.local_devices()[:devices]

  def augment(batch, key):
    return key, augment_batch(
      batch[0], key, batch_size, Augmentation(**changes), batch[1]
    )

  _, augmented = parallel.compile_step(augment, chosen)(
    (images, masks), parallel.replicate(jax.random.PRNGKey(0), chosen)
  )
  return np.asarray(augmented).reshape(-1) * 255


def test_a_batch_that_is_not_augmented_stays_as_it_is():
  pixels = np.arange(8) * 30
  np.testing.assert_allclose(_augmented(pixels), pixels, rtol=1e-6)


def test_each_image_is_blended_with_another_of_the_whole_batch():
  pixels = np.arange(0, 256, 4)
  on_one = _augmented(pixels, mixup=0.999)
  assert (np.abs(on_one - pixels) > 1).mean() > 0.8
  # Partners may come from another device's share.
  on_four = _augmented(pixels, devices=4, mixup=0.999)
  np.testing.assert_allclose(on_four, on_one, rtol=1e-4, atol=1e-3)


def test_images_of_other_teachers_are_no_partners():
  pixels, mask = np.tile([10, 200], 32), np.tile([1, 0], 32)
  blended = _augmented(pixels, mask, mixup=0.999)
  np.testing.assert_allclose(blended, pixels, rtol=1e-5)


def test_the_images_of_a_batch_move():
  moved = _augmented(np.full(64, 100), shift=1)
  # An image of one pixel moves out of sight, or stays where it is.
  assert {int(pixel) for pixel in moved.round()} == {0, 100}
