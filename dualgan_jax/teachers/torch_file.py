"""Reads what `torch.save` wrote, without PyTorch and without executing it.

Both formats are known: the zip archives since PyTorch 1.6, and the pickles in
a row before. Tensors become records that say where their numbers lie
(`torch_tensor.py`), and nothing takes more memory than the file is long.
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
from dualgan_jax.teachers.torch_tensor import (
  DTYPES,
  INERT_SIZES,
  MOST_AXES,
  Storage,
  is_count,
  record,
)

SAVE_AGAIN = (
  'in PyTorch, save the weights alone: torch.save(model.state_dict(), FILE)'
)
_ZIP_START = b'PK\x03\x04'
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


def load(path: pathlib.Path) -> Any:
  """Reads a file into plain values, `Tensor` records and `Inert` objects.

  Values may be nested to any depth and shared: walk them without recursion.

  Args:
    path: of a file that `torch.save` wrote.

  Raises:
    UserError: it is damaged, or something else.
  """
  content = path.read_bytes()
  if content.startswith(_ZIP_START):
    if not zipfile.is_zipfile(io.BytesIO(content)):
      raise UserError(f'{path}: cut short; bring the file again.')
    reader = _Archive
  else:
    reader = _Legacy
  try:
    return reader(content).value
  except Exception as e:  # damage to a pickle can end in any way
    raise UserError(
      f'{path}: damaged, or not written by torch.save '
      f'({printable(first_line(e), 200)}); {SAVE_AGAIN}.'
    ) from e


class _Content(abc.ABC):
  """The storages of one file.

  Attributes:
    size: of the file, in bytes.
  """

  def __init__(self, content: bytes):
    self.size = len(content)
    self._functions = {
      '_codecs.encode': lambda *_: Inert('bytes'),
      'torch.Size': _first,
      'torch._utils._rebuild_tensor': self._tensor,
      'torch._utils._rebuild_tensor_v2': self._tensor_v2,
      'torch._utils._rebuild_tensor_v3': self._tensor_v3,
      'torch._utils._rebuild_parameter': _first,
      'torch._utils._rebuild_parameter_with_state': _first,
      'torch._utils._rebuild_device_tensor_from_cpu_tensor': _first,
      'torch.nn.parameter.Parameter': _first,
      'torch._tensor._rebuild_from_type_v2': self._typed_tensor,
      'copyreg._reconstructor': _class_name,
      'copy_reg._reconstructor': _class_name,
    }

  @abc.abstractmethod
  def bytes_of(self, key: str) -> memoryview:
    """Gives the bytes of a whole storage."""

  def ordered(self, numbers: np.ndarray) -> np.ndarray:
    """Gives the numbers in the order of bytes that is this machine's."""
    return numbers

  def load(self, stream: io.BytesIO) -> Any:
    """Reads one pickle of the file."""
    return safe_pickle.load(stream, self._functions, self.storage)

  def storage(self, reference: Any) -> Any:
    """Makes the record of a storage of its persistent id."""
    if not isinstance(reference, tuple) or len(reference) > MOST_AXES:
      raise ValueError('it refers to what is no storage')
    kind, *values = reference
    if kind == 'module':  # the legacy format's classes with their source
      return values[0]
    if kind != 'storage':
      raise ValueError('it refers to what is no storage')
    named, key, _, length, *view = values
    if not isinstance(named, Inert) or not isinstance(key, str):
      raise ValueError('it refers to what is no storage')
    if named.name not in DTYPES:
      return named
    dtype, start = DTYPES[named.name], 0
    if view and view[0] is not None:
      _, start, length = view[0]
    if not is_count(start) or not is_count(length):
      raise ValueError('it refers to a storage of no sense')
    return Storage(dtype, key, length, start)

  def _tensor(self, storage, offset, shape, strides):
    return self._tensor_v2(storage, offset, shape, strides)

  def _tensor_v2(self, storage, offset, shape, strides, *others):
    metadata = others[2] if len(others) > 2 else None
    if isinstance(storage, Inert):
      return storage
    return record(self, storage, None, offset, shape, strides, metadata)

  def _tensor_v3(
    self, storage, offset, shape, strides, learns, hooks, dtype, metadata=None
  ):
    del learns, hooks
    if isinstance(storage, Inert) or dtype.name not in DTYPES:
      return Inert(dtype.name)
    dtype = DTYPES[dtype.name]
    return record(self, storage, dtype, offset, shape, strides, metadata)

  def _typed_tensor(self, function, type_, arguments, state):
    """A tensor with attributes, or one of a subclass, which is not known."""
    del state
    if type_.name not in ('torch.Tensor', 'torch.nn.parameter.Parameter'):
      return Inert(type_.name)
    if function.name not in self._functions:
      return Inert(function.name)
    if function.name.endswith('_rebuild_from_type_v2'):
      raise ValueError('it has a tensor of a tensor')
    return self._functions[function.name](*arguments)


