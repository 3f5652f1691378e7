"""Says where the numbers of a PyTorch file's tensors lie.

A tensor is a record. Its array is made when it is asked for, as a view of its
storage, so that tensors that share a storage share its memory.
"""

import dataclasses
import math
from typing import Any, Protocol

import ml_dtypes
import numpy as np

# Room for a tensor that repeats few numbers (`expand`) in a small file.
_SMALL = 2**20
MOST_AXES = 32

_TYPES = {
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
_STORAGES = {
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
# What a file names, and the type of number that it means.
DTYPES = {
  **{f'torch.{name}': np.dtype(x) for name, x in _TYPES.items()},
  **{
    f'{module}.{name}Storage': np.dtype(_TYPES[x])
    for module in ('torch', 'torch.cuda')
    for name, x in _STORAGES.items()
  },
  'torch.storage.UntypedStorage': np.dtype(np.uint8),
}
# Bytes of one of the numbers that NumPy has not, or that are not weights.
INERT_SIZES = {
  f'torch.{name}Storage': size
  for name, size in (
    *(('ComplexDouble', 16), ('ComplexFloat', 8), ('QInt32', 4)),
    *(('QInt8', 1), ('QUInt8', 1), ('QUInt4x2', 1), ('QUInt2x4', 1)),
  )
}


@dataclasses.dataclass(frozen=True)
class Storage:
  """Says where the numbers of tensors lie.

  Attributes:
    dtype: of its numbers.
    key: its name in the file.
    length: how many numbers it has.
    start: number of the first one, where it is a part of another storage.
  """

  dtype: np.dtype
  key: str
  length: int
  start: int = 0


class Content(Protocol):
  """Gives the storages of a file.

  Attributes:
    size: of the file, in bytes.
  """

  size: int

  def bytes_of(self, key: str) -> memoryview:
    """Gives the bytes of a whole storage."""

  def ordered(self, numbers: np.ndarray) -> np.ndarray:
    """Gives numbers in this machine's order of bytes."""


@dataclasses.dataclass(frozen=True)
class Tensor:
  """Says which numbers of a storage a tensor has; equal ones are the same.

  Attributes:
    storage: where they lie.
    dtype: of its numbers, which may be another one than the storage's.
    offset: of the first number.
    shape: its size.
    strides: numbers from one to the next, along each axis.
    negative: whether the numbers are those of the storage times -1.
    content: gives the storages.
  """

  storage: Storage
  dtype: np.dtype
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]
  negative: bool
  content: Content = dataclasses.field(compare=False, repr=False)

  def array(self) -> np.ndarray:
    """Gives the numbers, as a view that cannot be written to.

    Raises:
      ValueError: the file does not hold them.
    """
    if self.negative and self.dtype == np.bool_:
      raise ValueError('has truth values times -1')
    size = math.prod(self.shape)
    # An empty array can have a side that is too long for NumPy.
    longest = max((size, *self.shape)) * self.dtype.itemsize
    if longest > max(self.content.size, _SMALL):
      raise ValueError('is larger than its file')
    if not size:
      return np.zeros(self.shape, self.dtype)
    numbers = self._storage()
    axes = zip(self.shape, self.strides, strict=True)
    last = self.offset + sum((n - 1) * s for n, s in axes)
    if last >= len(numbers):
      raise ValueError('reaches beyond its storage')
    strides = [s * self.dtype.itemsize for s in self.strides]
    found = np.lib.stride_tricks.as_strided(
      numbers[self.offset :], self.shape, strides, writeable=False
    )
    return -found if self.negative else found

  def _storage(self):
    """The numbers of the whole storage, [length]."""
    size = self.storage.dtype.itemsize
    start, length = self.storage.start * size, self.storage.length * size
    content = self.content.bytes_of(self.storage.key)[start : start + length]
    if len(content) != length or length % self.dtype.itemsize:
      raise ValueError('has another storage than it should')
    return self.content.ordered(np.frombuffer(content, self.dtype))


def record(
  content: Content,
  storage: Any,
  dtype: np.dtype | None,
  offset: Any,
  shape: Any,
  strides: Any,
  metadata: Any,
) -> Tensor:
  """Makes the record of a tensor from what a file says of it.

  Args:
    content: gives the storages.
    storage: a `Storage`.
    dtype: of the tensor's numbers; those of the storage if None.
    offset: a number from 0.
    shape: a tuple of numbers from 0.
    strides: as many.
    metadata: None, or a dict of PyTorch's bits.

  Raises:
    ValueError: any of it is something else.
  """
  if not (
    isinstance(storage, Storage)
    and isinstance(shape, tuple)
    and isinstance(strides, tuple)
    and len(shape) == len(strides) <= MOST_AXES
    and all(is_count(x) for x in (offset, *shape, *strides))
  ):
    raise ValueError('it has a tensor of no sense')
  metadata = {} if metadata is None else metadata
  # Of complex numbers only, which are not read, is there a conjugate.
  if not isinstance(metadata, dict) or any(
    key not in ('neg', 'conj') for key in metadata
  ):
    raise ValueError('it has a tensor with unknown metadata')
  negative = bool(metadata.get('neg'))
  dtype = dtype or storage.dtype
  return Tensor(storage, dtype, offset, shape, strides, negative, content)


def is_count(value: Any) -> bool:
  """Whether a value is a number that a shape can have."""
  return type(value) is int and 0 <= value < 2**63
