"""Records of a PyTorch file's tensors: where their numbers lie in the file.

The array of a tensor is made on demand, as a view of its storage, so that
tensors that share a storage share its memory.
"""

import dataclasses
import math
from typing import Any, Protocol

import ml_dtypes
import numpy as np

# A tensor that repeats few numbers (`expand`) may be so large in a small file.
_MIN_ALLOWED_BYTES = 2**20
MAX_AXES = 32

_DTYPES_BY_NAME = {
  'float64': np.float64,
  'float32': np.float32,
  'float16': np.float16,
  'bfloat16': ml_dtypes.bfloat16,
  'float8_e4m3fn': ml_dtypes.float8_e4m3fn,
  'float8_e5m2': ml_dtypes.float8_e5m2,
  'int64': np.int64,
  'int32': np.int32,
  'int16': np.int16,
  'int8': np.int8,
  'uint8': np.uint8,
  'uint16': np.uint16,
  'uint32': np.uint32,
  'uint64': np.uint64,
  'bool': np.bool_,
}
# By the beginning of a storage's class name.
_STORAGE_DTYPES = {
  'Double': 'float64',
  'Float': 'float32',
  'Half': 'float16',
  'BFloat16': 'bfloat16',
  'Long': 'int64',
  'Int': 'int32',
  'Short': 'int16',
  'Char': 'int8',
  'Byte': 'uint8',
  'Bool': 'bool',
}
# By the name of a dtype or a storage's class in a file.
DTYPES = {
  **{
    f'torch.{dtype_name}': np.dtype(dtype)
    for dtype_name, dtype in _DTYPES_BY_NAME.items()
  },
  **{
    f'{module}.{storage_name}Storage': np.dtype(_DTYPES_BY_NAME[dtype_name])
    for module in ('torch', 'torch.cuda')
    for storage_name, dtype_name in _STORAGE_DTYPES.items()
  },
  'torch.storage.UntypedStorage': np.dtype(np.uint8),
}
# Bytes per number of storages that are not loaded, since NumPy lacks their type
# or they are no weights; the sizes lead to the storages behind them.
INERT_ITEM_SIZES = {
  f'torch.{storage_name}Storage': item_size
  for storage_name, item_size in (
    *(('ComplexDouble', 16), ('ComplexFloat', 8), ('QInt32', 4)),
    *(('QInt8', 1), ('QUInt8', 1), ('QUInt4x2', 1), ('QUInt2x4', 1)),
  )
}


@dataclasses.dataclass(frozen=True)
class Storage:
  """The place in a file of the numbers of one or several tensors.

  Attributes:
    dtype: of its numbers.
    key: its name in the file.
    length: count of its numbers.
    start: position of its first number, if it is a part of another storage.
  """

  dtype: np.dtype
  key: str
  length: int
  start: int = 0


class StorageSource(Protocol):
  """A file that holds storages.

  Attributes:
    num_bytes: size of the file.
  """

  num_bytes: int

  def storage_bytes(self, key: str) -> memoryview:
    """Returns the bytes of a whole storage; raises ValueError if damaged."""

  def in_native_order(self, numbers: np.ndarray) -> np.ndarray:
    """Converts numbers to this machine's order of bytes."""


@dataclasses.dataclass(frozen=True)
class Tensor:
  """A tensor of a file; two that compare equal have the same numbers.

  Attributes:
    storage: holds its numbers.
    dtype: of its numbers, which may differ from the storage's.
    offset: position of its first number in the storage.
    shape: as in NumPy.
    strides: per axis, the distance of neighbours in the storage, in numbers.
    is_negative: whether its numbers are those of the storage times -1.
    source: the file.
  """

  storage: Storage
  dtype: np.dtype
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]
  is_negative: bool
  source: StorageSource = dataclasses.field(compare=False, repr=False)

  def array(self) -> np.ndarray:
    """Returns the numbers, as a view that cannot be written to.

    Raises:
      ValueError: the file does not hold them.
    """
    if self.is_negative and self.dtype == np.bool_:
      raise ValueError('has truth values times -1')
    num_numbers = math.prod(self.shape)
    # An empty array can have a side that is too long for NumPy.
    longest_bytes = max((num_numbers, *self.shape)) * self.dtype.itemsize
    if longest_bytes > max(self.source.num_bytes, _MIN_ALLOWED_BYTES):
      raise ValueError('is larger than its file')
    if not num_numbers:
      return np.zeros(self.shape, self.dtype)
    numbers = self._storage_numbers()
    # `as_strided` does not check that a view stays inside its buffer.
    axes = zip(self.shape, self.strides, strict=True)
    last_position = self.offset + sum(
      (length - 1) * stride for length, stride in axes
    )
    if last_position >= len(numbers):
      raise ValueError('reaches beyond its storage')
    byte_strides = [stride * self.dtype.itemsize for stride in self.strides]
    view = np.lib.stride_tricks.as_strided(
      numbers[self.offset :], self.shape, byte_strides, writeable=False
    )
    return -view if self.is_negative else view

  def _storage_numbers(self) -> np.ndarray:
    """Reads all numbers of the storage, in the tensor's dtype, [length].

    Raises:
      ValueError: the file does not hold them.
    """
    item_size = self.storage.dtype.itemsize
    num_bytes = self.storage.length * item_size
    first_byte = self.storage.start * item_size
    whole_storage = self.source.storage_bytes(self.storage.key)
    storage_bytes = whole_storage[first_byte : first_byte + num_bytes]
    # The dtype may be larger than the storage's.
    if len(storage_bytes) != num_bytes or num_bytes % self.dtype.itemsize:
      raise ValueError('has another storage than it should')
    return self.source.in_native_order(np.frombuffer(storage_bytes, self.dtype))


def make_tensor(
  source: StorageSource,
  storage: Any,
  dtype: np.dtype | None,
  offset: Any,
  shape: Any,
  strides: Any,
  metadata: Any,
) -> Tensor:
  """Makes the record of a tensor from values of a pickle, and checks them.

  Args:
    source: the file.
    storage: a `Storage`.
    dtype: of the tensor's numbers; None for the storage's.
    offset: a number from 0.
    shape: a tuple of numbers from 0.
    strides: a tuple of as many numbers from 0.
    metadata: None, or a dict with PyTorch's bits 'neg' and 'conj'.

  Raises:
    ValueError: a value is something else.
  """
  if not (
    isinstance(storage, Storage)
    and isinstance(shape, tuple)
    and isinstance(strides, tuple)
    and len(shape) == len(strides) <= MAX_AXES
    and all(is_count(count) for count in (offset, *shape, *strides))
  ):
    raise ValueError('it has a tensor of no sense')
  metadata = {} if metadata is None else metadata
  # Only complex numbers, which are not read, can be conjugated.
  if not isinstance(metadata, dict) or any(
    key not in ('neg', 'conj') for key in metadata
  ):
    raise ValueError('it has a tensor with unknown metadata')
  is_negative = bool(metadata.get('neg'))
  dtype = dtype or storage.dtype
  return Tensor(storage, dtype, offset, shape, strides, is_negative, source)


def is_count(value: Any) -> bool:
  """Returns whether a value is a number that a shape can have."""
  # `type`, since True is an int, too.
  return type(value) is int and 0 <= value < 2**63
