"""A convolution of few channels, which CPUs compute as one of more channels."""

from typing import Any

import chex
import jax
import jax.numpy as jnp

_LAYOUT = ('NHWC', 'HWIO', 'NHWC')
# Height and width of a square of pixels.
_SIZE = 2
# Beyond these it is slower: the kernel gets zeros, which are multiplied, too.
_MOST_INPUTS, _MOST_OUTPUTS = 7, 16


def conv_general_dilated(
  lhs: chex.Array,
  rhs: chex.Array,
  window_strides: tuple[int, ...],
  padding: Any,
  **options: Any,
) -> chex.Array:
  """Convolves as `jax.lax.conv_general_dilated` does, for use in `nn.Conv`.

  XLA's CPU backend computes several channels at once, and of few channels it
  makes little: the convolutions of LeNet-5 reach a tenth of its speed. So where
  channels are few, squares of 2×2 pixels become pixels of four times as many
  channels, in the images, in the kernel and in the output. The sums are the
  same. With batch 128 on one core of an AMD EPYC, LeNet's first convolution and
  its gradients took 44 ms, and 9 ms so; its second 13 and 7 ms.

  Args:
    lhs: images, [N, h, w, c].
    rhs: the kernel, [kh, kw, c, features].
    window_strides: as in JAX.
    padding: as in JAX.
    **options: as in JAX.

  Returns:
    [N, h', w', features].
  """

  def convolve(lhs, rhs):
    return jax.lax.conv_general_dilated(
      lhs, rhs, window_strides, padding, **options
    )

  if not _is_thin(rhs, window_strides, **options):
    return convolve(lhs, rhs)

  def convolve_squares(lhs, rhs):
    pads = padding
    if isinstance(padding, str):
      pads = jax.lax.padtype_to_pads(
        lhs.shape[1:3], rhs.shape[:2], window_strides, padding
      )
    return _convolve_squares(lhs, rhs, pads, options.get('precision'))

  return jax.lax.platform_dependent(
    lhs, rhs, cpu=convolve_squares, default=convolve
  )


def _is_thin(
  kernel: chex.Array,
  strides: tuple[int, ...],
  *,
  lhs_dilation: Any = None,
  rhs_dilation: Any = None,
  dimension_numbers: Any = None,
  feature_group_count: int = 1,
  batch_group_count: int = 1,
  **options: Any,
) -> bool:
  """Returns whether a convolution is a plain one of few channels."""
  del dimension_numbers, options  # those of `nn.Conv` are always `_LAYOUT`
  if kernel.ndim != 4 or max(kernel.shape[:2]) == 1:
    return False
  num_inputs, num_outputs = kernel.shape[2:]
  ones = (1, 1)
  return (
    num_inputs <= _MOST_INPUTS
    and num_outputs <= _MOST_OUTPUTS
    and (*strides,) == ones
    and (*(lhs_dilation or ones),) == ones
    and (*(rhs_dilation or ones),) == ones
    and feature_group_count == batch_group_count == 1
  )


def _convolve_squares(
  images: chex.Array, kernel: chex.Array, pads: Any, precision: Any
) -> chex.Array:
  """Convolves squares of pixels instead of pixels."""
  out_sizes = [
    size + sum(pad) - kernel_size + 1
    for size, pad, kernel_size in zip(images.shape[1:3], pads, kernel.shape)
  ]
  # Squares of the output, and those of the kernel, wherever it begins in one.
  out_squares = [-(-size // _SIZE) for size in out_sizes]
  kernel_squares = [
    -(-(size + _SIZE - 1) // _SIZE) for size in kernel.shape[:2]
  ]
  # The last squares may hang over the edge.
  whole_pads = [
    (first, _SIZE * (out + window - 1) - size - first)
    for size, (first, _), out, window in zip(
      images.shape[1:3], pads, out_squares, kernel_squares
    )
  ]
  outputs = jax.lax.conv_general_dilated(
    _merge_pixels(jnp.pad(images, ((0, 0), *whole_pads, (0, 0)))),
    _make_square_kernel(kernel, kernel_squares),
    (1, 1),
    'VALID',
    dimension_numbers=_LAYOUT,
    precision=precision,
  )
  return _split_pixels(outputs)[:, : out_sizes[0], : out_sizes[1]]


def _merge_pixels(images: chex.Array) -> chex.Array:
  """Makes pixels of squares, [N, 2h, 2w, c] to [N, h, w, 4c]."""
  num_images, height, width, channels = images.shape
  squares = images.reshape(
    num_images, height // _SIZE, _SIZE, width // _SIZE, _SIZE, channels
  )
  return squares.transpose(0, 1, 3, 2, 4, 5).reshape(
    num_images, height // _SIZE, width // _SIZE, _SIZE**2 * channels
  )


def _split_pixels(images: chex.Array) -> chex.Array:
  """Inverts `_merge_pixels`."""
  num_images, height, width, channels = images.shape
  squares = images.reshape(
    num_images, height, width, _SIZE, _SIZE, channels // _SIZE**2
  )
  return squares.transpose(0, 1, 3, 2, 4, 5).reshape(
    num_images, _SIZE * height, _SIZE * width, channels // _SIZE**2
  )


def _make_square_kernel(
  kernel: chex.Array, num_squares: list[int]
) -> chex.Array:
  """Arranges a kernel for squares, [kh, kw, c, f] to [Kh, Kw, 4c, 4f].

  A pixel of an output square sees the kernel begin at its own place, row or
  column 0 or 1, of the first input square.
  """
  height, width, num_inputs, num_outputs = kernel.shape
  places = [(row, column) for row in range(_SIZE) for column in range(_SIZE)]
  shifted_kernels = [
    jnp.pad(
      kernel,
      (
        (row, _SIZE * num_squares[0] - height - row),
        (column, _SIZE * num_squares[1] - width - column),
        (0, 0),
        (0, 0),
      ),
    )
    for row, column in places
  ]
  # Along the first axis, pixels of the output; the kernels are as images.
  merged = _merge_pixels(
    jnp.stack(shifted_kernels).reshape(
      len(places),
      _SIZE * num_squares[0],
      _SIZE * num_squares[1],
      num_inputs * num_outputs,
    )
  ).reshape(len(places), *num_squares, len(places) * num_inputs, num_outputs)
  return merged.transpose(1, 2, 3, 0, 4).reshape(
    *num_squares, len(places) * num_inputs, len(places) * num_outputs
  )
