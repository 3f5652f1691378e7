"""Pictures of a run: images by label, curves of stages."""

import numpy as np
import pytest
from PIL import Image

from dualgan_jax.reporting import plots
from dualgan_jax.training import metrics_log


def _open(path):
  with Image.open(path) as image:
    image.load()
    assert image.format == 'PNG'
    return np.asarray(image.convert('RGB')).astype(int)


def _images(num_images, channels=1):
  """Images of 8×8 pixels, each of another grey level."""
  levels = np.linspace(0.2, 0.8, num_images, dtype=np.float32)
  ones = np.ones((num_images, 8, 8, channels), np.float32)
  return ones * levels[:, None, None, None]


@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('with_real', [False, True])
def test_samples_are_a_picture(tmp_path, channels, with_real):
  images, logits = _images(40, channels), np.eye(4)[np.arange(40) % 4]
  path = tmp_path / 'samples.png'
  real = (images[:7], logits[:7]) if with_real else None
  plots.draw_samples(path, tuple('abcd'), images, logits, real=real)
  height, width, _ = _open(path).shape
  assert 100 < height < 400
  # A second panel is beside the first.
  assert (800 if with_real else 400) < width < (1000 if with_real else 500)


def test_more_labels_make_a_taller_picture(tmp_path):
  heights = []
  for num_labels in (2, 20):
    path = tmp_path / f'{num_labels}.png'
    labels = [f'label {number}' for number in range(num_labels)]
    images = _images(num_labels)
    plots.draw_samples(path, labels, images, np.eye(num_labels))
    heights.append(_open(path).shape[0])
  assert heights[1] > 5 * heights[0]


def test_a_coloured_image_keeps_its_colour(tmp_path):
  red = np.zeros((4, 8, 8, 3), np.float32)
  red[..., 0] = 1.0
  path = tmp_path / 'samples.png'
  plots.draw_samples(path, ('a',), red, np.ones((4, 1)))
  pixels = _open(path)
  assert np.all(pixels == [255, 0, 0], axis=-1).mean() > 0.05


def test_the_grid_shows_each_label_in_its_row():
  # Twelve images of label b, one of a, none of c.
  levels = np.arange(13) / 20
  images = np.ones((13, 2, 3, 1)) * levels[:, None, None, None]
  logits = np.eye(3)[[1] * 6 + [0] + [1] * 6]
  grid = plots._grid(images, logits)
  # Ten images to a row, with a white line below and beside each.
  assert grid.shape == (3 * 3, 10 * 4)
  cells = grid.reshape(3, 3, 10, 4)
  np.testing.assert_array_equal(cells[:, 2], 1.0)
  np.testing.assert_array_equal(cells[..., 3], 1.0)
  inner = cells[:, :2, :, :3]
  np.testing.assert_allclose(inner[0, :, 0], levels[6], rtol=1e-6)
  np.testing.assert_array_equal(inner[0, :, 1:], 1.0)
  first_ten = levels[[0, 1, 2, 3, 4, 5, 7, 8, 9, 10]]
  np.testing.assert_allclose(inner[1, 1, :, 1], first_ten, rtol=1e-6)
  np.testing.assert_array_equal(inner[2], 1.0)


def test_an_image_whose_only_label_is_hard_to_see_stands_in_no_row():
  grid = plots._grid(_images(1), np.array([[0.0, np.nan, 0.0]]))
  assert np.all(grid == 1)


def test_a_real_image_stands_in_the_row_of_each_of_its_labels():
  images = _images(2)
  grid = plots._grid(images, np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]]))
  rows = grid.reshape(3, 9, 10, 9)[:, :8, :, :8]
  for row, numbers in enumerate([[0], [0, 1], []]):
    shown = rows[row].transpose(1, 0, 2)
    np.testing.assert_array_equal(
      shown[: len(numbers)], images[numbers, ..., 0]
    )
    assert np.all(shown[len(numbers) :] == 1)


