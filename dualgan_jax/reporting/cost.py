"""What a net costs: parameters and floating-point operations."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np


def parameters(variables: Any) -> int:
  """Number of learned values: all leaves but batch norm's running averages."""
  return sum(
    np.size(leaf)
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables)
    if not any(getattr(k, 'key', None) == 'batch_stats' for k in path)
  )


def flops(fn: Callable[..., Any], *args: Any) -> int:
  """FLOPs of one call, as XLA counts them for a CPU before it optimises.

  Where JAX_PLATFORMS leaves the CPU out, as it counts them in what it made.

  Args:
    fn: any jittable function.
    *args: arrays or `jax.ShapeDtypeStruct`s; nothing is computed.
  """
  shapes = jax.eval_shape(lambda *x: x, *args)
  try:
    device = jax.local_devices(backend='cpu')[0]
  except RuntimeError:
    device = jax.local_devices()[0]
  with jax.default_device(device):
    lowered = jax.jit(fn).lower(*shapes)
  # GPUs and TPUs count only what they have compiled.
  counted = lowered.cost_analysis() or lowered.compile().cost_analysis()
  return int(counted['flops'])
