"""What a net costs: parameters and floating-point operations."""

from collections.abc import Callable
from typing import Any

import jax


def parameters(variables: Any) -> int:
  """Number of learned values: all leaves but batch norm's running averages."""
  return sum(
    leaf.size
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables)
    if not any(getattr(k, 'key', None) == 'batch_stats' for k in path)
  )


def flops(fn: Callable[..., Any], *args: Any) -> int:
  """FLOPs of one call, as XLA counts them before it optimises.

  Args:
    fn: any jittable function.
    *args: arrays or `jax.ShapeDtypeStruct`s; nothing is computed.
  """
  return int(jax.jit(fn).lower(*args).cost_analysis()['flops'])
