import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dualgan_jax.networks.cpu_convolution import conv_general_dilated

_LAYOUT = ('NHWC', 'HWIO', 'NHWC')


def _convolve(images, kernel, strides=(1, 1), convolve=conv_general_dilated):
  return convolve(images, kernel, strides, 'SAME', dimension_numbers=_LAYOUT)


def _random(batch_size, image_size=(6, 5), kernel_size=(3, 3), channels=(2, 4)):
  keys = jax.random.split(jax.random.PRNGKey(0))
  return (
    jax.random.normal(keys[0], (batch_size, *image_size, channels[0])),
    jax.random.normal(keys[1], (*kernel_size, *channels)),
  )


def _square(convolve, strides=(1, 1)):
  return lambda *arguments: jnp.sum(
    _convolve(*arguments, strides, convolve) ** 2
  )


class ConvolutionTest(chex.TestCase):
  @chex.all_variants
  def test_by_hand(self):
    # One image of a row, a kernel that adds the pixel and its right neighbour.
    image = jnp.array([1.0, 2.0, 4.0]).reshape(1, 1, 3, 1)
    kernel = jnp.array([0.0, 1.0, 1.0]).reshape(1, 3, 1, 1)
    total, grads = self.variant(
      jax.value_and_grad(
        lambda kernel, image: jnp.sum(_convolve(image, kernel))
      )
    )(kernel, image)
    np.testing.assert_allclose(total, 3 + 6 + 4)
    # How often a kernel's entry meets which pixels: 1 + 2, 1 + 2 + 4, 2 + 4.
    np.testing.assert_allclose(jnp.ravel(grads)[:3], [3, 7, 6])


@pytest.mark.parametrize('batch_size', [1, 3, 8, 19])
@pytest.mark.parametrize('strides', [(1, 1), (2, 1)])
@pytest.mark.parametrize('kernel_size', [(3, 3), (2, 3), (1, 5)])
@pytest.mark.parametrize('channels', [(2, 4), (4, 2)])
def test_values_and_gradients_are_those_of_lax(
  batch_size, strides, kernel_size, channels
):
  arguments = _random(batch_size, kernel_size=kernel_size, channels=channels)
  actual, expected = (
    jax.value_and_grad(_square(convolve, strides), argnums=(0, 1))(*arguments)
    for convolve in (conv_general_dilated, jax.lax.conv_general_dilated)
  )
  chex.assert_trees_all_close(actual, expected, rtol=1e-5, atol=1e-4)


def test_groups_of_channels_are_not_swapped():
  images, _ = _random(8, channels=(4, 2))
  _, kernel = _random(8, channels=(2, 2))

  def gradient(convolve):
    return jax.grad(
      lambda kernel: jnp.sum(
        convolve(
          images,
          kernel,
          (1, 1),
          'SAME',
          dimension_numbers=_LAYOUT,
          feature_group_count=2,
        )
        ** 2
      )
    )(kernel)

  actual = gradient(conv_general_dilated)
  expected = gradient(jax.lax.conv_general_dilated)
  chex.assert_trees_all_close(actual, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize('scale', [0.0, 1e-15, 1e15])
def test_extreme_images_have_finite_gradients(scale):
  images, kernel = _random(9)
  grads = jax.grad(_square(conv_general_dilated), argnums=(0, 1))(
    scale * images, kernel
  )
  chex.assert_tree_all_finite(grads)


@pytest.mark.parametrize(('platform', 'num_parts'), [('cpu', 8), ('tpu', 1)])
def test_only_cpus_take_parts(platform, num_parts):
  grad = jax.jit(jax.grad(_square(conv_general_dilated), argnums=(0, 1)))
  lowered = grad.trace(*_random(16)).lower(lowering_platforms=(platform,))
  # Forward and back to the images it is one each.
  assert lowered.as_text().count('stablehlo.convolution') == 2 + num_parts
