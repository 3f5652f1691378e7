import collections

import numpy as np
import pytest

from dualgan_jax.data import overlay
from dualgan_jax.data.sources import Split
from dualgan_jax.errors import UserError


def _split(images, classes):
  """Images with one label each; classes are numbers from 0."""
  targets = np.eye(max(classes) + 1, dtype=np.float32)[classes]
  names = tuple(f'class {i}' for i in range(targets.shape[1]))
  return Split(np.asarray(images, np.uint8), targets, names)


def _dots(*values):
  """Images of one pixel each."""
  return np.reshape(values, (-1, 1, 1, 1))


def test_two_images_lie_on_one_canvas():
  found = overlay.pairs(_split(_dots(100, 30), [0, 1]), seed=0)
  assert found.images.shape == (2, 9, 9, 1)
  assert found.images.dtype == np.uint8
  # Only two images: each is the other's partner.
  np.testing.assert_array_equal(found.images.sum(axis=(1, 2, 3)), [130, 130])
  np.testing.assert_array_equal(found.targets, [[1, 1], [1, 1]])
  assert found.targets.dtype == np.float32
  assert found.names == ('class 0', 'class 1')


@pytest.mark.parametrize('channels', [1, 3])
def test_an_image_is_shifted_as_a_whole(channels):
  # One bright image among black ones, no two of its pixels alike.
  image = np.arange(1, 1 + 2 * 3 * channels).reshape(2, 3, channels)
  black = np.zeros((5, 2, 3, channels))
  split = _split([image, *black], [0, 1, 1, 1, 1, 1])
  found = overlay.pairs(split, seed=0).images
  assert found.shape == (6, 10, 11, channels)
  for canvas in found:  # only the bright image is not of their class
    down, right = np.argwhere(canvas[..., 0] == 1)[0]
    np.testing.assert_array_equal(
      canvas[down : down + 2, right : right + 3], image
    )
    assert canvas.sum() == image.sum()


def test_bright_pixels_that_meet_stop_at_the_brightest():
  # Larger than any shift, so that they always meet; 200 + 100 > 255.
  images = [np.full((9, 9, 1), 200), np.full((9, 9, 1), 100)]
  found = overlay.pairs(_split(images, [0, 1]), seed=0)
  assert found.images.shape == (2, 17, 17, 1)
  for canvas in found.images:
    assert canvas[8, 8, 0] == 255
    assert set(np.unique(canvas)) <= {0, 100, 200, 255}


def test_dim_pixels_that_meet_add_up():
  images = [np.full((9, 9, 1), 20), np.full((9, 9, 1), 30)]
  found = overlay.pairs(_split(images, [0, 1]), seed=0)
  np.testing.assert_array_equal(found.images[:, 8, 8, 0], [50, 50])


def test_every_shift_is_as_likely_along_each_axis_and_for_each_image():
  n = 8000
  split = _split(_dots(*[1, 2] * (n // 2)), [0, 1] * (n // 2))
  found = overlay.pairs(split, seed=0).images[..., 0]
  apart = found[found.max(axis=(1, 2)) < 3]  # the dots do not meet
  assert 0.97 < len(apart) / n < 1  # they do in one of 81
  for value in (1, 2):
    _, down, right = np.nonzero(apart == value)
    for places in (down, right):
      counts = np.bincount(places, minlength=9)
      assert len(counts) == 9
      np.testing.assert_allclose(counts / len(apart), 1 / 9, atol=0.02)
    # One says nothing of the other.
    assert abs(np.corrcoef(down, right)[0, 1]) < 0.05
  one, two = (np.nonzero(apart == value)[1] for value in (1, 2))
  assert abs(np.corrcoef(one, two)[0, 1]) < 0.05


def test_each_image_is_laid_once_over_one_of_another_class():
  # Image i of class i mod 3 has the brightness 1 + i: sums tell the pairs.
  n = 90
  classes = [i % 3 for i in range(n)]
  split = _split(_dots(*range(1, n + 1)), classes)
  found = overlay.pairs(split, seed=0)
  np.testing.assert_array_equal(found.targets.sum(axis=1), 2)
  assert np.all(found.targets[np.arange(n), classes] == 1)
  partner = (
    found.images.sum(axis=(1, 2, 3), dtype=int) - np.arange(1, n + 1) - 1
  )
  assert partner.min() >= 0
  assert partner.max() < n
  for i, other in enumerate(partner):
    assert found.targets[i, classes[other]] == 1
    assert classes[i] != classes[other]
  assert len(set(partner)) > 40  # anyone may be one


def test_partners_come_evenly_from_the_other_classes():
  n = 6000
  classes = np.arange(n) % 3
  found = overlay.pairs(_split(np.zeros((n, 1, 1, 1)), classes), seed=0)
  pairs = collections.Counter(map(tuple, found.targets.astype(int).tolist()))
  assert set(pairs) == {(1, 1, 0), (1, 0, 1), (0, 1, 1)}
  assert min(pairs.values()) > 1800  # 2000 expected of each


def test_images_of_several_labels_keep_them_all():
  targets = np.float32([[1, 1, 0], [0, 1, 0], [0, 0, 0]])
  split = Split(np.uint8(_dots(1, 2, 4)), targets, ('a', 'b', 'c'))
  found = overlay.pairs(split, seed=0)
  partner = {2: 1, 4: 2, 1: 0}
  for i, brightness in enumerate((1, 2, 4)):
    other = partner[int(found.images[i].sum()) - brightness]
    assert other != i
    np.testing.assert_array_equal(
      found.targets[i], np.maximum(targets[i], targets[other])
    )


def test_the_seed_draws_partners_and_shifts():
  split = _split(_dots(*range(1, 41)), [i % 4 for i in range(40)])
  one, again, other = (overlay.pairs(split, seed) for seed in (0, 0, 1))
  np.testing.assert_array_equal(one.images, again.images)
  np.testing.assert_array_equal(one.targets, again.targets)
  assert np.any(one.images != other.images)
  assert np.any(one.images.sum(axis=(1, 2)) != other.images.sum(axis=(1, 2)))


def test_each_image_may_be_on_top_several_times():
  n = 30
  split = _split(_dots(*range(1, n + 1)), [i % 3 for i in range(n)])
  once, thrice = (overlay.pairs(split, 0, times) for times in (1, 3))
  assert thrice.images.shape == (3 * n, 9, 9, 1)
  np.testing.assert_array_equal(thrice.images[:n], once.images)
  np.testing.assert_array_equal(thrice.targets[:n], once.targets)
  for i in (1, 2):  # other partners, other places
    assert np.any(thrice.images[i * n : (i + 1) * n] != once.images)
  for i, target in enumerate(thrice.targets):
    assert target[i % 3] == 1
    assert target.sum() == 2


def test_what_is_overlaid_stays_as_it_was():
  split = _split(_dots(1, 2), [0, 1])
  overlay.pairs(split, seed=0)
  np.testing.assert_array_equal(split.images, _dots(1, 2))
  np.testing.assert_array_equal(split.targets, np.eye(2))


def test_a_rare_class_is_found():
  # 999 of 1000 draws name an image of the same class.
  found = overlay.pairs(_split(np.zeros((1000, 1, 1, 1)), [0] * 999 + [1]), 0)
  np.testing.assert_array_equal(found.targets, np.ones((1000, 2)))


def test_one_label_set_cannot_make_pairs():
  alone = Split(
    np.zeros((3, 2, 2, 1), np.uint8), np.ones((3, 1), np.float32), ('a',)
  )
  with pytest.raises(UserError, match='same labels'):
    overlay.pairs(alone, 0)
