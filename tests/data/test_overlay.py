import collections

import numpy as np
import pytest

from dualgan_jax.data import overlay
from dualgan_jax.data.sources import Split
from dualgan_jax.errors import UserError


def _split(images, classes):
  """Images with one label each; classes are numbers from 0."""
  targets = np.eye(max(classes) + 1, dtype=np.float32)[classes]
  names = tuple(f'class {number}' for number in range(targets.shape[1]))
  return Split(np.asarray(images, np.uint8), targets, names)


def _dots(*values):
  """Images of one pixel each."""
  return np.reshape(values, (-1, 1, 1, 1))


def test_two_images_lie_on_one_canvas():
  overlaid = overlay.make_pairs(_split(_dots(100, 30), [0, 1]), seed=0)
  assert overlaid.images.shape == (2, 9, 9, 1)
  assert overlaid.images.dtype == np.uint8
  # Only two images: each is the other's partner.
  np.testing.assert_array_equal(overlaid.images.sum(axis=(1, 2, 3)), [130, 130])
  np.testing.assert_array_equal(overlaid.targets, [[1, 1], [1, 1]])
  assert overlaid.targets.dtype == np.float32
  assert overlaid.label_names == ('class 0', 'class 1')


@pytest.mark.parametrize('channels', [1, 3])
def test_an_image_is_shifted_as_a_whole(channels):
  # One bright image among black ones, no two of its pixels alike.
  image = np.arange(1, 1 + 2 * 3 * channels).reshape(2, 3, channels)
  black = np.zeros((5, 2, 3, channels))
  split = _split([image, *black], [0, 1, 1, 1, 1, 1])
  canvases = overlay.make_pairs(split, seed=0).images
  assert canvases.shape == (6, 10, 11, channels)
  for canvas in canvases:  # only the bright image is not of their class
    down, right = np.argwhere(canvas[..., 0] == 1)[0]
    np.testing.assert_array_equal(
      canvas[down : down + 2, right : right + 3], image
    )
    assert canvas.sum() == image.sum()


def test_bright_pixels_that_meet_stop_at_the_brightest():
  # Larger than any shift, so that they always meet; 200 + 100 > 255.
  images = [np.full((9, 9, 1), 200), np.full((9, 9, 1), 100)]
  overlaid = overlay.make_pairs(_split(images, [0, 1]), seed=0)
  assert overlaid.images.shape == (2, 17, 17, 1)
  for canvas in overlaid.images:
    assert canvas[8, 8, 0] == 255
    assert set(np.unique(canvas)) <= {0, 100, 200, 255}


def test_dim_pixels_that_meet_add_up():
  images = [np.full((9, 9, 1), 20), np.full((9, 9, 1), 30)]
  overlaid = overlay.make_pairs(_split(images, [0, 1]), seed=0)
  np.testing.assert_array_equal(overlaid.images[:, 8, 8, 0], [50, 50])


