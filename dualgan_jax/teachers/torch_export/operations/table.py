"""All operations that a file may use, by their names in PyTorch."""

import operator
from collections.abc import Callable
from typing import Any

from dualgan_jax.teachers.torch_export.operations import (
  activation,
  arithmetic,
  creation,
  linear,
  normalization,
  pooling,
  shape,
)

_PREFIX = 'torch.ops.aten.'
# Of the batch's size, that of a block of rows, and the like.
_NUMBERS = {
  '_operator.add': operator.add,
  '_operator.sub': operator.sub,
  '_operator.mul': operator.mul,
  '_operator.floordiv': operator.floordiv,
  '_operator.mod': operator.mod,
}
OPERATIONS: dict[str, Callable[..., Any]] = {
  **_NUMBERS,
  **{
    f'{_PREFIX}{name}': function
    for module in (
      activation,
      arithmetic,
      creation,
      linear,
      normalization,
      pooling,
      shape,
    )
    for name, function in module.OPERATIONS.items()
  },
}
# They check what is known before, and give nothing that others read.
CHECKS = frozenset(
  f'{_PREFIX}{name}'
  for name in (
    '_assert_scalar.default',
    '_assert_tensor_metadata.default',
    'sym_constrain_range_for_size.default',
    'sym_constrain_range.default',
  )
) | {f'_operator.{name}' for name in ('eq', 'ne', 'lt', 'le', 'gt', 'ge')}
SIZE = f'{_PREFIX}sym_size.int'


def is_inplace(target: str) -> bool:
  """Returns whether an operation changes its first argument, as `relu_`."""
  name = target.removeprefix(_PREFIX).partition('.')[0]
  return name.endswith('_') and not name.startswith('_')


def find(target: str) -> Callable[..., Any] | None:
  """Finds the function of an operation; None if it is not known.

  Args:
    target: as 'torch.ops.aten.relu_.default'. One that works in place computes
      the same numbers as the one that does not.
  """
  if target in OPERATIONS:
    return OPERATIONS[target]
  if not is_inplace(target):
    return None
  name, dot, overload = target.removeprefix(_PREFIX).partition('.')
  return OPERATIONS.get(f'{_PREFIX}{name[:-1]}{dot}{overload}')
