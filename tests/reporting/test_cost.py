"""Parameters and FLOPs are counted as by hand."""

import jax
import jax.numpy as jnp

from dualgan_jax.networks import classifier
from dualgan_jax.reporting import cost


def test_parameters_by_hand():
  net = classifier.create(
    kind='conv', widths=(2, 4), depths=(1, 1), strides=(2, 1), num_labels=3
  )
  variables = jax.eval_shape(lambda: net.init(jax.random.PRNGKey(0), (4, 4, 1)))
  # 3×3 kernels without bias, scale and bias per batch norm, a head on 2×2;
  # running averages are not learned.
  expected = (9 * 1 * 2 + 2 * 2) + (9 * 2 * 4 + 2 * 4) + (2 * 2 * 4 * 3 + 3)
  assert cost.count_parameters(variables) == expected


def test_parameters_of_arrays_in_any_tree():
  variables = {
    'params': {'kernel': jnp.zeros((3, 5))},
    'batch_stats': {'mean': jnp.zeros(5)},
  }
  assert (
    cost.count_parameters([variables, {'branch': (variables, variables)}]) == 45
  )


def test_a_number_is_a_parameter():
  assert (
    cost.count_parameters({'params': {'scale': 14.3, 'w': jnp.zeros(4)}}) == 5
  )


def test_parameters_of_nothing():
  assert cost.count_parameters(({}, ())) == 0


def test_flops_of_a_matrix_product():
  a = jax.ShapeDtypeStruct((2, 3), jnp.float32)
  b = jax.ShapeDtypeStruct((3, 4), jnp.float32)
  # 2 · 4 entries, three products and three sums each.
  assert cost.count_flops(jnp.matmul, a, b) == 2 * 4 * 3 * 2


def test_flops_of_a_convolution():
  x = jax.ShapeDtypeStruct((1, 6, 6, 2), jnp.float32)
  kernel = jax.ShapeDtypeStruct((1, 1, 2, 5), jnp.float32)

  def convolve(x, kernel):
    return jax.lax.conv_general_dilated(
      x, kernel, (2, 2), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )

  # 3 · 3 places, 5 · 2 multiply-adds each.
  assert cost.count_flops(convolve, x, kernel) == 3 * 3 * 5 * 2 * 2


def test_flops_take_pytrees():
  def heads(kernels, x):
    return [x @ kernel for kernel in kernels]

  kernels = [jnp.ones((3, 4)), jnp.ones((3, 1))]
  assert (
    cost.count_flops(heads, kernels, jnp.ones((2, 3))) == 2 * 3 * (4 + 1) * 2
  )


def test_flops_where_only_compiled_programs_are_counted(monkeypatch):
  # As on GPUs and TPUs.
  monkeypatch.setattr(jax.stages.Lowered, 'cost_analysis', lambda self: None)
  a = jax.ShapeDtypeStruct((2, 3), jnp.float32)
  b = jax.ShapeDtypeStruct((3, 4), jnp.float32)
  assert cost.count_flops(jnp.matmul, a, b) == 2 * 4 * 3 * 2


def test_a_net_that_prints_is_counted():
  def printing_net(images):
    jax.debug.print('{}', images[0, 0])
    return images @ images

  images = jax.ShapeDtypeStruct((4, 4), jnp.float32)
  # 16 sums of 4 products each; XLA takes one off for what it does not know.
  assert cost.count_flops(printing_net, images) == 2 * 16 * 4 - 1