class _Archive(_Content):
  """A zip archive, as PyTorch has written them since 1.6.

  Attributes:
    value: what was saved.
  """

  def __init__(self, content: bytes):
    super().__init__(content)
    self._archive = zipfile.ZipFile(io.BytesIO(content))
    names = self._archive.namelist()
    (name,) = [x for x in names if x.split('/')[1:] == ['data.pkl']]
    self._folder = name.removesuffix('data.pkl')
    self._left, self._members = self.size, {}
    order = b'little'
    if f'{self._folder}byteorder' in names:
      order = self._member('byteorder')
      if order not in (b'little', b'big'):
        raise ValueError('its byteorder is neither little nor big')
    self._big = order == b'big'
    self.value = self.load(io.BytesIO(self._member('data.pkl')))

  def _member(self, name: str) -> bytes:
    """Reads a member once, if all of them together fit into the file."""
    if name not in self._members:
      info = self._archive.getinfo(self._folder + name)
      # PyTorch never compresses, and what is small could become huge.
      if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f'{info.filename} is compressed')
      self._left -= info.file_size
      if info.file_size != info.compress_size or self._left < 0:
        raise ValueError(f'{info.filename} is larger than the file')
      self._members[name] = self._archive.read(info)
    return self._members[name]

  def bytes_of(self, key: str) -> memoryview:
    try:
      return memoryview(self._member(f'data/{key}'))
    except Exception as e:  # zipfile has several for damage
      raise ValueError(f'is damaged ({first_line(e)})') from e

  def ordered(self, numbers: np.ndarray) -> np.ndarray:
    if not self._big or numbers.itemsize == 1:
      return numbers
    bits = numbers.view(f'u{numbers.itemsize}')
    return bits.byteswap().view(numbers.dtype)


class _Legacy(_Content):
  """Pickles in a row and then the storages, as PyTorch wrote before 1.6.

  Attributes:
    value: what was saved.
  """

  def __init__(self, content: bytes):
    super().__init__(content)
    self._sizes, self._storages = {}, {}
    stream = io.BytesIO(content)
    magic = self.load(stream)
    if type(magic) is not int or magic != _LEGACY_MAGIC:
      raise ValueError('neither a zip archive nor the format before 1.6')
    self.load(stream)  # the version of the format, which never changed
    self.load(stream)  # of the machine; the numbers are always little-endian
    self.value = self.load(stream)
    keys, start, whole = self.load(stream), stream.tell(), memoryview(content)
    for key in keys:
      if not isinstance(key, str):
        raise ValueError('it has a storage without a name')
      length = int.from_bytes(whole[start : start + 8], 'little')
      end = start + 8 + length * self._sizes[key]
      if end > self.size:
        raise ValueError('cut short')
      self._storages[key] = whole[start + 8 : end]
      start = end

  def storage(self, reference: Any) -> Any:
    """Remembers how large the numbers of each storage are."""
    found = super().storage(reference)
    if reference[0] == 'storage':
      key = reference[2]
      is_inert = isinstance(found, Inert)
      size = INERT_SIZES[found.name] if is_inert else found.dtype.itemsize
      if self._sizes.setdefault(key, size) != size:
        raise ValueError('it has a storage of two types')
    return found

  def bytes_of(self, key: str) -> memoryview:
    if key not in self._storages:
      raise ValueError('has no storage')
    return self._storages[key]


def _first(value, *others):
  del others
  return value


def _class_name(class_, *others):
  del others
  return Inert(class_.name)
