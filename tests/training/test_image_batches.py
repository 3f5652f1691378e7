import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dualgan_jax.training import image_batches, parallel
from dualgan_jax.training.image_batches import RealImages

KEY = jax.random.PRNGKey(0)


def _row_image(*values):
  """Makes an image of one row and one channel."""
  return np.uint8(values).reshape(1, 1, -1, 1)


def _keys(num_keys, seed=0):
  return jax.random.split(jax.random.PRNGKey(seed), num_keys)


def _augment_often(image, keys, **options):
  """Augments the same image with each of many keys."""
  augment = jax.jit(
    jax.vmap(lambda key: image_batches.augment(image, key, **options))
  )
  return np.asarray(augment(keys))


def _numbered_images(first, num_images, image_size=(1, 1), **options):
  """Makes a set whose images and targets are the numbers from `first`."""
  numbers = np.arange(first, first + num_images, dtype=np.uint8)
  return RealImages(
    np.broadcast_to(numbers[:, None, None, None], (num_images, *image_size, 1)),
    np.float32(numbers)[:, None],
    **options,
  )


def _draw(image_sets, batch_size, image_size=(1, 1), num_devices=1):
  """Draws a batch on some devices, and joins their shares."""
  chosen_devices = jax.local_devices()[:num_devices]
  draw = parallel.compile_step(
    lambda image_sets, key: (
      key,
      image_batches.draw_batch(image_sets, key, batch_size, image_size),
    ),
    chosen_devices,
  )
  _, shares = draw(
    parallel.replicate(image_sets, chosen_devices),
    parallel.replicate(KEY, chosen_devices),
  )
  return tuple(np.concatenate(np.asarray(share)) for share in shares)


def test_bytes_are_scaled_to_0_and_1():
  scaled = image_batches.scale_and_resize(_row_image(0, 51, 255), (1, 3))
  assert scaled.dtype == jnp.float32
  np.testing.assert_allclose(scaled.ravel(), [0, 0.2, 1], atol=1e-6)


def test_images_are_enlarged_bilinearly():
  # 1/4 and 3/4 of the way between the two pixels, in each row of each image.
  images = np.concatenate([_row_image(0, 255), _row_image(255, 0)])
  enlarged = image_batches.scale_and_resize(images, (3, 4))
  assert enlarged.shape == (2, 3, 4, 1)
  ramp = [0, 1 / 4, 3 / 4, 1]
  for row in range(3):
    np.testing.assert_allclose(enlarged[0, row, :, 0], ramp, atol=1e-6)
    np.testing.assert_allclose(enlarged[1, row, :, 0], ramp[::-1], atol=1e-6)


def test_images_are_shrunk_without_losing_pixels():
  # One bright pixel in four still shows, wherever it is.
  for column in range(4):
    image = np.zeros((1, 1, 4, 1), np.uint8)
    image[0, 0, column] = 255
    shrunk = image_batches.scale_and_resize(image, (1, 2))
    assert shrunk.shape == (1, 1, 2, 1)
    assert float(shrunk.max()) > 0.3


def test_resizing_keeps_channels_apart():
  image = np.zeros((1, 2, 2, 3), np.uint8)
  image[..., 1] = 255
  np.testing.assert_allclose(
    image_batches.scale_and_resize(image, (5, 3)).reshape(-1, 3),
    np.tile([0, 1, 0], (15, 1)),
    atol=1e-6,
  )


def test_augment_does_nothing_by_default():
  image = jnp.arange(12).reshape(2, 3, 2)
  augmented = _augment_often(image, _keys(5), shift=0, flip=False)
  np.testing.assert_array_equal(augmented, np.broadcast_to(image, (5, 2, 3, 2)))


