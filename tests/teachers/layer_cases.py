"""Arguments of operations of layers, to compare with PyTorch's.

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
  'affine_grid_generator.default': [
    (numbers(2, 2, 3), [2, 4, 5, 6], False),
    (numbers(2, 2, 3), [2, 4, 1, 6], True),
  ],
  'grid_sampler.default': [
    (IMAGES, 0.8 * numbers(2, 3, 5, 2), *options)
    for options in (
      *((0, 0, False), (0, 0, True), (0, 1, False), (0, 1, True)),
      *((1, 0, False), (1, 1, True)),
    )
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
}
