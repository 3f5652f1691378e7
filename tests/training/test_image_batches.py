import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dualgan_jax.training import image_batches, parallel
from dualgan_jax.training.image_batches import RealImages

KEY = jax.random.PRNGKey(0)


def _row(*values):
  """One image of one row and one channel."""
  return np.uint8(values).reshape(1, 1, -1, 1)


def _keys(n, seed=0):
  return jax.random.split(jax.random.PRNGKey(seed), n)


def _augmented(image, keys, **options):
  """The same image under many keys."""
  augment = jax.jit(
    jax.vmap(lambda k: image_batches.augmented(image, k, **options))
  )
  return np.asarray(augment(keys))


def _numbered(first, n, size=(1, 1), **options):
  """A data set whose images and targets are the numbers from `first`."""
  numbers = np.arange(first, first + n, dtype=np.uint8)
  return RealImages(
    np.broadcast_to(numbers[:, None, None, None], (n, *size, 1)),
    np.float32(numbers)[:, None],
    **options,
  )


def _drawn(sets, batch, size=(1, 1), devices=1):
  """A batch as the devices draw it, one share after the other."""
  chosen = jax.local_devices()[:devices]
  draw = parallel.compile_step(
    lambda sets, key: (key, image_batches.draw(sets, key, batch, size)), chosen
  )
  _, found = draw(
    parallel.replicate(sets, chosen), parallel.replicate(KEY, chosen)
  )
  return tuple(np.concatenate(np.asarray(x)) for x in found)


def test_prepared_brings_bytes_to_0_and_1():
  found = image_batches.prepared(_row(0, 51, 255), (1, 3))
  assert found.dtype == jnp.float32
  np.testing.assert_allclose(found.ravel(), [0, 0.2, 1], atol=1e-6)


def test_prepared_enlarges_bilinearly():
  # 1/4 and 3/4 of the way between the two pixels, in each row of each image.
  two = np.concatenate([_row(0, 255), _row(255, 0)])
  found = image_batches.prepared(two, (3, 4))
  assert found.shape == (2, 3, 4, 1)
  ramp = [0, 1 / 4, 3 / 4, 1]
  for row in range(3):
    np.testing.assert_allclose(found[0, row, :, 0], ramp, atol=1e-6)
    np.testing.assert_allclose(found[1, row, :, 0], ramp[::-1], atol=1e-6)


def test_prepared_shrinks_without_losing_pixels():
  # One bright pixel in four still shows, wherever it is.
  for place in range(4):
    image = np.zeros((1, 1, 4, 1), np.uint8)
    image[0, 0, place] = 255
    found = image_batches.prepared(image, (1, 2))
    assert found.shape == (1, 1, 2, 1)
    assert float(found.max()) > 0.3


def test_prepared_keeps_channels_apart():
  image = np.zeros((1, 2, 2, 3), np.uint8)
  image[..., 1] = 255
  np.testing.assert_allclose(
    image_batches.prepared(image, (5, 3)).reshape(-1, 3),
    np.tile([0, 1, 0], (15, 1)),
    atol=1e-6,
  )


def test_augmented_does_nothing_unless_asked():
  image = jnp.arange(12).reshape(2, 3, 2)
  found = _augmented(image, _keys(5), shift=0, flip=False)
  np.testing.assert_array_equal(found, np.broadcast_to(image, (5, 2, 3, 2)))


def test_augmented_shifts_by_as_much_as_it_may_and_evenly():
  # A white pixel in the middle of 5×5 black ones.
  image = jnp.zeros((5, 5, 1)).at[2, 2].set(1)
  found = _augmented(image, _keys(4000), shift=2, flip=False)
  assert found.shape == (4000, 5, 5, 1)
  np.testing.assert_array_equal(found.sum(axis=(1, 2, 3)), np.ones(4000))
  _, down, right, _ = np.nonzero(found)
  for places in (down, right):
    counts = np.bincount(places, minlength=5)
    np.testing.assert_allclose(counts / 4000, 1 / 5, atol=0.03)
  assert abs(np.corrcoef(down, right)[0, 1]) < 0.05


def test_augmented_brings_in_0_and_moves_the_image_as_a_whole():
  image = np.float32(1 + np.arange(12).reshape(3, 2, 2))
  wide = np.pad(image, ((1, 1), (1, 1), (0, 0)))
  windows = {
    wide[y : y + 3, x : x + 2].tobytes() for y in range(3) for x in range(3)
  }
  found = _augmented(jnp.asarray(image), _keys(200), shift=1, flip=False)
  assert {x.tobytes() for x in found} == windows


def test_augmented_mirrors_half_of_the_images_left_to_right():
  image = jnp.arange(6).reshape(2, 3, 1)
  found = _augmented(image, _keys(1000), shift=0, flip=True)[..., 0]
  mirrored = (found == [[2, 1, 0], [5, 4, 3]]).all(axis=(1, 2))
  as_it_was = (found == [[0, 1, 2], [3, 4, 5]]).all(axis=(1, 2))
  assert np.all(mirrored | as_it_was)
  assert 430 < mirrored.sum() < 570


