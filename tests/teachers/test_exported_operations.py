"""Each operation of torch.export files computes what PyTorch's does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dualgan_jax.teachers.torch_export.operations import (
  assignment,
  indexing,
  interpolation,
  linear,
  normalization,
  pooling,
  reductions,
  sampling,
  shape,
  table,
)
from dualgan_jax.teachers.torch_export.operations.unsupported import (
  Unsupported,
)
from tests.teachers import array_cases, layer_cases
from tests.teachers.layer_cases import numbers

CASES = {**layer_cases.CASES, **array_cases.CASES}


@pytest.mark.torch
@pytest.mark.parametrize('name', CASES)
def test_an_operation_computes_what_pytorch_does(name):
  import torch

  def to_torch(value):
    if isinstance(value, np.ndarray | np.generic):
      return torch.from_numpy(np.array(value))
    if isinstance(value, np.dtype):
      return torch.from_numpy(np.empty(0, value)).dtype
    if isinstance(value, list):
      return [to_torch(entry) for entry in value]
    return value

  def to_jax(value):
    if isinstance(value, np.ndarray | np.generic):
      return jnp.asarray(value)
    if isinstance(value, list):
      return [to_jax(entry) for entry in value]
    return value

  packet, _, overload = name.partition('.')
  operation = getattr(getattr(torch.ops.aten, packet), overload)
  function = table.find(f'torch.ops.aten.{name}')
  for case in CASES[name]:
    options = case[-1] if isinstance(case[-1], dict) else {}
    arguments = case[:-1] if options else case
    expected = operation(
      *map(to_torch, arguments),
      **{key: to_torch(value) for key, value in options.items()},
    )
    with jax.numpy_rank_promotion('allow'):
      actual = function(*map(to_jax, arguments), **options)
    pairs = (
      zip(actual, expected, strict=True)
      if isinstance(expected, tuple | list)
      else [(actual, expected)]
    )
    for our_result, their_result in pairs:
      # Of some, the places of maxima are left out.
      if our_result is not None:
        np.testing.assert_allclose(
          our_result, their_result.numpy(), rtol=1e-5, atol=1e-5, strict=False
        )
        assert our_result.shape == tuple(their_result.shape)


def test_every_function_is_compared():
  compared = {table.find(f'torch.ops.aten.{name}') for name in CASES}
  for name, function in table.OPERATIONS.items():
    # Python's own operators are of sizes, not of tensors.
    assert function in compared or name.startswith('_operator.'), name


def test_a_last_window_may_be_cut_off():
  rows = jnp.arange(5.0).reshape(1, 1, 1, 5)
  floor, ceiling = (
    pooling.max_pool(rows, [1, 2], ceil_mode=ceil_mode)
    for ceil_mode in (False, True)
  )
  np.testing.assert_array_equal(floor, [[[[1, 3]]]])
  np.testing.assert_array_equal(ceiling, [[[[1, 3, 4]]]])


def test_padded_zeros_count_in_a_mean_but_not_what_is_cut_off():
  rows = jnp.full((1, 1, 1, 4), 6.0)
  means = [
    pooling.avg_pool(rows, [1, 3], [1, 3], [0, 1], True, counts)
    for counts in (True, False)
  ]
  # The windows have 0 6 6 and 6 6 0.
  np.testing.assert_allclose(means[0], [[[[4, 4]]]])
  np.testing.assert_allclose(means[1], [[[[6, 6]]]])


def test_parts_of_an_adaptive_pool_may_overlap():
  rows = jnp.arange(5.0).reshape(1, 1, 1, 5)
  np.testing.assert_allclose(
    pooling.adaptive_avg_pool(rows, [1, 3]), [[[[0.5, 2, 3.5]]]]
  )


def test_rows_between_pixels_are_weighed_by_their_distance():
  row = jnp.asarray([0.0, 2]).reshape(1, 1, 1, 2)
  aligned, plain = (
    interpolation.upsample_bilinear2d(row, [1, 4], align_corners)
    for align_corners in (True, False)
  )
  np.testing.assert_allclose(aligned[0, 0, 0], [0, 2 / 3, 4 / 3, 2], rtol=1e-6)
  np.testing.assert_allclose(plain[0, 0, 0], [0, 0.5, 1.5, 2])


def test_a_transposed_convolution_spreads_each_pixel():
  row = jnp.asarray([1.0, 2]).reshape(1, 1, 1, 2)
  kernel = jnp.asarray([1.0, 10, 100]).reshape(1, 1, 1, 3)
  spread = linear.transposed_convolution(row, kernel, stride=(1, 2))
  np.testing.assert_allclose(spread[0, 0, 0], [1, 10, 102, 20, 200])
  cut_off = linear.transposed_convolution(row, kernel, None, (1, 2), (0, 1))
  np.testing.assert_allclose(cut_off[0, 0, 0], [10, 102, 20])


def test_weight_norm_gives_each_part_its_length():
  weights = linear.weight_norm(jnp.asarray([[3.0, 4]]), jnp.asarray([[10.0]]))
  np.testing.assert_allclose(weights, [[6, 8]])


def test_a_place_between_pixels_or_outside_of_them():
  row = jnp.asarray([1.0, 5]).reshape(1, 1, 1, 2)
  grid = jnp.asarray([[-1.0, 0], [0, 0], [9, 0]]).reshape(1, 1, 3, 2)
  for padding_mode, outside in ((0, 0), (1, 5)):
    sampled = sampling.grid_sample(row, grid, 0, padding_mode, True)
    np.testing.assert_allclose(sampled[0, 0, 0], [1, 3, outside])


def test_a_part_of_another_shape_is_not_repeated():
  with pytest.raises(AssertionError, match='shape'):
    assignment.slice_scatter(jnp.zeros((2, 3)), jnp.ones((2, 1)), 1, 0, 2)


def test_norms_have_a_gradient_at_zero():
  gradient = jax.grad(reductions.norm)(jnp.zeros(3))
  np.testing.assert_array_equal(gradient, 0)


def test_a_causal_query_sees_no_later_keys():
  values = jnp.arange(3.0).reshape(1, 3, 1)
  attended = linear.attention(0 * values, 0 * values, values, is_causal=True)
  np.testing.assert_allclose(attended[0, :, 0], [0, 0.5, 1])


def test_weights_may_be_normalised_by_their_own_moments():
  weights = jnp.asarray(numbers(1, 3, 8))
  standardized = normalization.standardized_weights(
    weights, None, None, None, None, True, 0.0, 1e-9
  )
  np.testing.assert_allclose(standardized.mean((0, 2)), 0, atol=1e-6)
  np.testing.assert_allclose(standardized.var((0, 2)), 1, rtol=1e-5)


def test_more_parts_than_a_net_needs_are_refused():
  rows = jax.ShapeDtypeStruct((2, 10_000), jnp.float32)
  for function, arguments in (
    (indexing.unbind, (1,)),
    (indexing.split, (1, 1)),
    (indexing.chunk, (9_000, 1)),
  ):
    with pytest.raises(Unsupported, match='more than 4,096 parts'):
      jax.eval_shape(lambda x, f=function, a=arguments: f(x, *a), rows)


def test_padding_beyond_the_axis_is_refused_at_once():
  # JAX would reflect it again and again.
  rows = jax.ShapeDtypeStruct((1, 1, 2, 3), jnp.float32)
  for mode, length in (('reflect', 3), ('circular', 2**30)):
    with pytest.raises(Unsupported, match='beyond the axis itself'):
      jax.eval_shape(lambda x, m=mode, n=length: shape.pad(x, [n, 0], m), rows)


def test_numbers_of_sizes_are_integers():
  # Python would repeat a list.
  multiply = table.find('_operator.mul')
  assert multiply(2, 3) == 6
  with pytest.raises(Unsupported, match='no integers'):
    multiply([1], 2**40)


def test_an_adaptive_pool_of_too_many_pixels_is_refused():
  rows = jax.ShapeDtypeStruct((1, 1, 1, 2**21), jnp.float32)
  with pytest.raises(Unsupported, match='4,096 parts of 2,097,152 pixels'):
    jax.eval_shape(lambda x: pooling.adaptive_avg_pool(x, [1, 4096]), rows)
