"""Forward passes of teachers, and the statistics that are read on the way."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dualgan_jax.teachers import forward
from dualgan_jax.teachers.teacher import Teacher
from tests.teachers import nets
from tests.teachers.nets import IMAGE, KEY


def _by_hand(x):
  """The only logit of `nets.by_hand` for features x after its first block."""
  return x + 10 * (x + 1)


class ForwardPassTest(chex.TestCase):
  """A user's own transformations give the answers worked by hand."""

  @chex.all_variants
  def test_tail(self):
    teacher = nets.by_hand()

    def total(features):
      logits = forward.tail(teacher, teacher.variables[1:], features, 1)
      return jnp.sum(logits), logits

    value_and_grad = self.variant(jax.value_and_grad(total, has_aux=True))
    features = jnp.array([3.0, -1.0])[:, None, None, None] * jnp.ones(
      (1, 4, 4, 1)
    )
    (_, logits), grad = value_and_grad(features)
    np.testing.assert_allclose(logits, [[_by_hand(3)], [_by_hand(-1)]])
    # A mean over 4×4 places.
    np.testing.assert_allclose(grad, np.full((2, 4, 4, 1), 11 / 16))

  @chex.all_variants
  def test_ladder(self):
    teacher = nets.by_hand()
    answers = self.variant(
      lambda image, features: forward.ladder(teacher, image, {1: features})
    )(jnp.full((2, *IMAGE), 0.5), jnp.full((3, 4, 4, 1), -1.0))
    # Its first block doubles the image.
    np.testing.assert_allclose(answers.image, np.full((2, 1), _by_hand(1)))
    np.testing.assert_allclose(
      answers.entries[1], np.full((3, 1), _by_hand(-1))
    )
    np.testing.assert_allclose(
      answers.activations, np.broadcast_to([1.0, 2.0], (2, 4, 4, 2))
    )
    assert answers.moments == []

  @chex.all_variants
  def test_moments(self):
    norm = nn.BatchNorm(use_running_average=True)
    variables = norm.init(KEY, jnp.zeros((1, 1)))
    teacher = Teacher(
      'norm', ('a',), (norm.apply,), lambda _, x: x, (variables, ())
    )
    answers = self.variant(lambda x: forward.ladder(teacher, x, {}))(
      jnp.array([[1.0], [3.0]])
    )
    (moments,) = answers.moments
    # E[x] = (1 + 3) / 2 and E[x²] = (1 + 9) / 2, beside 0 and 1.
    np.testing.assert_allclose(moments, [[2.0], [5.0], [0.0], [1.0]])


def test_feature_shapes_of_plain_functions():
  assert forward.feature_shapes(nets.by_hand(), IMAGE) == [
    (4, 4, 1),
    (4, 4, 2),
  ]


def test_feature_shapes_of_foreign_modules():
  # 7×8 halves to 3×4 and 1×2: this code's pooling rounds down.
  assert forward.feature_shapes(nets.foreign(), IMAGE) == [
    (3, 4, 3),
    (1, 2, 3),
  ]


def test_feature_shapes_compute_nothing():
  # There are no values to compute with.
  shapes = forward.feature_shapes(nets.abstract((2, 2, 1)), IMAGE)
  assert shapes == [(4, 4, 2), (2, 2, 2), (2, 2, 2)]


@pytest.mark.parametrize(
  ('make', 'expected'),
  [
    (nets.abstract, True),
    (nets.foreign, True),
    (nets.by_hand, False),
    (lambda: nets.abstract(batch_norm=False), False),
  ],
)
def test_has_batch_norm(make, expected):
  assert forward.has_batch_norm(make(), IMAGE) is expected


def test_record_moments_of_the_first_rows():
  norm = nn.BatchNorm(use_running_average=True)
  x = np.arange(24, dtype=np.float32).reshape(3, 2, 2, 2)
  variables = {
    'params': {'scale': jnp.array([1.0, 2.0]), 'bias': jnp.array([0.0, 1.0])},
    'batch_stats': {
      'mean': jnp.array([5.0, 6.0]),
      'var': jnp.array([7.0, 8.0]),
    },
  }
  y, (moments,) = forward.record_moments(norm.apply, variables, x, num_images=2)
  # Channel 0 of the first two rows is 0, 2, .., 14, channel 1 is 1, 3, .., 15.
  np.testing.assert_allclose(moments.mean, [7.0, 8.0])
  np.testing.assert_allclose(moments.mean_square, [70.0, 85.0])
  np.testing.assert_allclose(moments.running_mean, [5.0, 6.0])
  np.testing.assert_allclose(moments.running_variance, [7.0, 8.0])
  # All rows go through the block, unchanged by being looked at.
  np.testing.assert_array_equal(y, norm.apply(variables, x))
  _, (all_rows,) = forward.record_moments(
    norm.apply, variables, x, num_images=3
  )
  np.testing.assert_allclose(all_rows.mean, [11.0, 12.0])


