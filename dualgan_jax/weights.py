"""Reads weight files of others, `.safetensors` and PyTorch's `.pt`, `.pth`.

PyTorch is not needed, and nothing in a file is ever executed: what it may name
are the few things below that a dict of tensors is made of, and each stands for
a value or a function of this module.
"""

import hashlib
import math
import os
import pathlib
import pickle
import zipfile
from typing import Any

import huggingface_hub
import ml_dtypes
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from dualgan_jax.errors import UserError, first_line

# Where training scripts put the weights among other things that they keep.
_WRAPPERS = ('state_dict', 'model_state_dict', 'model', 'net')
_AGAIN = (
  'in PyTorch, save the weights alone: torch.save(model.state_dict(), FILE)'
)


# What wrappers put before all names: DataParallel, AveragedModel and the like;
# torch.compile; Lightning and others, whose model is an attribute.
_PREFIXES = ('module.', '_orig_mod.', 'model.', 'net.')
_HUB = 'hf://'
_HUB_FILE = 'model.safetensors'


def find(field: str, address: str) -> pathlib.Path:
  """Where a weight file lies; one of the Hugging Face Hub is brought first.

  Args:
    field: of the config, for the messages.
    address: a path, or `hf://owner/name[/file]`; without a file it is
      'model.safetensors'.

  Raises:
    UserError: there is no such file, here or there, or it may not be read.
  """
  if not address.startswith(_HUB):
    path = pathlib.Path(os.path.expanduser(address))
    if not path.is_file():
      raise UserError(f'{field}: there is no file {path.absolute()}.')
    try:
      path.open('rb').close()
    except OSError as e:
      raise UserError(
        f'{field}: {path.absolute()} cannot be read ({e.strerror}).'
      ) from e
    return path
  owner, _, rest = address.removeprefix(_HUB).partition('/')
  name, _, file = rest.partition('/')
  if not owner or not name:
    raise UserError(
      f'{field}: {address} names no repository; write hf://owner/name or '
      'hf://owner/name/file.'
    )
  try:
    found = huggingface_hub.hf_hub_download(
      f'{owner}/{name}', file or _HUB_FILE
    )
  except Exception as e:  # the Hub's library raises those of its own, too
    raise UserError(
      f'{field}: {address} cannot be brought ({first_line(e)}); look for '
      'it on huggingface.co, or give the path of a local file.'
    ) from e
  return pathlib.Path(found)