def test_augment_shifts_by_as_much_as_it_may_and_evenly():
  # A white pixel in the middle of 5×5 black ones.
  image = jnp.zeros((5, 5, 1)).at[2, 2].set(1)
  shifted = _augment_often(image, _keys(4000), shift=2, flip=False)
  assert shifted.shape == (4000, 5, 5, 1)
  np.testing.assert_array_equal(shifted.sum(axis=(1, 2, 3)), np.ones(4000))
  _, rows, columns, _ = np.nonzero(shifted)
  for positions in (rows, columns):
    counts = np.bincount(positions, minlength=5)
    np.testing.assert_allclose(counts / 4000, 1 / 5, atol=0.03)
  assert abs(np.corrcoef(rows, columns)[0, 1]) < 0.05


def test_augment_brings_in_0_and_moves_the_image_as_a_whole():
  image = np.float32(1 + np.arange(12).reshape(3, 2, 2))
  padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
  windows = {
    padded[row : row + 3, column : column + 2].tobytes()
    for row in range(3)
    for column in range(3)
  }
  shifted = _augment_often(jnp.asarray(image), _keys(200), shift=1, flip=False)
  assert {moved.tobytes() for moved in shifted} == windows


def test_augment_mirrors_half_of_the_images_left_to_right():
  image = jnp.arange(6).reshape(2, 3, 1)
  flipped = _augment_often(image, _keys(1000), shift=0, flip=True)[..., 0]
  is_mirrored = (flipped == [[2, 1, 0], [5, 4, 3]]).all(axis=(1, 2))
  is_unchanged = (flipped == [[0, 1, 2], [3, 4, 5]]).all(axis=(1, 2))
  assert np.all(is_mirrored | is_unchanged)
  assert 430 < is_mirrored.sum() < 570


def test_augment_shifts_and_mirrors_independently():
  # A white pixel to the left, and room for it to move.
  image = jnp.zeros((5, 7, 1)).at[2, 2].set(1)
  augmented = _augment_often(image, _keys(4000), shift=1, flip=True)
  _, rows, columns, _ = np.nonzero(augmented)
  # Columns 1 to 3 as it was, 3 to 5 mirrored.
  counts = np.bincount(columns, minlength=7) / 4000
  np.testing.assert_allclose(
    counts, [0, 1 / 6, 1 / 6, 1 / 3, 1 / 6, 1 / 6, 0], atol=0.03
  )
  assert abs(np.corrcoef(rows, columns)[0, 1]) < 0.05


def test_augment_keeps_bytes():
  image = jnp.full((4, 4, 1), 255, jnp.uint8)
  augmented = _augment_often(image, _keys(3), shift=1, flip=True)
  assert augmented.dtype == np.uint8
  assert augmented.max() == 255


def test_draw_gives_each_image_with_its_target():
  images, targets = _draw((_numbered_images(10, 10),), 400)
  assert images.shape == (400, 1, 1, 1)
  assert targets.shape == (400, 1)
  np.testing.assert_allclose(images.ravel() * 255, targets.ravel(), atol=1e-4)
  counts = np.bincount(targets.ravel().astype(int), minlength=20)
  assert counts[:10].sum() == 0
  assert counts[10:].min() > 15  # 40 expected of each


def test_draw_takes_each_image_of_all_sets_as_often():
  # A set of 2, one of 10 and one of 4, of different sizes.
  image_sets = (
    _numbered_images(0, 2, (3, 2)),
    _numbered_images(2, 10, (1, 1)),
    _numbered_images(12, 4, (5, 5)),
  )
  images, targets = _draw(image_sets, 1600, image_size=(2, 3))
  assert images.shape == (1600, 2, 3, 1)
  numbers = targets.ravel()
  np.testing.assert_allclose(
    images[..., 0] * 255, np.tile(numbers[:, None, None], (1, 2, 3)), atol=1e-4
  )
  counts = np.bincount(numbers.astype(int), minlength=16)
  assert counts.min() > 60  # 100 expected of each
  assert counts.max() < 140


