"""Writes files as torch.save does, without PyTorch, for tests."""

import collections
import io
import pathlib
import pickle
import zipfile

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C


class Storage:
  """Pickles as a reference to a storage of the file."""

  def __init__(self, key='0', type_name='Float', length=4, view=()):
    self.storage_class = Name('torch', f'{type_name}Storage')
    self.key, self.length, self.view = key, length, view


class Call:
  """Pickles as a call of a name with arguments."""

  def __init__(self, module, name, *arguments, state=None):
    self.qualified_name, self.arguments, self.state = (
      (module, name),
      arguments,
      state,
    )

  def __reduce__(self):
    return Name(*self.qualified_name), self.arguments, self.state


class Name:
  """Pickles as a name, of whatever module."""

  def __init__(self, module, name):
    self.module, self.name = module, name

  def __call__(self):
    raise AssertionError


class _Pickler(pickle._Pickler):
  dispatch = pickle._Pickler.dispatch.copy()

  def persistent_id(self, value):
    if not isinstance(value, Storage):
      return None
    return (
      'storage',
      value.storage_class,
      value.key,
      'cpu',
      value.length,
      *value.view,
    )

  def _save_name(self, value):
    self.write(f'c{value.module}\n{value.name}\n'.encode())

  dispatch[Name] = _save_name


def tensor_call(offset=0, shape=(4,), strides=(1,), storage=None, metadata=()):
  """Makes a tensor of a storage, by default the one with 1, 2, 3, 4."""
  return Call(
    'torch._utils',
    '_rebuild_tensor_v2',
    storage or Storage(),
    offset,
    shape,
    strides,
    False,
    collections.OrderedDict,
    *metadata,
  )


def pickle_value(value) -> bytes:
  """Pickles a value that may have calls and names of any module."""
  stream = io.BytesIO()
  _Pickler(stream, 2).dump(value)
  return stream.getvalue()


def write_archive(
  path: pathlib.Path, pickle_bytes, *, members=(), compression=0
):
  """Writes a file of today's format, with one storage of 1, 2, 3, 4.

  Args:
    path: of the file.
    pickle_bytes: of its pickle, or the value to pickle.
    members: (name, bytes) to add, or to put in place of these.
    compression: of all members.
  """
  if not isinstance(pickle_bytes, bytes):
    pickle_bytes = pickle_value(pickle_bytes)
  contents = {
    'data.pkl': pickle_bytes,
    'data/0': np.arange(1, 5, dtype='<f4').tobytes(),
    **dict(members),
  }
  with zipfile.ZipFile(path, 'w', compression) as file:
    for name, file_bytes in contents.items():
      file.writestr(f'x/{name}', file_bytes)
  return path


def write_arrays(path: pathlib.Path, value) -> pathlib.Path:
  """Writes a file of today's format, of tensors with numbers of any kind.

  Args:
    path: of the file.
    value: dicts and lists, with float32 arrays in place of tensors.
  """
  storages = {}

  def replace_arrays(node):
    if isinstance(node, dict):
      return {key: replace_arrays(child) for key, child in node.items()}
    if isinstance(node, list):
      return list(map(replace_arrays, node))
    key = str(len(storages))
    storages[f'data/{key}'] = node.astype('<f4').tobytes()
    strides = tuple(
      stride // 4 for stride in np.zeros(node.shape, 'f4').strides
    )
    storage = Storage(key, length=node.size)
    return tensor_call(0, node.shape, strides, storage)

  tensors = replace_arrays(value)
  return write_archive(path, tensors, members=storages.items())


def write_legacy(path: pathlib.Path, value, storages) -> pathlib.Path:
  """Writes a file of the format before PyTorch 1.6.

  Args:
    path: of the file.
    value: the value to save.
    storages: arrays by key.
  """
  pickled_values = [MAGIC, 1001, {'little_endian': True}, value, list(storages)]
  file_bytes = b''.join(map(pickle_value, pickled_values))
  for array in storages.values():
    file_bytes += array.size.to_bytes(8, 'little') + array.tobytes()
  path.write_bytes(file_bytes)
  return path
