import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dualgan_jax.networks.thin_convolution import conv_general_dilated
from dualgan_jax.reporting import cost

_LAYOUT = ('NHWC', 'HWIO', 'NHWC')


def _convolve(images, kernel, padding='SAME', convolve=conv_general_dilated):
  return convolve(images, kernel, (1, 1), padding, dimension_numbers=_LAYOUT)


def _random(image_size=(7, 6), kernel_size=(5, 5), channels=(3, 4)):
  keys = jax.random.split(jax.random.PRNGKey(0))
  return (
    jax.random.normal(keys[0], (2, *image_size, channels[0])),
    jax.random.normal(keys[1], (*kernel_size, *channels)),
  )


def _square(padding, convolve):
  return lambda *arguments: jnp.sum(
    _convolve(*arguments, padding, convolve) ** 2
  )


class ConvolutionTest(chex.TestCase):
  @chex.all_variants
  def test_by_hand(self):
    # One image of a row, a kernel that adds the pixel and its right neighbour.
    image = jnp.array([1.0, 2.0, 4.0]).reshape(1, 1, 3, 1)
    kernel = jnp.array([0.0, 1.0, 1.0]).reshape(1, 3, 1, 1)
    outputs = self.variant(_convolve)(image, kernel)
    np.testing.assert_allclose(jnp.ravel(outputs), [3, 6, 4])


@pytest.mark.parametrize('padding', ['SAME', 'VALID', ((2, 1), (0, 3))])
@pytest.mark.parametrize('kernel_size', [(5, 5), (3, 3), (2, 4), (1, 3)])
@pytest.mark.parametrize('image_size', [(7, 6), (8, 9)])
def test_values_and_gradients_are_those_of_lax(
  padding, kernel_size, image_size
):
  arguments = _random(image_size, kernel_size)
  actual, expected = (
    jax.value_and_grad(_square(padding, convolve), argnums=(0, 1))(*arguments)
    for convolve in (conv_general_dilated, jax.lax.conv_general_dilated)
  )
  chex.assert_trees_all_close(actual, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize('scale', [0.0, 1e-15, 1e15])
def test_extreme_images_have_finite_gradients(scale):
  images, kernel = _random()
  grads = jax.grad(_square('SAME', conv_general_dilated), argnums=(0, 1))(
    scale * images, kernel
  )
  chex.assert_tree_all_finite(grads)


@pytest.mark.parametrize(
  ('platform', 'channels', 'kernel_shape'),
  [
    ('cpu', (3, 4), '3x3x12x16'),
    ('tpu', (3, 4), '5x5x3x4'),
    ('cpu', (8, 4), '5x5x8x4'),
    ('cpu', (3, 17), '5x5x3x17'),
  ],
)
def test_only_cpus_take_squares_where_channels_are_few(
  platform, channels, kernel_shape
):
  traced = jax.jit(_convolve).trace(*_random(channels=channels))
  text = traced.lower(lowering_platforms=(platform,)).as_text()
  (line,) = [
    line for line in text.splitlines() if 'stablehlo.convolution' in line
  ]
  assert f'tensor<{kernel_shape}xf32>' in line


@pytest.mark.parametrize(
  'options',
  [{'strides': 2}, {'kernel_dilation': 2}, {'feature_group_count': 3}],
)
def test_all_else_is_left_as_it_is(options):
  images, _ = _random()
  ours, plain = (
    nn.Conv(3, (3, 3), conv_general_dilated=convolve, **options)
    for convolve in (conv_general_dilated, None)
  )
  variables = plain.init(jax.random.PRNGKey(0), images)
  chex.assert_trees_all_equal(
    ours.apply(variables, images), plain.apply(variables, images)
  )


def test_zeros_in_the_kernel_are_no_flops_of_the_net():
  images, kernel = _random()
  assert cost.count_flops(_convolve, images, kernel) == cost.count_flops(
    lambda *arguments: _convolve(
      *arguments, convolve=jax.lax.conv_general_dilated
    ),
    images,
    kernel,
  )