def test_draw_takes_targets_of_any_kind():
  target_rows = np.eye(2, dtype=bool)
  image_sets = tuple(
    RealImages(
      np.full((3, 1, 1, 1), number, np.uint8), target_rows[[number] * 3]
    )
    for number in range(2)
  )
  images, targets = _draw(image_sets, 40)
  assert targets.dtype == bool
  np.testing.assert_array_equal(
    targets, target_rows[np.round(images.ravel() * 255).astype(int)]
  )
  assert set(targets[:, 0]) == {True, False}


@pytest.mark.parametrize('num_sets', [1, 2])
def test_draw_takes_targets_of_any_rank(num_sets):
  # One number per image, and a matrix per image.
  for target_shape in ((), (2, 2)):
    image_sets = [
      RealImages(
        np.full((3, 1, 1, 1), number, np.uint8),
        np.full((3, *target_shape), number, np.float32),
      )
      for number in range(num_sets)
    ]
    images, targets = _draw(tuple(image_sets), 40)
    assert targets.shape == (40, *target_shape)
    np.testing.assert_allclose(
      targets,
      np.broadcast_to(
        images.reshape(40, *[1] * len(target_shape)) * 255, targets.shape
      ),
      atol=1e-4,
    )


def test_draw_is_the_same_on_any_number_of_devices():
  image_sets = (
    _numbered_images(0, 50, (4, 4), shift=1, flip=True),
    _numbered_images(50, 50, (4, 4)),
  )
  for on_one, on_eight in zip(
    _draw(image_sets, 32, (4, 4)), _draw(image_sets, 32, (4, 4), 8)
  ):
    np.testing.assert_array_equal(on_one, on_eight)
    assert len(np.unique(on_one.reshape(32, -1), axis=0)) > 16


def test_draw_augments_each_set_by_its_own_fields():
  # The left half white; the whole set shifts, mirrors, or stays.
  image = np.zeros((1, 5, 6, 1), np.uint8)
  image[:, :, :3] = 255

  def make_set(set_index, **options):
    targets = np.eye(3, dtype=np.float32)[[set_index]]
    return RealImages(image, targets, **options)

  image_sets = (make_set(0), make_set(1, flip=True), make_set(2, shift=1))
  images, targets = _draw(image_sets, 300, image_size=(5, 6))
  distinct_images = [
    {
      drawn_image.tobytes()
      for drawn_image in images[targets[:, set_index] == 1]
    }
    for set_index in range(3)
  ]
  # Itself; itself and mirrored; 3 places along each axis.
  assert [len(distinct) for distinct in distinct_images] == [1, 2, 9]
  assert distinct_images[0] < distinct_images[1]
  assert distinct_images[0] < distinct_images[2]


def test_draw_shifts_by_pixels_of_the_set_and_not_of_the_net():
  # Moved by up to 1 of 2 pixels, then enlarged three times.
  image_set = RealImages(
    _row_image(255, 255), np.ones((1, 1), np.float32), shift=1
  )
  images, _ = _draw((image_set,), 200, image_size=(1, 6))
  distinct_rows = {
    tuple(np.round(drawn_image.ravel() * 6).astype(int))
    for drawn_image in images
  }
  assert distinct_rows == {
    (0,) * 6,  # above or below the image
    (6,) * 6,
    (6, 6, 4, 2, 0, 0),  # 1/3 and 2/3 of the way from one to the other
    (0, 0, 2, 4, 6, 6),
  }


def test_images_that_do_not_count_are_not_drawn():
  images = _numbered_images(1, 5)
  padded = images.pad(9)
  assert padded.size == 5 and padded.images.shape == (9, 1, 1, 1)
  for drawn, expected in zip(_draw((padded,), 64), _draw((images,), 64)):
    np.testing.assert_array_equal(drawn, expected)
  # Nor beside another set.
  others = _numbered_images(100, 3)
  for drawn, expected in zip(
    _draw((padded, others), 64), _draw((images, others), 64)
  ):
    np.testing.assert_array_equal(drawn, expected)
