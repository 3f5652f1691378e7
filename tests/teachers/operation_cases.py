"""Arguments of each operation of torch.export files, to compare with PyTorch's.

A dict at the end of the arguments has those that have names.
"""

import numpy as np


def numbers(*lengths, positive=False, seed=0):
  """Draws numbers."""
  drawn = np.random.default_rng(seed).standard_normal(lengths)
  return (np.abs(drawn) + 0.1 if positive else drawn).astype(np.float32)


IMAGES = numbers(2, 4, 7, 6)
ROWS = numbers(2, 3, 4)
POSITIVE = numbers(2, 3, 4, positive=True)
MASK = ROWS > 0
BYTES = np.full((2, 3), 200, np.uint8)
# To add to scores; the first query sees no key.
BLIND = np.where(np.tri(7, k=-1), 0, -np.inf).astype(np.float32)
FOUR = numbers(4, seed=1)
MEAN, VAR = numbers(4, seed=2), numbers(4, positive=True, seed=3)
KERNEL = numbers(6, 4, 3, 3, seed=4)
DEPTHWISE = numbers(4, 1, 3, 3, seed=5)
MATRIX = numbers(5, 4, seed=6)
UP_KERNEL = numbers(4, 5, 3, 2, seed=7)
INTEGERS = np.array([[-7, -2, 0], [3, 5, 8]])
# By operation, sets of arguments.
CASES = {
  'conv1d.default': [(ROWS, numbers(5, 3, 3), numbers(5), [1], [1])],
  'conv2d.default': [
    (IMAGES, KERNEL, None),
    (IMAGES, KERNEL, numbers(6), [2, 2], [1, 1], [2, 2]),
    (IMAGES, DEPTHWISE, FOUR, [2, 1], [1, 0], [1, 1], 4),
  ],
  'conv2d.padding': [
    (IMAGES, numbers(6, 4, 4, 3), None, [1, 1], 'same'),
    (IMAGES, KERNEL, None, [2, 2], 'valid'),
  ],
  'conv_transpose1d.default': [(ROWS, numbers(3, 5, 3), numbers(5), [2], [1])],
  'conv_transpose2d.input': [
    (IMAGES, UP_KERNEL),
    (IMAGES, UP_KERNEL, numbers(5), [2, 3], [1, 0], [1, 2]),
    (IMAGES, UP_KERNEL, numbers(10), [2, 2], [1, 1], [1, 1], 2, [2, 1]),
  ],
  'convolution.default': [
    (IMAGES, KERNEL, None, [2, 1], [1, 1], [1, 1], False, [0, 0], 1),
    (IMAGES, UP_KERNEL, None, [2, 1], [1, 1], [1, 1], True, [1, 0], 2),
  ],
  '_weight_norm.default': [
    (KERNEL, numbers(6, 1, 1, 1)),
    (KERNEL, numbers(1, 4, 1, 1), 1),
    (FOUR, VAR, 0),
  ],
  '_weight_norm_interface.default': [(KERNEL, numbers(6, 1, 1, 1))],
  'norm_except_dim.default': [(KERNEL, 2, 1), (KERNEL, 2, -1)],
  'linear.default': [(ROWS, MATRIX), (ROWS, MATRIX, numbers(5))],
  'addmm.default': [(numbers(3, 5), ROWS[0], MATRIX.T)],
  'matmul.default': [(ROWS, ROWS.swapaxes(1, 2)), (ROWS, FOUR)],
  'mm.default': [(ROWS[0], MATRIX.T)],
  'bmm.default': [(ROWS, ROWS.swapaxes(1, 2))],
  'baddbmm.default': [
    (numbers(3, 3), ROWS, ROWS.swapaxes(1, 2), {'beta': 0.5, 'alpha': 2})
  ],
  'mv.default': [(MATRIX, FOUR)],
  'dot.default': [(FOUR, MEAN)],
  'vdot.default': [(FOUR, MEAN)],
  'outer.default': [(FOUR, numbers(3))],
  'cosine_similarity.default': [(ROWS, POSITIVE), (ROWS, FOUR, 2, 1e-3)],
  'einsum.default': [('nij,nkj->nik', [ROWS, ROWS])],
  'scaled_dot_product_attention.default': [
    (IMAGES, IMAGES, IMAGES),
    (IMAGES, IMAGES, IMAGES, numbers(7, 7)),
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
  'max_pool1d.default': [(ROWS, [2], [1])],
  'max_pool2d_with_indices.default': [(IMAGES, [3, 3], [2, 2], [1, 1])],
  'avg_pool1d.default': [(ROWS, [3], [1], [1])],
  'avg_pool3d.default': [(IMAGES[:, None], [3, 1, 1], [1, 1, 1], [1, 0, 0])],
  'avg_pool2d.default': [
    (IMAGES, [2, 2]),
    (IMAGES, [3, 3], [2, 2], [1, 1]),
    (IMAGES, [3, 3], [2, 2], [1, 1], False, False),
    (IMAGES, [3, 3], [2, 2], [1, 1], True, True),
    (IMAGES, [2, 2], [2, 2], [0, 0], True, False),
    (IMAGES, [2, 2], [2, 2], [0, 0], False, True, 3),
  ],
  '_adaptive_avg_pool2d.default': [(IMAGES, [3, 4])],
  'adaptive_avg_pool1d.default': [(ROWS, [3])],
  'adaptive_max_pool1d.default': [(ROWS, [3])],
  'adaptive_avg_pool2d.default': [
    (IMAGES, [1, 1]),
    (IMAGES, [3, 4]),
    (IMAGES, [9, 6]),
  ],
  'adaptive_max_pool2d.default': [(IMAGES, [1, 1]), (IMAGES, [3, 4])],
  'im2col.default': [
    (IMAGES, [3, 2], [1, 1], [0, 0], [1, 1]),
    (IMAGES, [3, 3], [2, 1], [1, 1], [2, 2]),
  ],
  'col2im.default': [
    (numbers(2, 12, 30), [7, 6], [3, 1], [1, 1], [0, 0], [1, 1])
  ],
  **{
    f'upsample_{name}2d.vec': [
      (IMAGES, [11, 4], True, None),
      (IMAGES, [11, 4], False, None),
      (IMAGES, None, True, [2.0, 2.0]),
      (IMAGES, None, False, [1.3, 0.6]),
      (IMAGES, None, False, [1.1, 1.7]),
      (IMAGES, [1, 13], True, None),
    ]
    for name in ('bilinear', 'bicubic')
  },
  '_upsample_nearest_exact2d.vec': [
    (IMAGES, [5, 9], None),
    (IMAGES, None, [2.0, 1.5]),
  ],
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
    (IMAGES, FOUR, MEAN, None, None, True, 0.1, 1e-3, True),
    (IMAGES, FOUR, None, MEAN, VAR, False, 0.1, 1e-3, True),
  ],
  '_native_batch_norm_legit_no_training.default': [
    (IMAGES, FOUR, FOUR, MEAN, VAR, 0.1, 1e-3)
  ],
  'native_layer_norm.default': [(ROWS, [4], FOUR, MEAN, 1e-3)],
  'native_group_norm.default': [(IMAGES, FOUR, MEAN, 2, 4, 42, 2, 1e-3)],
  **{
    f'{name}.default': [(10 * ROWS,)]
    for name in (
      *('relu', 'relu6', 'hardtanh', 'hardswish', 'hardsigmoid', 'silu'),
      *('mish', 'sigmoid', 'log_sigmoid', 'tanh', 'leaky_relu', 'elu', 'selu'),
      *('softplus', 'neg', 'abs', 'square', 'sin', 'cos', 'erf', 'celu'),
      *('hardshrink', 'softshrink', 'sign', 'floor', 'ceil', 'round', 'trunc'),
      *('frac', 'isnan', 'nan_to_num', 'atan', 'rrelu'),
    )
  },
  'hardtanh.default': [(10 * ROWS, 0.0, 6.0)],
  'gelu.default': [(ROWS,)],
  'elu.default': [(10 * ROWS,), (ROWS, 0.5, 2.0, 3.0)],
  'prelu.default': [(IMAGES, FOUR), (ROWS, FOUR[:1])],
  'softplus.default': [(10 * ROWS,), (ROWS, 2.0, 1.0)],
  'celu.default': [(ROWS, 0.5)],
  'threshold.default': [(ROWS, 0.1, -2.0)],
  'logit.default': [(ROWS, 0.1)],
  'glu.default': [(ROWS, 2)],
  'softmax.int': [(ROWS, -1), (ROWS, 1)],
  '_softmax.default': [(ROWS, 1, False)],
  '_log_softmax.default': [(ROWS, 1, False)],
  'log_softmax.int': [(ROWS, -1)],
  'add.Tensor': [(ROWS, FOUR), (ROWS, 2)],
  'sub.Tensor': [(ROWS, FOUR)],
  'rsub.Scalar': [(ROWS, 2, 3)],
  'mul.Tensor': [(ROWS, FOUR), (ROWS, 2.0)],
  'div.Tensor': [(ROWS, POSITIVE), (ROWS, 2)],
  'div.Tensor_mode': [
    (ROWS, POSITIVE, {'rounding_mode': 'floor'}),
    (ROWS, POSITIVE, {'rounding_mode': 'trunc'}),
  ],
  'div.Scalar_mode': [(ROWS, 0.3, {'rounding_mode': 'floor'})],
  'floor_divide.default': [(ROWS, -POSITIVE), (INTEGERS, -INTEGERS - 4)],
  'floor_divide.Scalar': [(ROWS, 0.3), (INTEGERS, 2)],
  'remainder.Tensor': [(ROWS, -POSITIVE), (INTEGERS, INTEGERS - 4)],
  'remainder.Scalar': [(ROWS, -0.3), (INTEGERS, 2)],
  'remainder.Scalar_Tensor': [(2.5, POSITIVE)],
  'fmod.Tensor': [(ROWS, -POSITIVE)],
  'fmod.Scalar': [(ROWS, -0.3)],
  'pow.Tensor_Scalar': [(ROWS, 2), (POSITIVE, 0.5)],
  'pow.Tensor_Tensor': [(POSITIVE, ROWS)],
  'pow.Scalar': [(2, ROWS)],
  **{
    f'{name}.default': [(POSITIVE,)]
    for name in (
      *('exp', 'exp2', 'expm1', 'log', 'log1p', 'log2', 'log10', 'sqrt'),
      *('rsqrt', 'reciprocal', 'tan', 'sinh', 'cosh'),
    )
  },
  'clamp.default': [(ROWS, -0.5, 0.5), (ROWS, None, 0.5), (ROWS, -0.5)],
  'clamp_min.default': [(ROWS, 0.1)],
  'clamp_max.default': [(ROWS, 0.1)],
  'maximum.default': [(ROWS, POSITIVE)],
  'minimum.default': [(ROWS, POSITIVE)],
  'addcmul.default': [(ROWS, ROWS, FOUR)],
  'addcdiv.default': [(ROWS, ROWS, POSITIVE, {'value': 0.5})],
  'lerp.Tensor': [(ROWS, POSITIVE, FOUR)],
  'lerp.Scalar': [(ROWS, POSITIVE, 0.3)],
  'atan2.default': [(ROWS, POSITIVE)],
  'where.self': [
    (MASK, ROWS, POSITIVE),
    (MASK, ROWS, FOUR),
    (MASK[:, :1], ROWS, np.float32(0.5)),
  ],
  'where.Scalar': [(MASK, 1.0, -2.0)],
  'where.ScalarSelf': [(MASK, 1.0, ROWS)],
  'where.ScalarOther': [(MASK, ROWS, 1.0)],
  'masked_fill.Scalar': [(ROWS, MASK, -3.0)],
  'fill.Scalar': [(ROWS, 2.0)],
  'logical_not.default': [(MASK,)],
  'bitwise_not.default': [(MASK,)],
  **{
    f'{name}.{overload}': [(MASK, ROWS > 1)]
    for names, overload in (
      (('logical_and', 'logical_or', 'logical_xor'), 'default'),
      (('bitwise_and', 'bitwise_or', 'bitwise_xor'), 'Tensor'),
    )
    for name in names
  },
  'cumsum.default': [(ROWS, 1), (BYTES, 1)],
  'gt.Scalar': [(ROWS, 0)],
  'le.Tensor': [(ROWS, POSITIVE)],
  'mean.default': [(ROWS,)],
  'mean.dim': [(IMAGES, [2, 3]), (IMAGES, [-1, -2], True)],
  'sum.default': [(ROWS,), (BYTES,), (MASK,)],
  'sum.dim_IntList': [(ROWS, [1])],
  'prod.default': [(ROWS,), (MASK,)],
  'prod.dim_int': [(ROWS, 1), (ROWS, -1, True)],
  **{
    f'{name}.{overload}': arguments
    for name in ('var', 'std', 'var_mean', 'std_mean')
    for overload, arguments in (
      ('default', [(ROWS,), (ROWS, False)]),
      ('dim', [(ROWS, [1]), (ROWS, [1, 2], False, True)]),
      ('correction', [(ROWS, [1]), (ROWS, [1], {'correction': 2})]),
    )
  },
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
  'min.dim': [(ROWS, 1)],
  'all.default': [(MASK,)],
  'all.dim': [(MASK, 1)],
  'any.default': [(MASK,)],
  'any.dim': [(MASK, 1, True)],
  'logsumexp.default': [(ROWS, [1]), (ROWS, [1], True)],
  'view.default': [(ROWS, [2, -1])],
  'reshape.default': [(ROWS, [-1, 6])],
  'reshape_as.default': [(ROWS, ROWS.reshape(6, 4))],
  'flatten.using_ints': [(IMAGES, 1), (IMAGES, 1, 2), (IMAGES,)],
  'unflatten.int': [(IMAGES, 1, [2, -1])],
  'permute.default': [(IMAGES, [0, 2, 3, 1])],
  'transpose.int': [(IMAGES, 1, -1)],
  't.default': [(MATRIX,)],
  'swapdims.default': [(IMAGES, 1, -1)],
  'movedim.intlist': [(IMAGES, [1, 2], [-1, 0])],
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
  'narrow.default': [(IMAGES, 2, 1, 3), (IMAGES, 2, -3, 3)],
  'slice_scatter.default': [
    (IMAGES, IMAGES[:, :, 1:5:2] + 1, 2, 1, 5, 2),
    (IMAGES, IMAGES[..., -2:] + 1, 3, -2, 2**63 - 1),
  ],
  'select_scatter.default': [(ROWS, ROWS[:, 0] + 1, 1, -1)],
  'index_put.default': [
    (ROWS, [None, np.array([2, 0])], FOUR),
    (ROWS, [None, np.array([2, 2])], FOUR, True),
    (ROWS, [MASK], np.float32(0.5)),
    (ROWS, [None, MASK[0, :, 0]], np.float32(0.5), True),
  ],
  'index_fill.int_Scalar': [(ROWS, -1, np.array([2, 0]), 0.5)],
  'copy.default': [(ROWS, FOUR), (ROWS, BYTES[:, :, None])],
  'expand.default': [(ROWS[:, :1], [-1, 3, -1]), (FOUR, [2, 3, 4])],
  'expand_as.default': [(FOUR, ROWS)],
  'broadcast_to.default': [(FOUR, [2, 3, 4])],
  'tile.default': [(FOUR, [2, 3])],
  'repeat_interleave.self_int': [(ROWS, 2), (ROWS, 2, 1)],
  'unfold.default': [(IMAGES, 2, 3, 2), (IMAGES, -1, 2, 2)],
  'tril.default': [(ROWS,), (ROWS, -1)],
  'triu.default': [(ROWS, 1)],
  'meshgrid.indexing': [([FOUR, MEAN[:3]], {'indexing': 'xy'})],
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
  'embedding.default': [(MATRIX, np.array([[2, 0], [4, 2]]))],
  'gather.default': [(ROWS, 1, np.array([[[0, 2], [1, 1]]]))],
  'pixel_unshuffle.default': [(IMAGES[:, :, :6], 2)],
  'pixel_shuffle.default': [(IMAGES, 2)],
  'channel_shuffle.default': [(IMAGES, 2)],
  'zeros_like.default': [(ROWS,)],
  'ones_like.default': [(ROWS,)],
  'new_zeros.default': [(ROWS, [2, 3])],
  'new_ones.default': [(ROWS, [2, 3])],
  'full_like.default': [(ROWS, 2.5)],
  'new_full.default': [(ROWS, [2, 3], 2.5)],
  'linspace.default': [(-1, 2.0, 5)],
  'eye.default': [(3,)],
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