def test_a_label_that_is_hard_to_see_is_never_the_most_probable():
  images = _images(1)
  grid = plots._grid(images, np.array([[0.0, np.nan, 1.0]]))
  assert np.all(grid[9:18] == 1)  # nothing in the row of the second label
  np.testing.assert_array_equal(grid[18:26, :8], images[0, ..., 0])


def test_a_name_is_no_formula(tmp_path):
  # Of matplotlib's mathematics, these would be errors.
  labels = ('$', '$$', '$a_$')
  plots.draw_samples(tmp_path / 'samples.png', labels, _images(3), np.eye(3))
  log = metrics_log.MetricsLog(tmp_path)
  log.write('phase', 1, {'l_d/$a_$': 1.0, 'l_d/$b_$': 2.0})
  log.close()
  plots.draw_curves(tmp_path)
  assert (tmp_path / 'curves.png').exists()


def test_a_label_that_no_image_carries_leaves_its_row_empty(tmp_path):
  path = tmp_path / 'samples.png'
  plots.draw_samples(
    path, ('a', 'b', 'c'), _images(6), np.eye(3)[[0, 0, 0, 2, 2, 2]]
  )
  without_b = _open(path)
  plots.draw_samples(
    path, ('a', 'b', 'c'), _images(6), np.eye(3)[[0, 0, 1, 1, 2, 2]]
  )
  with_all = _open(path)
  assert without_b.shape == with_all.shape
  assert (without_b != with_all).any()


def test_curves_are_a_picture(tmp_path):
  log = metrics_log.MetricsLog(tmp_path)
  for step in (1, 20, 40):
    row = {'loss': np.float32(1 / step), 'rate': np.float32([0.1, 0.2])}
    log.write('dual/block_1', step, row, ('a', 'b'))
  log.close()
  plots.draw_curves(tmp_path)
  # One row of three places: vectors have no curves.
  assert _open(tmp_path / 'curves.png').shape == (264, 1210, 3)


def test_curves_of_many_scalars_and_phases(tmp_path):
  log = metrics_log.MetricsLog(tmp_path)
  for phase in ('dual/block_1', 'dual/block_2'):
    for step in (1, 20):
      log.write(phase, step, {f's{i}': 0.5 * i + step for i in range(4)})
  # A scalar that only one phase has.
  log.write('dual/block_2', 40, {'rare': 0.5})
  log.close()
  plots.draw_curves(tmp_path)
  assert _open(tmp_path / 'curves.png').shape == (2 * 264, 1210, 3)


def test_without_metrics_there_are_no_curves(tmp_path):
  plots.draw_curves(tmp_path)
  assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('channels', [1, 3])
def test_a_grid_is_transparent_where_no_image_stands(tmp_path, channels):
  path = tmp_path / 'grid.png'
  # Two images of label a, one of c, none of b.
  logits = np.eye(3)[[0, 0, 2]]
  plots.write_grid(path, np.ones((3, 8, 8, channels)), logits)
  with Image.open(path) as grid:
    assert grid.size == (90, 27)
    opacity = np.asarray(grid.convert('RGBA'))[..., 3]
  rows = opacity.reshape(3, 9, 90)
  assert np.all(rows[[0, 2], :8, :8] == 255)
  assert np.all(rows[0, :8, 9:17] == 255)
  assert rows.sum() == 3 * 8 * 8 * 255


@pytest.mark.parametrize(
  ('height', 'width', 'size'),
  [(224, 160, (32, 22)), (33, 32, (16, 16)), (500, 1, (31, 1))],
)
def test_large_images_are_small_in_a_grid(tmp_path, height, width, size):
  path = tmp_path / 'grid.png'
  images = np.zeros((1, height, width, 3))
  images[:, ::2] = 0.5
  plots.write_grid(path, images, np.array([[1.0, 0.0]]))
  with Image.open(path) as grid:
    assert grid.size == (10 * (size[1] + 1), 2 * (size[0] + 1))
    # The mean of its block, and not one pixel of it.
    assert grid.getpixel((0, 0))[0] == pytest.approx(64, abs=10)
