"""Writes files as torch.save does, without PyTorch, for tests."""

import collections
import io
import pathlib
import pickle
import zipfile

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C


class Storage:
  """Is pickled as a reference to a storage of the file."""

  def __init__(self, key='0', kind='Float', length=4, view=()):
    self.named = Name('torch', f'{kind}Storage')
    self.key, self.length, self.view = key, length, view


class Call:
  """Is pickled as a call of a name with arguments."""

  def __init__(self, module, name, *arguments, state=None):
    self.named, self.arguments, self.state = (module, name), arguments, state

  def __reduce__(self):
    return Name(*self.named), self.arguments, self.state


class Name:
  """Is pickled as a name, of whatever module."""

  def __init__(self, module, name):
    self.module, self.name = module, name

  def __call__(self):
    raise AssertionError


class _Pickler(pickle._Pickler):
  dispatch = pickle._Pickler.dispatch.copy()

  def persistent_id(self, obj):
    if not isinstance(obj, Storage):
      return None
    return ('storage', obj.named, obj.key, 'cpu', obj.length, *obj.view)

  def _save_name(self, obj):
    self.write(f'c{obj.module}\n{obj.name}\n'.encode())

  dispatch[Name] = _save_name


def tensor(offset=0, shape=(4,), strides=(1,), storage=None, metadata=()):
  """A tensor of a storage, the one with 1, 2, 3, 4 if none is given."""
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


def pickled(value) -> bytes:
  """The pickle of a value that may have calls and names of any module."""
  stream = io.BytesIO()
  _Pickler(stream, 2).dump(value)
  return stream.getvalue()


def archive(path: pathlib.Path, pickle_, *, members=(), compression=0):
  """A file of today's format, with one storage of 1, 2, 3, 4.

  Args:
    path: of the file.
    pickle_: its bytes, or the value to pickle.
    members: more of them, or others, (name, bytes) each.
    compression: of all members.
  """
  if not isinstance(pickle_, bytes):
    pickle_ = pickled(pickle_)
  contents = {
    'data.pkl': pickle_,
    'data/0': np.arange(1, 5, dtype='<f4').tobytes(),
    **dict(members),
  }
  with zipfile.ZipFile(path, 'w', compression) as file:
    for name, content in contents.items():
      file.writestr(f'x/{name}', content)
  return path


def legacy(path: pathlib.Path, value, storages) -> pathlib.Path:
  """A file of the format before PyTorch 1.6.

  Args:
    path: of the file.
    value: what it holds.
    storages: arrays by key.
  """
  parts = [MAGIC, 1001, {'little_endian': True}, value, list(storages)]
  content = b''.join(map(pickled, parts))
  for array in storages.values():
    content += array.size.to_bytes(8, 'little') + array.tobytes()
  path.write_bytes(content)
  return path