def test_augmented_shifts_and_mirrors_independently():
  # A white pixel to the left, and room for it to move.
  image = jnp.zeros((5, 7, 1)).at[2, 2].set(1)
  found = _augmented(image, _keys(4000), shift=1, flip=True)
  _, down, right, _ = np.nonzero(found)
  # Columns 1 to 3 as it was, 3 to 5 mirrored.
  counts = np.bincount(right, minlength=7) / 4000
  np.testing.assert_allclose(
    counts, [0, 1 / 6, 1 / 6, 1 / 3, 1 / 6, 1 / 6, 0], atol=0.03
  )
  assert abs(np.corrcoef(down, right)[0, 1]) < 0.05


def test_augmented_keeps_bytes():
  image = jnp.full((4, 4, 1), 255, jnp.uint8)
  found = _augmented(image, _keys(3), shift=1, flip=True)
  assert found.dtype == np.uint8
  assert found.max() == 255


def test_draw_gives_each_image_with_what_goes_with_it():
  x, y = _drawn((_numbered(10, 10),), 400)
  assert x.shape == (400, 1, 1, 1)
  assert y.shape == (400, 1)
  np.testing.assert_allclose(x.ravel() * 255, y.ravel(), atol=1e-4)
  counts = np.bincount(y.ravel().astype(int), minlength=20)
  assert counts[:10].sum() == 0
  assert counts[10:].min() > 15  # 40 expected of each


def test_draw_takes_each_image_of_all_sets_as_often():
  # A set of 2, one of 10 and one of 4, of different sizes.
  sets = (
    _numbered(0, 2, (3, 2)),
    _numbered(2, 10, (1, 1)),
    _numbered(12, 4, (5, 5)),
  )
  x, y = _drawn(sets, 1600, size=(2, 3))
  assert x.shape == (1600, 2, 3, 1)
  numbers = y.ravel()
  np.testing.assert_allclose(
    x[..., 0] * 255, np.tile(numbers[:, None, None], (1, 2, 3)), atol=1e-4
  )
  counts = np.bincount(numbers.astype(int), minlength=16)
  assert counts.min() > 60  # 100 expected of each
  assert counts.max() < 140


def test_draw_takes_targets_of_any_kind():
  answer_mask = np.eye(2, dtype=bool)
  sets = tuple(
    RealImages(np.full((3, 1, 1, 1), m, np.uint8), answer_mask[[m] * 3])
    for m in range(2)
  )
  x, y = _drawn(sets, 40)
  assert y.dtype == bool
  np.testing.assert_array_equal(
    y, answer_mask[np.round(x.ravel() * 255).astype(int)]
  )
  assert set(y[:, 0]) == {True, False}


@pytest.mark.parametrize('count', [1, 2])
def test_draw_takes_targets_of_any_rank(count):
  # One number per image, and a matrix per image.
  for shape in ((), (2, 2)):
    sets = [
      RealImages(
        np.full((3, 1, 1, 1), m, np.uint8), np.full((3, *shape), m, np.float32)
      )
      for m in range(count)
    ]
    x, y = _drawn(tuple(sets), 40)
    assert y.shape == (40, *shape)
    np.testing.assert_allclose(
      y,
      np.broadcast_to(x.reshape(40, *[1] * len(shape)) * 255, y.shape),
      atol=1e-4,
    )


def test_draw_is_the_same_on_any_number_of_devices():
  sets = (
    _numbered(0, 50, (4, 4), shift=1, flip=True),
    _numbered(50, 50, (4, 4)),
  )
  for one, eight in zip(_drawn(sets, 32, (4, 4)), _drawn(sets, 32, (4, 4), 8)):
    np.testing.assert_array_equal(one, eight)
    assert len(np.unique(one.reshape(32, -1), axis=0)) > 16


def test_draw_augments_each_set_by_its_own_fields():
  # The left half white; the whole set shifts, mirrors, or stays.
  image = np.zeros((1, 5, 6, 1), np.uint8)
  image[:, :, :3] = 255

  def images_of(name, **options):
    targets = np.eye(3, dtype=np.float32)[[name]]
    return RealImages(image, targets, **options)

  sets = (images_of(0), images_of(1, flip=True), images_of(2, shift=1))
  x, y = _drawn(sets, 300, size=(5, 6))
  looks = [{one.tobytes() for one in x[y[:, name] == 1]} for name in range(3)]
  # Itself; itself and mirrored; 3 places along each axis.
  assert [len(some) for some in looks] == [1, 2, 9]
  assert looks[0] < looks[1]
  assert looks[0] < looks[2]


def test_draw_shifts_by_pixels_of_the_set_and_not_of_the_net():
  # Moved by up to 1 of 2 pixels, then enlarged three times.
  images = RealImages(_row(255, 255), np.ones((1, 1), np.float32), shift=1)
  x, _ = _drawn((images,), 200, size=(1, 6))
  looks = {tuple(np.round(one.ravel() * 6).astype(int)) for one in x}
  assert looks == {
    (0,) * 6,  # above or below the image
    (6,) * 6,
    (6, 6, 4, 2, 0, 0),  # 1/3 and 2/3 of the way from one to the other
    (0, 0, 2, 4, 6, 6),
  }
