"""A teacher's logits are compared with PyTorch's, or printed for the user."""

import jax.numpy as jnp
import numpy as np
import pytest

from dualgan_jax.errors import UserError
from dualgan_jax.teachers import reference_logits
from dualgan_jax.teachers.teacher import Teacher, single_label

IMAGE_SHAPE = (4, 6, 3)


def _teacher(scale=10.0):
  """Makes a teacher of two channels' scaled means, and their difference."""

  def head(variables, features):
    red, green = scale * features[:, 0], scale * features[:, 1]
    return jnp.stack([red, green, red - green], axis=1)

  return Teacher(
    'x',
    ('red', 'green', 'both'),
    (
      lambda variables, features: features,
      lambda variables, features: features.mean(axis=(1, 2)),
    ),
    head,
    ({}, {}, {}),
  )


def _images(num_images=2):
  return np.random.default_rng(0).random((num_images, *IMAGE_SHAPE), np.float32)


def _check(tmp_path, teacher=None, **arrays):
  path = tmp_path / 'reference.npz'
  np.savez(path, **arrays)
  reference_logits.check(
    'teachers.x.reference', path, teacher or _teacher(), IMAGE_SHAPE
  )


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
@pytest.mark.parametrize('has_softmax', [False, True])
def test_the_same_logits_are_accepted(tmp_path, dtype, has_softmax):
  images = _images().astype(dtype)
  expected = reference_logits.compute_logits(
    _teacher(), images.astype(np.float32)
  )
  teacher = single_label(_teacher()) if has_softmax else _teacher()
  _check(tmp_path, teacher, images=images, logits=1.0005 * expected)


@pytest.mark.parametrize('factor', [1.002, 0.99, -1, 0])
def test_other_logits_are_refused_with_the_largest_difference(tmp_path, factor):
  images = _images()
  images[1] = 1
  expected = reference_logits.compute_logits(_teacher(), images)
  other_logits = expected.copy()
  other_logits[1, 1] *= factor
  with pytest.raises(
    UserError,
    match=rf"reference.npz: image 1 has 10 for label 'green' here and "
    rf'{10 * factor:.4g} there; look at mean, std, stem_pool',
  ):
    _check(tmp_path, images=images, logits=other_logits)


@pytest.mark.parametrize(
  ('arrays', 'message'),
  [
    ({'images': _images()}, r'cannot be read as arrays `images` and .*logits'),
    (
      {'images': _images().transpose(0, 3, 1, 2), 'logits': np.zeros((2, 3))},
      r'are 2×3×4×6 instead of n×4×6×3; in PyTorch, write images\.permute',
    ),
    ({'images': _images(0), 'logits': np.zeros((0, 3))}, 'instead of n×4×6×3'),
    (
      {'images': 255 * _images(), 'logits': np.zeros((2, 3))},
      'not between 0 and 1; write them as they are before mean',
    ),
    (
      {'images': np.nan * _images(), 'logits': np.zeros((2, 3))},
      'not between 0 and 1',
    ),
    ({'images': _images(), 'logits': np.zeros((2, 4))}, '2×4 instead of 2×3'),
    (
      {'images': _images(), 'logits': np.full((2, 3), np.nan)},
      'instead of 2×3 finite numbers',
    ),
    (
      {'images': np.array([{}], object), 'logits': np.zeros((2, 3))},
      'cannot be read .*allow_pickle',
    ),
  ],
)
def test_an_invalid_reference_is_one_sentence(tmp_path, arrays, message):
  with pytest.raises(UserError, match=rf'^teachers\.x\.reference: .*{message}'):
    _check(tmp_path, **arrays)


def test_a_reference_that_inflates_is_refused(tmp_path):
  path = tmp_path / 'reference.npz'
  np.savez_compressed(path, images=np.zeros((80, 1000, 1000), np.float32))
  with pytest.raises(UserError, match='bytes are more than a few images'):
    reference_logits.check('f', path, _teacher(), IMAGE_SHAPE)


def test_rows_columns_and_channels_of_the_fixed_image_differ():
  for image_shape in ((32, 32, 3), (28, 28, 1), (224, 224, 3)):
    (image,) = reference_logits.fixed_image(image_shape)
    assert image.shape == image_shape
    assert image.dtype == np.float32
    assert (image.min(), image.max()) == (0, 1)
    assert not np.allclose(image, image.transpose(1, 0, 2), atol=0.1)
    assert not np.allclose(image, image[::-1], atol=0.1)
    if image_shape[2] == 3:
      assert not np.allclose(image, image[..., ::-1], atol=0.1)


def test_the_comparison_lists_logits_and_a_line_of_python():
  our_logits, pytorch_line = reference_logits.describe_comparison(
    _teacher(), IMAGE_SHAPE, (0.5,), (1.0,)
  )
  red, green, _ = 10 * reference_logits.fixed_image(IMAGE_SHAPE)[0].mean(
    axis=(0, 1)
  )
  assert f'logits [{red:.4f}'[:-2] in our_logits
  assert f'{green:.4f}'[:-2] in our_logits
  assert pytorch_line.strip() == (
    'print([round(x, 4) for x in model.eval()(torch.arange(72)'
    '.reshape(1, 3, 4, 6) * 31 % 97 / 96 - torch.tensor([0.5])'
    '.reshape(-1, 1, 1))[0, :10].tolist()])'
  )
