"""A teacher of any code can say which statistics its tensors had."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dualgan_jax
from dualgan_jax import losses
from dualgan_jax.errors import UserError
from dualgan_jax.teachers import fingerprint, forward, protocol
from dualgan_jax.teachers.merging import merged
from dualgan_jax.teachers.preparation import Preparation
from dualgan_jax.teachers.teacher import Teacher, prepared, single_label

_MEAN = np.array([0.5, 0.25], np.float32)
_VARIANCE = np.array([2.0, 3.0], np.float32)


def _plain_teacher(statistics=None):
  """Makes a teacher of plain functions, the first of which normalises."""

  def normalise(variables, x):
    x = dualgan_jax.name_tensor(x, 'norm')
    factor = variables['params'] / jnp.sqrt(_VARIANCE)
    return jax.vmap(lambda pixel: (pixel - _MEAN) * factor)(
      x.reshape(-1, 2)
    ).reshape(x.shape)

  def shrink(_, x):
    return x[:, ::2, ::2]

  def head(variables, x):
    return x.mean(axis=(1, 2)) @ variables['params']

  return Teacher(
    'plain',
    ('a', 'b'),
    (normalise, shrink),
    head,
    ({'params': jnp.ones(2)}, {'params': {}}, {'params': jnp.eye(2)}),
    statistics={'norm': (_MEAN, _VARIANCE)}
    if statistics is None
    else statistics,
  )


def _images(num_rows=3):
  return np.random.default_rng(0).random((num_rows, 4, 6, 2), np.float32)


def test_the_moments_of_a_named_tensor_are_those_of_the_images():
  images = _images()
  entry = jnp.full((5, 4, 6, 2), 100.0)  # not counted: no image
  (moments,) = forward.ladder(_plain_teacher(), images, {1: entry}).moments
  np.testing.assert_allclose(moments.mean, images.mean((0, 1, 2)), rtol=1e-5)
  np.testing.assert_allclose(
    moments.mean_square, (images**2).mean((0, 1, 2)), rtol=1e-5
  )
  np.testing.assert_array_equal(moments.running_mean, _MEAN)
  np.testing.assert_array_equal(moments.running_variance, _VARIANCE)


@pytest.mark.parametrize(
  'change',
  [
    lambda teacher: merged(teacher, 1),
    single_label,
    lambda teacher: prepared(teacher, Preparation((4, 6, 2))),
    lambda teacher: protocol.normalize_teacher('f', teacher, 'it'),
  ],
)
def test_a_changed_teacher_keeps_its_statistics(change):
  teacher = change(_plain_teacher())
  assert len(forward.ladder(teacher, _images(), {}).moments) == 1
  assert forward.has_batch_norm(teacher, (4, 6, 2))


def test_a_teacher_without_statistics_names_its_tensors_in_vain():
  teacher = _plain_teacher(statistics={})
  assert not forward.ladder(teacher, _images(), {}).moments
  assert not forward.has_batch_norm(teacher, (4, 6, 2))


def test_outside_of_a_teacher_a_name_does_nothing():
  assert dualgan_jax.name_tensor('anything', 'norm') == 'anything'


@pytest.mark.parametrize(
  ('statistics', 'message'),
  [
    ([], 'its statistics must be a dict of pairs'),
    ({'norm': 3}, 'its statistics must be a dict of pairs'),
    ({'norm': (np.ones(2), np.ones(3))}, 'both of one value per channel'),
    ({3: (np.ones(2), np.ones(2))}, 'its statistics must be a dict of pairs'),
  ],
)
def test_statistics_of_another_form_are_one_sentence(statistics, message):
  with pytest.raises(UserError, match=f'^f: .*{message}'):
    protocol.normalize_teacher('f', _plain_teacher(statistics), 'it')


@pytest.mark.parametrize(
  ('statistics', 'message'),
  [
    (
      {'nrom': (np.ones(2), np.ones(2))},
      r"of 'nrom', a name that its .*; call dualgan_jax\.name_tensor\(x, 'nro",
    ),
    (
      {'norm': (np.ones(3), np.ones(3))},
      "of 'norm' are of 3 channels, but .*2",
    ),
  ],
)
def test_statistics_of_no_tensor_are_named(statistics, message):
  with pytest.raises(UserError, match=f'^f: its statistics (are )?{message}'):
    protocol.check_teacher('f', _plain_teacher(statistics), (4, 6, 2))


def test_other_statistics_are_another_teacher():
  sums = {
    fingerprint.of_functions('f', _plain_teacher(statistics), (4, 6, 2))
    for statistics in ({}, None, {'norm': (_MEAN, _VARIANCE + 1)})
  }
  assert len(sums) == 3


def _ladder_of_normalised(images):
  preparation = Preparation((4, 6, 2), mean=(0.5, 0.25), std=(0.5, 0.125))
  teacher = prepared(_plain_teacher(statistics={}), preparation)
  assert not forward.has_batch_norm(teacher, (4, 6, 2))
  return forward.ladder(teacher, images, {})


def test_normalised_images_have_mean_0_and_variance_1():
  half = np.ones((3, 2, 6, 2), np.float32)
  # Half of the pixels a deviation above the mean, half of them one below.
  images = np.concatenate([half * (1.0, 0.375), half * (0.0, 0.125)], 1)
  (moments,) = _ladder_of_normalised(images).moments
  np.testing.assert_allclose(losses.statistics_prior([moments]), 0, atol=2e-6)


def test_images_that_are_too_bright_miss_the_statistics():
  images = np.ones((3, 4, 6, 2)) * (1.0, 0.5)
  (moments,) = _ladder_of_normalised(images).moments
  # Means of 1 and 2 instead of 0; variances of 0 instead of 1.
  expected = np.sqrt(1 + 4) + np.sqrt(1 + 1)
  np.testing.assert_allclose(
    losses.statistics_prior([moments]), expected, rtol=1e-5
  )


def test_a_preparation_that_leaves_images_as_they_are_has_no_statistics():
  teacher = prepared(_plain_teacher(), Preparation((4, 6, 2)))
  assert teacher.statistics.keys() == {'norm'}
