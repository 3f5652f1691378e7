"""Each operation of torch.export files computes what PyTorch's does."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dualgan_jax.teachers.torch_export.operations import (
  linear,
  normalization,
  pooling,
  shape,
  table,
)
from dualgan_jax.teachers.torch_export.operations.unsupported import (
  Unsupported,
)

_HAS_TORCH = importlib.util.find_spec('torch') is not None


def _numbers(*lengths, positive=False, seed=0):
  numbers = np.random.default_rng(seed).standard_normal(lengths)
  return (np.abs(numbers) + 0.1 if positive else numbers).astype(np.float32)


IMAGES = _numbers(2, 4, 7, 6)
ROWS = _numbers(2, 3, 4)
POSITIVE = _numbers(2, 3, 4, positive=True)
MASK = ROWS > 0
BYTES = np.full((2, 3), 200, np.uint8)
# To add to scores; the first query sees no key.
BLIND = np.where(np.tri(7, k=-1), 0, -np.inf).astype(np.float32)
FOUR = _numbers(4, seed=1)
MEAN, VAR = _numbers(4, seed=2), _numbers(4, positive=True, seed=3)
KERNEL = _numbers(6, 4, 3, 3, seed=4)
DEPTHWISE = _numbers(4, 1, 3, 3, seed=5)
MATRIX = _numbers(5, 4, seed=6)
# By operation, sets of arguments.
CASES = {
  'conv1d.default': [(ROWS, _numbers(5, 3, 3), _numbers(5), [1], [1])],
  'conv2d.default': [
    (IMAGES, KERNEL, None),
    (IMAGES, KERNEL, _numbers(6), [2, 2], [1, 1], [2, 2]),
    (IMAGES, DEPTHWISE, FOUR, [2, 1], [1, 0], [1, 1], 4),
  ],
  'conv2d.padding': [
    (IMAGES, _numbers(6, 4, 4, 3), None, [1, 1], 'same'),
    (IMAGES, KERNEL, None, [2, 2], 'valid'),
  ],
  'linear.default': [(ROWS, MATRIX), (ROWS, MATRIX, _numbers(5))],
  'addmm.default': [(_numbers(3, 5), ROWS[0], MATRIX.T)],
  'matmul.default': [(ROWS, ROWS.swapaxes(1, 2)), (ROWS, FOUR)],
  'mm.default': [(ROWS[0], MATRIX.T)],
  'bmm.default': [(ROWS, ROWS.swapaxes(1, 2))],
  'einsum.default': [('nij,nkj->nik', [ROWS, ROWS])],
  'scaled_dot_product_attention.default': [
    (IMAGES, IMAGES, IMAGES),
    (IMAGES, IMAGES, IMAGES, _numbers(7, 7)),
    (IMAGES, IMAGES, IMAGES, np.tri(7, dtype=bool)),
    (IMAGES, IMAGES, IMAGES, None, 0.0, True),
    (IMAGES, IMAGES, IMAGES, BLIND == 0),
    (IMAGES, IMAGES, IMAGES, BLIND),
  ],
  'max_pool2d.default': [
    (IMAGES, [2, 2]),
    (IMAGES, [3, 3], [2, 2], [1, 1]),
    (IMAGES, [3, 2], [2, 2], [1, 1], [2, 1]),
    (IMAGES, [3, 3], [2, 2], [0, 0], [1, 1], True),
    (IMAGES, [2, 2], [3, 3], [1, 1], [1, 1], True),
  ],
  'avg_pool2d.default': [
    (IMAGES, [2, 2]),
    (IMAGES, [3, 3], [2, 2], [1, 1]),
    (IMAGES, [3, 3], [2, 2], [1, 1], False, False),
    (IMAGES, [3, 3], [2, 2], [1, 1], True, True),
    (IMAGES, [2, 2], [2, 2], [0, 0], True, False),
    (IMAGES, [2, 2], [2, 2], [0, 0], False, True, 3),
  ],
  'adaptive_avg_pool2d.default': [
    (IMAGES, [1, 1]),
    (IMAGES, [3, 4]),
    (IMAGES, [9, 6]),
  ],
  'adaptive_max_pool2d.default': [(IMAGES, [1, 1]), (IMAGES, [3, 4])],
  'upsample_nearest2d.vec': [
    (IMAGES, [14, 12], None),
    (IMAGES, None, [2.0, 1.5]),
    (IMAGES, [5, 9], None),
    # Rows whose place is a whole number but for a rounding.
    (IMAGES[:, :, :2, :4], [94, 82], None),
    (IMAGES[:, :, :2, :3], None, [1.1, 2.1]),
  ],
  'batch_norm.default': [
    (IMAGES, FOUR, FOUR, MEAN, VAR, False, 0.1, 1e-3, True),
    (ROWS.swapaxes(1, 2), None, None, MEAN, VAR, False, 0.1, 1e-5, True),
  ],
  'layer_norm.default': [(ROWS, [4], FOUR, MEAN, 1e-3), (IMAGES, [7, 6])],
  'rms_norm.default': [(ROWS, [4], FOUR, 1e-3), (ROWS, [4])],
  'group_norm.default': [(IMAGES, 2, FOUR, MEAN, 1e-3), (IMAGES, 1)],
  'instance_norm.default': [
    (IMAGES, FOUR, MEAN, None, None, True, 0.1, 1e-3, True)
  ],
  **{
    f'{name}.default': [(10 * ROWS,)]
    for name in (
      *('relu', 'relu6', 'hardtanh', 'hardswish', 'hardsigmoid', 'silu'),
      *('mish', 'sigmoid', 'log_sigmoid', 'tanh', 'leaky_relu', 'elu', 'selu'),
      *('softplus', 'neg', 'abs', 'square', 'sin', 'cos', 'erf'),
    )
  },
  'hardtanh.default': [(10 * ROWS, 0.0, 6.0)],
  'gelu.default': [(ROWS,)],
  'elu.default': [(10 * ROWS,), (ROWS, 0.5, 2.0, 3.0)],
  'prelu.default': [(IMAGES, FOUR), (ROWS, FOUR[:1])],
  'softplus.default': [(10 * ROWS,), (ROWS, 2.0, 1.0)],
  'glu.default': [(ROWS, 2)],
  'softmax.int': [(ROWS, -1), (ROWS, 1)],
  'log_softmax.int': [(ROWS, -1)],
  'add.Tensor': [(ROWS, FOUR), (ROWS, 2)],
  'sub.Tensor': [(ROWS, FOUR)],
  'rsub.Scalar': [(ROWS, 2, 3)],
  'mul.Tensor': [(ROWS, FOUR), (ROWS, 2.0)],
  'div.Tensor': [(ROWS, POSITIVE), (ROWS, 2)],
  'div.Tensor_mode': [],
  'pow.Tensor_Scalar': [(ROWS, 2), (POSITIVE, 0.5)],
  'pow.Tensor_Tensor': [(POSITIVE, ROWS)],
  'pow.Scalar': [(2, ROWS)],
  **{
    f'{name}.default': [(POSITIVE,)]
    for name in ('exp', 'log', 'sqrt', 'rsqrt', 'reciprocal')
  },
  'clamp.default': [(ROWS, -0.5, 0.5), (ROWS, None, 0.5), (ROWS, -0.5)],
  'clamp_min.default': [(ROWS, 0.1)],
  'clamp_max.default': [(ROWS, 0.1)],
  'maximum.default': [(ROWS, POSITIVE)],
  'minimum.default': [(ROWS, POSITIVE)],
  'addcmul.default': [(ROWS, ROWS, FOUR)],
  'where.self': [(MASK, ROWS, POSITIVE)],
  'masked_fill.Scalar': [(ROWS, MASK, -3.0)],
  'fill.Scalar': [(ROWS, 2.0)],
  'logical_not.default': [(MASK,)],
  'bitwise_not.default': [(MASK,)],
  'cumsum.default': [(ROWS, 1), (BYTES, 1)],
  'gt.Scalar': [(ROWS, 0)],
  'le.Tensor': [(ROWS, POSITIVE)],
  'mean.default': [(ROWS,)],
  'mean.dim': [(IMAGES, [2, 3]), (IMAGES, [-1, -2], True)],
  'sum.default': [(ROWS,), (BYTES,), (MASK,)],
  'sum.dim_IntList': [(ROWS, [1])],
  'var.correction': [(ROWS, [1])],
  'std.correction': [(ROWS, [1, 2])],
  'var_mean.correction': [(ROWS, [1])],
  'linalg_vector_norm.default': [
    (ROWS,),
    (ROWS, 2, [-1], True),
    (ROWS, 1, [1]),
    (ROWS, np.inf, [1]),
    (ROWS, -np.inf, [1]),
    (np.maximum(ROWS, 0), 0, [1]),
  ],
  'amax.default': [(ROWS, [1])],
  'amin.default': [(ROWS, [1, 2], True)],
  'max.default': [(ROWS,)],
  'max.dim': [(ROWS, 1), (ROWS, -1, True)],
  'logsumexp.default': [(ROWS, [1]), (ROWS, [1], True)],
  'view.default': [(ROWS, [2, -1])],
  'reshape.default': [(ROWS, [-1, 6])],
  'reshape_as.default': [(ROWS, ROWS.reshape(6, 4))],
  'flatten.using_ints': [(IMAGES, 1), (IMAGES, 1, 2), (IMAGES,)],
  'unflatten.int': [(IMAGES, 1, [2, -1])],
  'permute.default': [(IMAGES, [0, 2, 3, 1])],
  'transpose.int': [(IMAGES, 1, -1)],
  't.default': [(MATRIX,)],
  'movedim.int': [(IMAGES, 1, -1)],
  'unsqueeze.default': [(ROWS, -1)],
  'squeeze.dims': [(ROWS[:, :1], [1, 2])],
  'cat.default': [([ROWS, POSITIVE], 1), ([ROWS, POSITIVE], -1)],
  'stack.default': [([ROWS, POSITIVE], 1)],
  'split.Tensor': [(IMAGES, 3, 2)],
  'split_with_sizes.default': [(IMAGES, [3, 4], 2)],
  'chunk.default': [(IMAGES, 3, 2), (IMAGES, 2, 1)],
  'unbind.int': [(ROWS, 1)],
  'select.int': [(ROWS, 1, -1)],
  'slice.Tensor': [(IMAGES, 2, 1, 5, 2), (IMAGES, 3, -2, 2**63 - 1), (IMAGES,)],
  'narrow.default': [(IMAGES, 2, 1, 3)],
  'expand.default': [(ROWS[:, :1], [-1, 3, -1]), (FOUR, [2, 3, 4])],
  'expand_as.default': [(FOUR, ROWS)],
  'repeat.default': [(FOUR, [2, 3, 1])],
  'pad.default': [
    (IMAGES, [1, 2, 0, 1]),
    (IMAGES, [-1, 0, 0, 1], 'constant', 2.0),
    (IMAGES, [1, 2, 2, 1], 'reflect'),
    (IMAGES, [1, 2, 2, 1], 'replicate'),
    (IMAGES, [1, 2, 2, 1], 'circular'),
  ],
  'constant_pad_nd.default': [(IMAGES, [0, 0, 0, 0, 1, 1], 0)],
  'roll.default': [(IMAGES, [1, -2], [2, 3])],
  'flip.default': [(IMAGES, [2])],
  'index.Tensor': [(ROWS, [None, np.array([2, 0])])],
  'index_select.default': [(ROWS, 1, np.array([2, 0, 2]))],
  'pixel_shuffle.default': [(IMAGES, 2)],
  'channel_shuffle.default': [(IMAGES, 2)],
  'zeros_like.default': [(ROWS,)],
  'ones_like.default': [(ROWS,)],
  'new_zeros.default': [(ROWS, [2, 3])],
  'new_ones.default': [(ROWS, [2, 3])],
  'zeros.default': [([2, 3],)],
  'ones.default': [([2, 3],)],
  'full.default': [([2, 3], 4.5)],
  'arange.default': [(5,)],
  'arange.start': [(2, 5)],
  'arange.start_step': [(2, 9, 3)],
  'dropout.default': [(ROWS, 0.5, False)],
  'contiguous.default': [(ROWS,)],
  'clone.default': [(ROWS,)],
  'detach.default': [(ROWS,)],
  'type_as.default': [(ROWS, MASK.astype(np.int32))],
}


@pytest.mark.torch
@pytest.mark.parametrize('name', CASES)
def test_an_operation_computes_what_pytorch_does(name):
  import torch

  def to_torch(value):
    if isinstance(value, np.ndarray):
      return torch.from_numpy(value.copy())
    if isinstance(value, list):
      return [to_torch(entry) for entry in value]
    return value

  packet, _, overload = name.partition('.')
  operation = getattr(getattr(torch.ops.aten, packet), overload)
  function = table.find(f'torch.ops.aten.{name}')
  for arguments in CASES[name]:
    expected = operation(*map(to_torch, arguments))
    with jax.numpy_rank_promotion('allow'):
      actual = function(
        *(
          jnp.asarray(argument)
          if isinstance(argument, np.ndarray)
          else argument
          for argument in arguments
        )
      )
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


def test_a_last_window_may_be_cut_off():
  rows = jnp.arange(5.0).reshape(1, 1, 1, 5)
  floor, ceiling = (
    pooling.max_pool2d(rows, [1, 2], ceil_mode=ceil_mode)
    for ceil_mode in (False, True)
  )
  np.testing.assert_array_equal(floor, [[[[1, 3]]]])
  np.testing.assert_array_equal(ceiling, [[[[1, 3, 4]]]])


def test_padded_zeros_count_in_a_mean_but_not_what_is_cut_off():
  rows = jnp.full((1, 1, 1, 4), 6.0)
  means = [
    pooling.avg_pool2d(rows, [1, 3], [1, 3], [0, 1], True, counts)
    for counts in (True, False)
  ]
  # The windows have 0 6 6 and 6 6 0.
  np.testing.assert_allclose(means[0], [[[[4, 4]]]])
  np.testing.assert_allclose(means[1], [[[[6, 6]]]])


def test_parts_of_an_adaptive_pool_may_overlap():
  rows = jnp.arange(5.0).reshape(1, 1, 1, 5)
  np.testing.assert_allclose(
    pooling.adaptive_avg_pool2d(rows, [1, 3]), [[[[0.5, 2, 3.5]]]]
  )


def test_a_causal_query_sees_no_later_keys():
  values = jnp.arange(3.0).reshape(1, 3, 1)
  attended = linear.attention(0 * values, 0 * values, values, is_causal=True)
  np.testing.assert_allclose(attended[0, :, 0], [0, 0.5, 1])


def test_weights_may_be_normalised_by_their_own_moments():
  weights = jnp.asarray(_numbers(1, 3, 8))
  standardized = normalization.standardized_weights(
    weights, None, None, None, None, True, 0.0, 1e-9
  )
  np.testing.assert_allclose(standardized.mean((0, 2)), 0, atol=1e-6)
  np.testing.assert_allclose(standardized.var((0, 2)), 1, rtol=1e-5)


def test_more_parts_than_a_net_needs_are_refused():
  rows = jax.ShapeDtypeStruct((2, 10_000), jnp.float32)
  for function, arguments in (
    (shape.unbind, (1,)),
    (shape.split, (1, 1)),
    (shape.chunk, (9_000, 1)),
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
    jax.eval_shape(lambda x: pooling.adaptive_avg_pool2d(x, [1, 4096]), rows)