def test_every_shift_is_as_likely_along_each_axis_and_for_each_image():
  num_images = 8000
  split = _split(_dots(*[1, 2] * (num_images // 2)), [0, 1] * (num_images // 2))
  canvases = overlay.make_pairs(split, seed=0).images[..., 0]
  separated = canvases[canvases.max(axis=(1, 2)) < 3]  # the dots do not meet
  assert 0.97 < len(separated) / num_images < 1  # they do in one of 81
  for value in (1, 2):
    _, down, right = np.nonzero(separated == value)
    for places in (down, right):
      counts = np.bincount(places, minlength=9)
      assert len(counts) == 9
      np.testing.assert_allclose(counts / len(separated), 1 / 9, atol=0.02)
    # The shifts along the two axes are independent, and those of two images.
    assert abs(np.corrcoef(down, right)[0, 1]) < 0.05
  first_down, second_down = (
    np.nonzero(separated == value)[1] for value in (1, 2)
  )
  assert abs(np.corrcoef(first_down, second_down)[0, 1]) < 0.05


def test_each_image_is_laid_once_over_one_of_another_class():
  # Image i of class i mod 3 has brightness 1 + i: sums identify the partners.
  num_images = 90
  classes = [row % 3 for row in range(num_images)]
  split = _split(_dots(*range(1, num_images + 1)), classes)
  overlaid = overlay.make_pairs(split, seed=0)
  np.testing.assert_array_equal(overlaid.targets.sum(axis=1), 2)
  assert np.all(overlaid.targets[np.arange(num_images), classes] == 1)
  partners = (
    overlaid.images.sum(axis=(1, 2, 3), dtype=int)
    - np.arange(1, num_images + 1)
    - 1
  )
  assert partners.min() >= 0
  assert partners.max() < num_images
  for row, partner in enumerate(partners):
    assert overlaid.targets[row, classes[partner]] == 1
    assert classes[row] != classes[partner]
  assert len(set(partners)) > 40  # any other image may be one


def test_partners_come_evenly_from_the_other_classes():
  num_images = 6000
  classes = np.arange(num_images) % 3
  overlaid = overlay.make_pairs(
    _split(np.zeros((num_images, 1, 1, 1)), classes), seed=0
  )
  label_pairs = collections.Counter(
    map(tuple, overlaid.targets.astype(int).tolist())
  )
  assert set(label_pairs) == {(1, 1, 0), (1, 0, 1), (0, 1, 1)}
  assert min(label_pairs.values()) > 1800  # 2000 expected of each


def test_images_of_several_labels_keep_them_all():
  targets = np.float32([[1, 1, 0], [0, 1, 0], [0, 0, 0]])
  split = Split(np.uint8(_dots(1, 2, 4)), targets, ('a', 'b', 'c'))
  overlaid = overlay.make_pairs(split, seed=0)
  rows = {1: 0, 2: 1, 4: 2}  # by brightness
  for brightness, row in rows.items():
    partner = rows[int(overlaid.images[row].sum()) - brightness]
    assert partner != row
    np.testing.assert_array_equal(
      overlaid.targets[row], np.maximum(targets[row], targets[partner])
    )


def test_the_seed_draws_partners_and_shifts():
  split = _split(_dots(*range(1, 41)), [row % 4 for row in range(40)])
  first, again, other = (overlay.make_pairs(split, seed) for seed in (0, 0, 1))
  np.testing.assert_array_equal(first.images, again.images)
  np.testing.assert_array_equal(first.targets, again.targets)
  assert np.any(first.images != other.images)
  assert np.any(first.images.sum(axis=(1, 2)) != other.images.sum(axis=(1, 2)))


def test_each_image_may_be_on_top_several_times():
  num_images = 30
  split = _split(
    _dots(*range(1, num_images + 1)), [row % 3 for row in range(num_images)]
  )
  once, thrice = (
    overlay.make_pairs(split, 0, pairs_per_image) for pairs_per_image in (1, 3)
  )
  assert thrice.images.shape == (3 * num_images, 9, 9, 1)
  np.testing.assert_array_equal(thrice.images[:num_images], once.images)
  np.testing.assert_array_equal(thrice.targets[:num_images], once.targets)
  # Each time with other partners, at other places.
  _, second, third = np.split(thrice.images, 3)
  for images in (second, third):
    assert np.any(images != once.images)
  for row, targets in enumerate(thrice.targets):
    assert targets[row % 3] == 1
    assert targets.sum() == 2


def test_the_images_that_are_overlaid_stay_as_they_were():
  split = _split(_dots(1, 2), [0, 1])
  overlay.make_pairs(split, seed=0)
  np.testing.assert_array_equal(split.images, _dots(1, 2))
  np.testing.assert_array_equal(split.targets, np.eye(2))


def test_a_rare_class_is_found():
  # 999 of 1000 draws name an image of the same class.
  overlaid = overlay.make_pairs(
    _split(np.zeros((1000, 1, 1, 1)), [0] * 999 + [1]), 0
  )
  np.testing.assert_array_equal(overlaid.targets, np.ones((1000, 2)))


def test_one_label_set_cannot_make_pairs():
  uniform = Split(
    np.zeros((3, 2, 2, 1), np.uint8), np.ones((3, 1), np.float32), ('a',)
  )
  with pytest.raises(UserError, match='same labels'):
    overlay.make_pairs(uniform, 0)