def test_record_moments_of_places_that_were_made_rows():
  norm = nn.BatchNorm(use_running_average=True)

  def flatten(variables, x):
    return norm.apply(variables, x.reshape(-1, x.shape[-1]))

  x = np.arange(24, dtype=np.float32).reshape(3, 2, 2, 2)
  variables = norm.init(KEY, x)
  _, (moments,) = forward.record_moments(flatten, variables, x, num_images=2)
  np.testing.assert_allclose(moments.mean, [7.0, 8.0])
  np.testing.assert_allclose(moments.mean_square, [70.0, 85.0])


def test_record_moments_of_each_layer_in_turn():
  norm = nn.BatchNorm(use_running_average=True, epsilon=0.0)

  def block(variables, x):
    return norm.apply(variables[1], nn.relu(norm.apply(variables[0], x)))

  def remembers(mean, variance):
    return {
      'params': {'scale': jnp.array([2.0]), 'bias': jnp.array([1.0])},
      'batch_stats': {
        'mean': jnp.array([mean]),
        'var': jnp.array([variance]),
      },
    }

  x = jnp.array([[1.0], [3.0], [100.0]])  # features without places
  variables = (remembers(3.0, 4.0), remembers(-1.0, 9.0))
  _, (first, second) = forward.record_moments(block, variables, x, num_images=2)
  np.testing.assert_allclose(first.mean, [2.0])
  np.testing.assert_allclose(first.mean_square, [5.0])
  # 2 (x - 3) / √4 + 1 = (-1, 1), of which ReLU leaves (0, 1).
  np.testing.assert_allclose(second.mean, [0.5])
  np.testing.assert_allclose(second.mean_square, [0.5])
  np.testing.assert_allclose(second.running_mean, [-1.0])
  np.testing.assert_allclose(second.running_variance, [9.0])


def test_record_moments_inside_foreign_modules():
  teacher = nets.foreign()
  x = jax.random.uniform(KEY, (3, *IMAGE))
  block, variables = teacher.blocks[0], teacher.variables[0]
  y, (moments,) = jax.jit(
    lambda variables, x: forward.record_moments(
      block, variables, x, num_images=2
    )
  )(variables, x)
  np.testing.assert_allclose(y, block(variables, x), 1e-4, 1e-5)
  convolution = {'params': variables['params']['Conv_0']}
  features = nn.gelu(nn.Conv(3, (2, 2)).apply(convolution, x[:2]))
  np.testing.assert_allclose(
    moments.mean, np.mean(features, axis=(0, 1, 2)), 1e-4, 1e-5
  )


def test_record_moments_of_a_norm_called_by_keyword():
  norm = nn.BatchNorm(use_running_average=True)
  x = jnp.array([[1.0], [3.0]])
  variables = norm.init(KEY, x)
  _, (moments,) = forward.record_moments(
    lambda variables, x: norm.apply(variables, x=x), variables, x, num_images=2
  )
  np.testing.assert_allclose(moments.mean, [2.0])


def test_record_moments_without_batch_norm():
  x = jnp.ones((2, 4, 4, 1))
  y, moments = forward.record_moments(
    nets.by_hand().blocks[0], jnp.array(2.0), x, num_images=2
  )
  assert moments == []
  np.testing.assert_allclose(y, np.full((2, 2, 2, 1), 2.0))


def test_moments_carry_the_gradient_of_the_image():
  norm = nn.BatchNorm(use_running_average=True)
  variables = norm.init(KEY, jnp.zeros((1, 1)))

  def mean(x):
    _, (moments,) = forward.record_moments(
      norm.apply, variables, x, num_images=2
    )
    return moments.mean[0]

  # Half from each of the two rows that are looked at.
  grad = jax.grad(mean)(jnp.array([[1.0], [3.0], [9.0]]))
  np.testing.assert_allclose(grad, [[0.5], [0.5], [0.0]])
