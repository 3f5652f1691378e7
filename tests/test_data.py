import numpy as np
import pytest
from sklearn import datasets

from dualgan_jax import data
from dualgan_jax.errors import UserError


def _load(split, image=(8, 8, 1), test_fraction=0.3, seed=0):
  return data.load(split, image, test_fraction, seed)


def _rows(split):
  """Images and digits as a list of byte strings."""
  digits = split.targets.argmax(axis=1).astype(np.uint8)
  flat = split.images.reshape(len(digits), -1)
  return [x.tobytes() for x in np.column_stack([flat, digits])]


def _toy():
  """Four images: of a cat, of nothing, of both, of a dog."""
  return data.Split(
    images=np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1),
    targets=np.float32([[1, 0, 0], [0, 0, 0], [1, 1, 0], [0, 1, 0]]),
    names=('cat', 'dog', 'owl'),
  )


@pytest.mark.parametrize(('split', 'n'), [('train', 1257), ('test', 540)])
@pytest.mark.parametrize('image', [(8, 8, 1), (16, 12, 3)])
def test_split_sizes_and_forms(split, n, image):
  found = _load(split, image)
  assert found.images.shape == (n, *image)
  assert found.images.dtype == np.uint8
  assert found.targets.shape == (n, 10)
  assert found.targets.dtype == np.float32
  assert found.names == tuple('0123456789')
  np.testing.assert_array_equal(found.targets.sum(axis=1), np.ones(n))
  assert set(np.unique(found.targets)) == {0, 1}


def test_train_and_test_are_all_images_once():
  digits = datasets.load_digits()
  images = np.uint8(digits.images * 255 / 16).reshape(1797, 64)
  rows = np.column_stack([images, digits.target.astype(np.uint8)])
  # Each image keeps its own digit, too.
  assert sorted(_rows(_load('train')) + _rows(_load('test'))) == sorted(
    x.tobytes() for x in rows
  )


def test_the_whole_range_of_grey_is_used():
  images = _load('train').images
  assert images.min() == 0
  assert images.max() == 255


@pytest.mark.parametrize('test_fraction', [0.1, 0.3])
def test_every_digit_has_its_share_of_the_test_part(test_fraction):
  train = _load('train', test_fraction=test_fraction).targets.sum(axis=0)
  test = _load('test', test_fraction=test_fraction).targets.sum(axis=0)
  np.testing.assert_allclose(
    test, test_fraction * (train + test), rtol=0, atol=1
  )


def test_the_seed_draws_the_split():
  one, again, other = (_load('test', seed=s) for s in (0, 0, 1))
  np.testing.assert_array_equal(one.images, again.images)
  np.testing.assert_array_equal(one.targets, again.targets)
  assert sorted(_rows(one)) != sorted(_rows(other))


def test_the_size_does_not_change_the_split():
  small, large = _load('test'), _load('test', (32, 32, 1))
  np.testing.assert_array_equal(small.targets, large.targets)
  # Enlarged, an image still has about its mean brightness.
  np.testing.assert_allclose(
    large.images.mean(axis=(1, 2, 3)), small.images.mean(axis=(1, 2, 3)), atol=2
  )


def test_images_are_enlarged_smoothly_and_upright():
  small = _load('test').images[0].astype(float)
  large = _load('test', (16, 16, 1)).images[0].astype(float)
  # Bilinear: the mean of each 2×2 stays near the pixel it came from, and no
  # step between neighbours is as large as between the small image's.
  blocks = large.reshape(8, 2, 8, 2, 1).mean(axis=(1, 3))
  assert np.corrcoef(blocks.ravel(), small.ravel())[0, 1] > 0.95
  for axis in (0, 1):
    steps = [np.abs(np.diff(x, axis=axis)).max() for x in (small, large)]
    assert steps[1] <= steps[0] / 2 + 1


def test_channels_repeat_the_grey_image():
  grey = _load('test', (8, 8, 1)).images
  colour = _load('test', (8, 8, 3)).images
  for channel in range(3):
    np.testing.assert_array_equal(colour[..., [channel]], grey)


def test_columns_come_in_the_order_asked_for():
  np.testing.assert_array_equal(
    _toy().columns(('dog', 'cat')), [[0, 1], [0, 0], [1, 1], [1, 0]]
  )
  assert _toy().columns(('owl',)).shape == (4, 1)


def test_columns_name_what_is_missing_and_what_there_is():
  with pytest.raises(UserError) as error:
    _toy().columns(('dog', 'eel', 'fox'))
  missing, there = str(error.value).split(';')
  assert "'eel', 'fox'" in missing
  assert "'dog'" not in missing
  assert "'cat', 'dog', 'owl'" in there


def test_showing_keeps_the_images_with_a_label():
  found = _toy().showing(('cat',))
  np.testing.assert_array_equal(found.images.ravel(), [0, 2])
  # The other labels of these images stay.
  np.testing.assert_array_equal(found.targets, [[1, 0, 0], [1, 1, 0]])
  assert found.names == ('cat', 'dog', 'owl')
  both = _toy().showing(('dog', 'cat'))
  np.testing.assert_array_equal(both.images.ravel(), [0, 2, 3])
  assert len(_toy().showing(('owl',)).images) == 0
  assert len(_toy().images) == 4  # as it was


def test_showing_refuses_labels_that_are_not_there():
  with pytest.raises(UserError, match="'eel'"):
    _toy().showing(('cat', 'eel'))
