import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dualgan_jax.networks.cpu_convolution import conv_general_dilated

_LAYOUT = ('NHWC', 'HWIO', 'NHWC')


def _convolve(images, kernel, strides=(1, 1), by=conv_general_dilated):
  return by(images, kernel, strides, 'SAME', dimension_numbers=_LAYOUT)


def _random(batch, size=(6, 5), kernel=(3, 3), channels=(2, 4)):
  keys = jax.random.split(jax.random.PRNGKey(0))
  return (
    jax.random.normal(keys[0], (batch, *size, channels[0])),
    jax.random.normal(keys[1], (*kernel, *channels)),
  )


def _square(by, strides=(1, 1)):
  return lambda *x: jnp.sum(_convolve(*x, strides, by) ** 2)


class ConvolutionTest(chex.TestCase):
  @chex.all_variants
  def test_by_hand(self):
    # One image of a row, a kernel that adds the pixel and its right neighbour.
    image = jnp.array([1.0, 2.0, 4.0]).reshape(1, 1, 3, 1)
    kernel = jnp.array([0.0, 1.0, 1.0]).reshape(1, 3, 1, 1)
    out, grads = self.variant(
      jax.value_and_grad(lambda k, x: jnp.sum(_convolve(x, k)))
    )(kernel, image)
    np.testing.assert_allclose(out, 3 + 6 + 4)
    # How often a kernel's entry meets which pixels: 1 + 2, 1 + 2 + 4, 2 + 4.
    np.testing.assert_allclose(jnp.ravel(grads)[:3], [3, 7, 6])


@pytest.mark.parametrize('batch', [1, 3, 8, 19])
@pytest.mark.parametrize('strides', [(1, 1), (2, 1)])
def test_values_and_gradients_are_those_of_lax(batch, strides):
  arguments = _random(batch)
  ours, wanted = (
    jax.value_and_grad(_square(by, strides), argnums=(0, 1))(*arguments)
    for by in (conv_general_dilated, jax.lax.conv_general_dilated)
  )
  chex.assert_trees_all_close(ours, wanted, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize('scale', [0.0, 1e-15, 1e15])
def test_extreme_images_have_finite_gradients(scale):
  images, kernel = _random(9)
  grads = jax.grad(_square(conv_general_dilated), argnums=(0, 1))(
    scale * images, kernel
  )
  chex.assert_tree_all_finite(grads)


@pytest.mark.parametrize(('platform', 'kernels'), [('cpu', 8), ('tpu', 1)])
def test_only_cpus_take_parts(platform, kernels):
  grad = jax.jit(jax.grad(_square(conv_general_dilated), argnums=(0, 1)))
  lowered = grad.trace(*_random(16)).lower(lowering_platforms=(platform,))
  # Forward and back to the images it is one each.
  assert lowered.as_text().count('stablehlo.convolution') == 2 + kernels
