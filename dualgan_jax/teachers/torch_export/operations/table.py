"""All operations that a file may use, by their names in PyTorch."""

import operator
from collections.abc import Callable
from typing import Any

from dualgan_jax.teachers.torch_export.operations import (
  activation,
  arithmetic,
  assignment,
  creation,
  indexing,
  interpolation,
  linear,
  normalization,
  pooling,
  reductions,
  sampling,
  shape,
)
from dualgan_jax.teachers.torch_export.operations.unsupported import (
  Unsupported,
)

_PREFIX = 'torch.ops.aten.'


def _of_integers(function: Callable[[int, int], int]) -> Callable[..., int]:
  """Makes a function that takes integers only: Python's repeat lists, too."""

  def checked_function(left: int, right: int) -> int:
    if not (isinstance(left, int) and isinstance(right, int)):
      raise Unsupported('arguments that are no integers')
    return function(left, right)

  return checked_function


# Of the batch's size, that of a block of rows, and the like.
_NUMBERS = {
  f'_operator.{name}': _of_integers(getattr(operator, name))
  for name in ('add', 'sub', 'mul', 'floordiv', 'mod')
}
OPERATIONS: dict[str, Callable[..., Any]] = {
  **_NUMBERS,
  **{
    f'{_PREFIX}{name}': function
    for module in (
      activation,
      arithmetic,
      assignment,
      creation,
      indexing,
      interpolation,
      linear,
      normalization,
      pooling,
      reductions,
      sampling,
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