def digest(path: pathlib.Path) -> str:
  """The SHA-256 sum of a file, as hexadecimal digits."""
  with path.open('rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def read(path: str | pathlib.Path) -> dict[str, np.ndarray]:
  """All tensors of a file, by their names.

  A dict that holds the weights under 'state_dict' or the like is opened, and
  prefixes that wrappers such as `nn.DataParallel` put before all names are
  dropped.

  Args:
    path: of a `.safetensors` file, or of a PyTorch state dict in the zip format
      (`torch.save` since 1.6).

  Raises:
    UserError: there is no such file, it is damaged, or it holds something else.
  """
  path = pathlib.Path(path)
  if not path.is_file():
    raise UserError(f'{path}: there is no such file.')
  tensors = (
    _safetensors(path)
    if path.suffix.lower() == '.safetensors'
    else _pytorch(path)
  )
  tensors.pop('n_averaged', None)  # AveragedModel's count
  while tensors:
    prefix = next(iter(tensors)).partition('.')[0] + '.'
    if prefix not in _PREFIXES or not all(
      x.startswith(prefix) for x in tensors
    ):
      break
    tensors = {k.removeprefix(prefix): v for k, v in tensors.items()}
  return tensors


def _safetensors(path):
  try:
    return load_file(path)
  # NumPy has not all the kinds of numbers that there may be.
  except (SafetensorError, OSError, AttributeError, KeyError, TypeError) as e:
    raise UserError(
      f'{path}: damaged, or no safetensors file of numbers that NumPy has '
      f'({e}).'
    ) from e


def _pytorch(path):
  if not zipfile.is_zipfile(path):
    raise UserError(
      f'{path}: not in the zip format that torch.save has used since PyTorch '
      f'1.6, or cut short; {_AGAIN}.'
    )
  try:
    with zipfile.ZipFile(path) as archive:
      (name,) = [
        x for x in archive.namelist() if x.split('/')[1:] == ['data.pkl']
      ]
      with archive.open(name) as file:
        found = _Unpickler(file, archive, name.removesuffix('data.pkl')).load()
  except _Refused as e:
    raise UserError(
      f'{path}: holds {e}, which is more than tensors, and is not loaded; '
      f'{_AGAIN}.'
    ) from e
  except Exception as e:  # what damage does to a pickle can end in any way
    raise UserError(
      f'{path}: damaged, or not written by torch.save ({e}); {_AGAIN}.'
    ) from e
  for wrapper in _WRAPPERS:
    if isinstance(found, dict) and isinstance(found.get(wrapper), dict):
      found = found[wrapper]
  if not isinstance(found, dict) or not found:
    raise UserError(f'{path}: holds no dict of tensors; {_AGAIN}.')
  for name, value in found.items():
    if not isinstance(value, np.ndarray):
      raise UserError(f'{path}: {name!r} is no tensor; {_AGAIN}.')
  return dict(found)


class _Refused(Exception):
  """A file names something that is none of ours."""


class _Frozen:
  """What a file gets for a name: it can be called, and not be changed."""

  __slots__ = ()


class _OrderedDict(_Frozen):
  __slots__ = ()

  def __call__(self, pairs: Any = ()) -> dict:
    return _Dict(pairs)


class _Dict(dict):
  """Takes the attributes that PyTorch hangs on a state dict, and drops them."""

  __slots__ = ()

  def __setstate__(self, state: Any) -> None:
    del state


class _Storage(_Frozen):
  """Names a storage's type of number."""

  __slots__ = ('dtype',)

  def __init__(self, dtype: Any):
    object.__setattr__(self, 'dtype', np.dtype(dtype))

  def __setattr__(self, name: str, value: Any) -> None:
    raise _Refused(f'a change of {name!r}')


class _Tensor(_Frozen):
  """`torch._utils._rebuild_tensor_v2`."""

  __slots__ = ()

  def __call__(
    self, storage: Any, offset: Any, size: Any, stride: Any, *others: Any
  ) -> np.ndarray:
    del others  # whether it learns, hooks, metadata
    if not (
      isinstance(storage, np.ndarray)
      and storage.ndim == 1
      and isinstance(size, tuple)
      and isinstance(stride, tuple)
      and len(size) == len(stride)
      and all(isinstance(x, int) and x >= 0 for x in (offset, *size, *stride))
    ):
      raise ValueError('a tensor of no sense')
    last = offset + sum(
      (n - 1) * s for n, s in zip(size, stride, strict=True) if n
    )
    if math.prod(size) and last >= len(storage):
      raise ValueError('a tensor reaches beyond its storage')
    if not math.prod(size):
      return np.zeros(size, storage.dtype)
    if math.prod(size) > len(storage):
      raise ValueError('a tensor larger than its storage')
    strides = [s * storage.itemsize for s in stride]
    return np.lib.stride_tricks.as_strided(
      storage[offset:], size, strides
    ).copy()


class _Parameter(_Frozen):
  """`torch._utils._rebuild_parameter`."""

  __slots__ = ()

  def __call__(self, data: Any, *others: Any) -> Any:
    del others
    return data


_STORAGES = {
  'Double': np.float64,
  'Float': np.float32,
  'Half': np.float16,
  'BFloat16': ml_dtypes.bfloat16,
  'Long': np.int64,
  'Int': np.int32,
  'Short': np.int16,
  'Char': np.int8,
  'Byte': np.uint8,
  'Bool': np.bool_,
}
_KNOWN = {
  ('collections', 'OrderedDict'): _OrderedDict(),
  ('torch._utils', '_rebuild_tensor_v2'): _Tensor(),
  ('torch._utils', '_rebuild_parameter'): _Parameter(),
  **{
    ('torch', f'{name}Storage'): _Storage(dtype)
    for name, dtype in _STORAGES.items()
  },
}


class _Unpickler(pickle.Unpickler):
  """Knows the names above and the archive's storages, and nothing else."""

  def __init__(self, file: Any, archive: zipfile.ZipFile, folder: str):
    super().__init__(file)
    self._archive, self._folder, self._storages = archive, folder, {}
    order = self._folder + 'byteorder'
    self._order = '<'
    if order in archive.namelist() and archive.read(order) == b'big':
      self._order = '>'

  def find_class(self, module: str, name: str) -> Any:
    """One of the names above."""
    if (module, name) not in _KNOWN:
      raise _Refused(f'{module}.{name}')
    return _KNOWN[module, name]

  def persistent_load(self, pid: Any) -> np.ndarray:
    """One of the archive's storages, [numbers]."""
    if not (
      isinstance(pid, tuple)
      and len(pid) == 5
      and pid[0] == 'storage'
      and isinstance(pid[1], _Storage)
      and isinstance(pid[2], str)
    ):
      raise _Refused(f'a reference {pid!r}')
    _, storage, key, _, _ = pid
    if (key, storage.dtype) not in self._storages:
      name = f'{self._folder}data/{key}'
      info = self._archive.getinfo(name)
      if info.compress_type != zipfile.ZIP_STORED:
        # PyTorch never compresses, and what is small could become huge.
        raise ValueError(f'{name} is compressed')
      held = np.frombuffer(
        self._archive.read(name), storage.dtype.newbyteorder(self._order)
      )
      self._storages[key, storage.dtype] = held.astype(storage.dtype)
    return self._storages[key, storage.dtype]
