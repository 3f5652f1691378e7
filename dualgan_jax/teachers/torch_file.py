"""Reads the files of `torch.save`, without PyTorch and without executing them.

Both formats are known: the zip archives since PyTorch 1.6, and the pickles in
a row before. Tensors become records of where their numbers lie in the file
(`torch_tensor.py`), so that no file needs more memory than its size.
"""

import abc
import io
import pathlib
import zipfile
from typing import Any

import numpy as np

from dualgan_jax.display import printable
from dualgan_jax.errors import UserError, first_line
from dualgan_jax.teachers import safe_pickle
from dualgan_jax.teachers.safe_pickle import Inert
from dualgan_jax.teachers.stored_zip import StoredZip
from dualgan_jax.teachers.torch_tensor import (
  DTYPES,
  INERT_ITEM_SIZES,
  MAX_AXES,
  Storage,
  is_count,
  make_tensor,
)

SAVE_AGAIN = (
  'in PyTorch, save the weights alone: torch.save(model.state_dict(), FILE)'
)
_MAX_ERROR_LENGTH = 200
_ZIP_MAGIC = b'PK\x03\x04'
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
# Bytes of a storage's length before its numbers, in the legacy format.
_LENGTH_BYTES = 8
_PICKLE_NAME = 'data.pkl'


def load(path: pathlib.Path) -> Any:
  """Reads a file into plain values, `Tensor` records and `Inert` objects.

  Values may be nested to any depth and shared: walk them without recursion.

  Args:
    path: of a file that `torch.save` wrote.

  Raises:
    UserError: it is damaged, or something else.
  """
  return load_bytes(path, path.read_bytes())


def load_bytes(path: pathlib.Path, file_bytes: bytes) -> Any:
  """Reads a file of `torch.save`, or such a file inside of another one.

  Args:
    path: of the file, for the messages.
    file_bytes: what `torch.save` wrote.

  Raises:
    UserError: see `load`.
  """
  if file_bytes.startswith(_ZIP_MAGIC):
    if not zipfile.is_zipfile(io.BytesIO(file_bytes)):
      raise UserError(f'{path}: cut short; bring the file again.')
    file_class = _ZipFile
  else:
    file_class = _LegacyFile
  try:
    return file_class(file_bytes).value
  # A damaged pickle can raise any exception.
  except Exception as error:
    raise UserError(
      f'{path}: damaged, or not written by torch.save '
      f'({printable(first_line(error), _MAX_ERROR_LENGTH)}); {SAVE_AGAIN}.'
    ) from error


class _TorchFile(abc.ABC):
  """A file with storages, of either format.

  Attributes:
    num_bytes: size of the file.
  """

  def __init__(self, file_bytes: bytes):
    """Lists the functions that a file may call; all others become inert."""
    self.num_bytes = len(file_bytes)
    self._functions = {
      '_codecs.encode': lambda *_: Inert('bytes'),
      'torch.Size': _return_first,
      'torch._utils._rebuild_tensor': self._tensor,
      'torch._utils._rebuild_tensor_v2': self._tensor_v2,
      'torch._utils._rebuild_tensor_v3': self._tensor_v3,
      'torch._utils._rebuild_parameter': _return_first,
      'torch._utils._rebuild_parameter_with_state': _return_first,
      'torch._utils._rebuild_device_tensor_from_cpu_tensor': _return_first,
      'torch.nn.parameter.Parameter': _return_first,
      'torch._tensor._rebuild_from_type_v2': self._subclass_tensor,
      'copyreg._reconstructor': _inert_instance,
      'copy_reg._reconstructor': _inert_instance,
    }

  @abc.abstractmethod
  def storage_bytes(self, key: str) -> memoryview:
    """Returns the bytes of a whole storage.

    Raises:
      ValueError: the file does not hold them.
    """

  def in_native_order(self, numbers: np.ndarray) -> np.ndarray:
    """Converts numbers to this machine's order of bytes."""
    return numbers

  def load(self, stream: io.BytesIO) -> Any:
    """Reads one pickle of the file."""
    return safe_pickle.load(stream, self._functions, self.make_storage)

  def make_storage(self, persistent_id: Any) -> Any:
    """Makes the record of a storage from its persistent id.

    Returns:
      A `Storage`; an `Inert` if its numbers are of an unknown type.

    Raises:
      ValueError: it is no id of a storage.
    """
    if not isinstance(persistent_id, tuple) or len(persistent_id) > MAX_AXES:
      raise ValueError('it refers to what is no storage')
    reference_kind, *values = persistent_id
    # In the legacy format, classes are saved with their source.
    if reference_kind == 'module':
      return values[0]
    if reference_kind != 'storage':
      raise ValueError('it refers to what is no storage')
    storage_type, key, _, length, *view_fields = values
    if not isinstance(storage_type, Inert) or not isinstance(key, str):
      raise ValueError('it refers to what is no storage')
    if storage_type.name not in DTYPES:
      return storage_type
    dtype, start = DTYPES[storage_type.name], 0
    # In the legacy format, a storage may be a part of another one.
    if view_fields and view_fields[0] is not None:
      _, start, length = view_fields[0]
    if not is_count(start) or not is_count(length):
      raise ValueError('it refers to a storage of no sense')
    return Storage(dtype, key, length, start)

  # These stand for PyTorch's functions `_rebuild_tensor`, `_rebuild_tensor_v2`
  # and so on, with their arguments.
  def _tensor(self, storage, offset, shape, strides):
    return self._tensor_v2(storage, offset, shape, strides)

  def _tensor_v2(self, storage, offset, shape, strides, *optional_arguments):
    metadata = optional_arguments[2] if len(optional_arguments) > 2 else None
    if isinstance(storage, Inert):
      return storage
    return make_tensor(self, storage, None, offset, shape, strides, metadata)

  def _tensor_v3(
    self,
    storage,
    offset,
    shape,
    strides,
    requires_grad,
    backward_hooks,
    inert_dtype,
    metadata=None,
  ):
    del requires_grad, backward_hooks
    if isinstance(storage, Inert) or inert_dtype.name not in DTYPES:
      return Inert(inert_dtype.name)
    dtype = DTYPES[inert_dtype.name]
    return make_tensor(self, storage, dtype, offset, shape, strides, metadata)

  def _subclass_tensor(self, function, tensor_type, arguments, state):
    """Makes a tensor with attributes; of an unknown subclass, an `Inert`."""
    del state
    if tensor_type.name not in ('torch.Tensor', 'torch.nn.parameter.Parameter'):
      return Inert(tensor_type.name)
    if function.name not in self._functions:
      return Inert(function.name)
    # It would call itself, as deep as the file likes.
    if function.name.endswith('_rebuild_from_type_v2'):
      raise ValueError('it has a tensor of a tensor')
    return self._functions[function.name](*arguments)


