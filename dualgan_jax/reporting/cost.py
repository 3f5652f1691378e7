"""Measures the cost of a net: parameters and floating-point operations."""

import contextlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np


def count_parameters(variables: Any) -> int:
  """Counts learned values: all leaves but batch norm's running averages.

  Args:
    variables: any pytree of arrays and numbers.
  """
  return sum(
    np.size(leaf)
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables)
    if not any(getattr(entry, 'key', None) == 'batch_stats' for entry in path)
  )


def count_flops(function: Callable[..., Any], *arguments: Any) -> int:
  """Counts the FLOPs of one call, as XLA does before it optimises.

  What a net computes in another way on CPUs counts as it is written. If
  JAX_PLATFORMS leaves the CPU out, the count is that of a program compiled for
  the device, and may differ.

  Args:
    function: any jittable function.
    *arguments: arrays or `jax.ShapeDtypeStruct`s; nothing is computed.
  """
  shapes = jax.eval_shape(lambda *arrays: arrays, *arguments)
  # The same device everywhere, so that tables of several machines agree.
  try:
    device = jax.local_devices(backend='cpu')[0]
  except RuntimeError:
    device = jax.local_devices()[0]
  with jax.default_device(device):
    traced = jax.jit(function).trace(*shapes)
    lowered = traced.lower()
    if device.platform == 'cpu':
      # A TPU's program has no tricks for CPUs; nothing is compiled for it. One
      # that calls the host, as `jax.debug.print` does, is for its own device.
      with contextlib.suppress(ValueError):
        lowered = traced.lower(lowering_platforms=('tpu',))
  # GPUs and TPUs count only programs that they have compiled.
  cost_analysis = lowered.cost_analysis() or lowered.compile().cost_analysis()
  # Where nothing is computed, as by a block that only selects, there is none.
  return int(cost_analysis.get('flops', 0))