class _ZipFile(_TorchFile):
  """A zip archive, as PyTorch has written them since 1.6.

  Attributes:
    value: the saved value.
  """

  def __init__(self, file_bytes: bytes):
    """Reads the archive's pickle."""
    super().__init__(file_bytes)
    self._archive = StoredZip(file_bytes, _PICKLE_NAME)
    self.value = self.load(io.BytesIO(self._archive.read(_PICKLE_NAME)))

  def storage_bytes(self, key: str) -> memoryview:
    try:
      return memoryview(self._archive.read(f'data/{key}'))
    # `zipfile` has several exceptions for damage.
    except Exception as error:
      raise ValueError(f'is damaged ({first_line(error)})') from error

  def in_native_order(self, numbers: np.ndarray) -> np.ndarray:
    return self._archive.in_native_order(numbers)


class _LegacyFile(_TorchFile):
  """Pickles in a row and then the storages, as PyTorch wrote before 1.6.

  Attributes:
    value: the saved value.
  """

  def __init__(self, file_bytes: bytes):
    """Reads the pickles, and finds the storages behind them."""
    super().__init__(file_bytes)
    self._item_sizes, self._storages = {}, {}
    stream = io.BytesIO(file_bytes)
    magic_number = self.load(stream)
    if type(magic_number) is not int or magic_number != _LEGACY_MAGIC:
      raise ValueError('neither a zip archive nor the format before 1.6')
    self.load(stream)  # the version of the format, which never changed
    self.load(stream)  # of the machine; the numbers are always little-endian
    self.value = self.load(stream)
    keys = self.load(stream)
    # A view, so that storages share the file's memory.
    file_view = memoryview(file_bytes)
    start = stream.tell()
    for key in keys:
      if not isinstance(key, str):
        raise ValueError('it has a storage without a name')
      first_byte = start + _LENGTH_BYTES
      length = int.from_bytes(file_view[start:first_byte], 'little')
      end = first_byte + length * self._item_sizes[key]
      if end > self.num_bytes:
        raise ValueError('cut short')
      self._storages[key] = file_view[first_byte:end]
      start = end

  def make_storage(self, persistent_id: Any) -> Any:
    """Makes the record of a storage, and notes the size of its numbers.

    Raises:
      ValueError: it is no id of a storage, or one of two sizes.
    """
    storage = super().make_storage(persistent_id)
    if persistent_id[0] == 'storage':
      key = persistent_id[2]
      is_inert = isinstance(storage, Inert)
      item_size = (
        INERT_ITEM_SIZES[storage.name] if is_inert else storage.dtype.itemsize
      )
      if self._item_sizes.setdefault(key, item_size) != item_size:
        raise ValueError('it has a storage of two types')
    return storage

  def storage_bytes(self, key: str) -> memoryview:
    if key not in self._storages:
      raise ValueError('has no storage')
    return self._storages[key]


def _return_first(value, *more_arguments):
  """Stands for functions that wrap their first argument."""
  del more_arguments
  return value


def _inert_instance(inert_class, *more_arguments):
  """Stands for functions that make an object of a class."""
  del more_arguments
  return Inert(inert_class.name)
