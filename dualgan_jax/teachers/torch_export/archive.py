"""Opens the files of `torch.export.save`: a graph as JSON, and raw weights.

Nothing in such a file is executed, and PyTorch is not needed. PyTorch 2.8 was
the first to write this archive; its weights are a file of `torch.save` inside,
and each tensor is a member of the archive since 2.9.
"""

import contextlib
import functools
import json
import pathlib
import zipfile
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np

from dualgan_jax.display import printable
from dualgan_jax.errors import UserError
from dualgan_jax.teachers import torch_file
from dualgan_jax.teachers.stored_zip import StoredZip
from dualgan_jax.teachers.torch_tensor import Storage, Tensor, make_tensor
from dualgan_jax.teachers.user_errors import user_errors

EXPORT_AGAIN = (
  'export it with PyTorch 2.8 or newer: torch.export.save(torch.export.export('
  "model.eval(), (x,), dynamic_shapes=({0: torch.export.Dim('n')},)), FILE)"
)
# By their numbers in a file (torch._export.serde.schema.ScalarType).
_DTYPES = {
  1: np.dtype(np.uint8),
  2: np.dtype(np.int8),
  3: np.dtype(np.int16),
  4: np.dtype(np.int32),
  5: np.dtype(np.int64),
  6: np.dtype(np.float16),
  7: np.dtype(np.float32),
  8: np.dtype(np.float64),
  12: np.dtype(np.bool_),
  13: np.dtype(ml_dtypes.bfloat16),
}
_GRAPH_NAME = 'models/model.json'
_INPUTS_NAME = 'data/sample_inputs/model.pt'
# What the user may store beside the graph: the logits of the example.
_LOGITS_NAME = 'extra/logits.json'
_ARCHIVE_VERSION = b'0'
_SCHEMA_VERSION = 8  # the major one; minor ones only add fields
_STRIDED = 7  # torch._export.serde.schema.Layout
_MAX_JSON_BYTES = 2**26
# By a member that only it has, what else a zip archive of PyTorch may be.
_OTHER_FILES = {
  'serialized_exported_program.json': 'written by PyTorch 2.7 or older',
  'constants.pkl': 'a file of TorchScript',
  'data.pkl': 'a file of torch.save',
}


class MissingKeyError(LookupError):
  """A key that a JSON of the archive has not, as its message says."""


class _JsonObject(dict[str, Any]):
  """An object of a JSON, which says in which one a key is missing."""

  def __init__(self, member_name: str, entries: Mapping[str, Any]):
    super().__init__(entries)
    self._member_name = member_name

  def __missing__(self, key: str) -> Any:
    raise MissingKeyError(f'{self._member_name} has no key {key!r}')


class Archive:
  """An opened file of `torch.export.save`.

  Attributes:
    path: of the file.
    program: its JSON: 'graph_module', 'torch_version' and others.
    tensors: by their names in PyTorch, parameters, buffers and constants.
  """

  def __init__(self, path: pathlib.Path):
    """Reads a file.

    Args:
      path: of the file.

    Raises:
      UserError: it is damaged, something else, or of another version.
    """
    self.path = path
    with damage_as_user_error(path):
      _check_kind(path)
      self._zip = StoredZip(path.read_bytes(), _GRAPH_NAME)
      self.num_bytes = self._zip.num_bytes
      self._check_archive_version()
      self.program = self._read_json(_GRAPH_NAME)
      self._check_schema_version()
      self.tensors = {
        **self._read_tensors('weights'),
        **self._read_tensors('constants'),
      }

  def read_example(self) -> tuple[np.ndarray, np.ndarray] | None:
    """Reads the images of the export, and their logits if they are stored.

    Returns:
      Images [n, C, H, W] as the model took them, and logits [n, L]; None if
      the file has no logits.

    Raises:
      UserError: they are damaged.
    """
    if _LOGITS_NAME not in self._zip.member_names:
      return None
    with damage_as_user_error(self.path):
      logits = np.asarray(self._read_json(_LOGITS_NAME), np.float32)
      (images,), _ = torch_file.load_bytes(
        self.path, self._zip.read(_INPUTS_NAME)
      )
      return np.asarray(images.array(), np.float32), logits

  def storage_bytes(self, key: str) -> memoryview:
    """Returns the bytes of a member with numbers."""
    return memoryview(self._zip.read(key))

  def in_native_order(self, numbers: np.ndarray) -> np.ndarray:
    """Converts numbers to this machine's order of bytes."""
    return self._zip.in_native_order(numbers)

  def _check_archive_version(self) -> None:
    version = self._zip.read('archive_version').strip()
    if version != _ARCHIVE_VERSION:
      raise UserError(
        f'{self.path}: of archive version {printable(version.decode(), 20)}, '
        'of which only 0 is known; export it with PyTorch 2.8 to 2.14.'
      )

  def _check_schema_version(self) -> None:
    version = self.program['schema_version']['major']
    if version != _SCHEMA_VERSION:
      raise UserError(
        f'{self.path}: its graph is of schema version '
        f'{printable(version, 20)}, of which only {_SCHEMA_VERSION} is known; '
        f'export it with PyTorch 2.8 to 2.14.'
      )

  def _read_json(self, member_name: str) -> Any:
    content = self._zip.read(member_name)
    if len(content) > _MAX_JSON_BYTES:
      raise ValueError(f'{member_name} is larger than any net needs')
    return json.loads(
      content, object_hook=functools.partial(_JsonObject, member_name)
    )

  def _read_tensors(self, folder: str) -> dict[str, np.ndarray]:
    """Reads the tensors of a folder, as PyTorch 2.8 or later wrote them."""
    pickle_name = f'data/{folder}/model.pt'
    if pickle_name in self._zip.member_names:
      tensors = torch_file.load_bytes(self.path, self._zip.read(pickle_name))
    else:
      entries = self._read_json(f'data/{folder}/model_{folder}_config.json')
      tensors = {
        name: self._make_tensor(name, f'data/{folder}/', entry)
        for name, entry in entries['config'].items()
      }
    arrays = {}
    for name, tensor in tensors.items():
      if not isinstance(name, str) or not isinstance(tensor, Tensor):
        raise ValueError(f'{printable(name, 80)} is no plain tensor')
      arrays[name] = tensor.array()
    return arrays

  def _make_tensor(self, name: str, folder: str, entry: Any) -> Tensor:
    """Makes the record of a tensor from its entry in a table of weights."""
    if entry['use_pickle']:
      raise ValueError(f'{printable(name, 80)} is no plain tensor')
    meta = entry['tensor_meta']
    if meta['layout'] != _STRIDED or meta['dtype'] not in _DTYPES:
      raise ValueError(f'{printable(name, 80)} is sparse, or of unknown type')
    dtype, key = _DTYPES[meta['dtype']], folder + entry['path_name']
    length = len(self.storage_bytes(key)) // dtype.itemsize
    return make_tensor(
      self,
      Storage(dtype, key, length),
      None,
      meta['storage_offset']['as_int'],
      tuple(size['as_int'] for size in meta['sizes']),
      tuple(stride['as_int'] for stride in meta['strides']),
      None,
    )


def damage_as_user_error(
  path: pathlib.Path,
) -> contextlib.AbstractContextManager[None]:
  """Turns whatever a damaged file may raise into one sentence.

  Args:
    path: of the file.

  Raises:
    UserError: if anything is raised inside.
  """
  return user_errors(
    f'{path}: damaged, or not written by torch.export.save',
    f'; {EXPORT_AGAIN}',
  )


def dtype_of(number: Any) -> np.dtype:
  """Returns the type of numbers that has a number in a file.

  Raises:
    ValueError: there is none that nets are made of.
  """
  if number not in _DTYPES:
    raise ValueError(f'its tensors of type {number} are not known')
  return _DTYPES[number]


def _check_kind(path: pathlib.Path) -> None:
  """Checks that a file is no other kind of PyTorch's archives."""
  if not zipfile.is_zipfile(path):
    raise ValueError('no zip archive, or cut short')
  with zipfile.ZipFile(path) as archive:
    # The end of an archive inside of it could be taken for its own.
    if any(archive.infolist()) and archive.infolist()[0].header_offset:
      raise ValueError('cut short')
    member_names = {
      part
      for name in archive.namelist()
      for part in (name, name.partition('/')[2])
    }
  if _GRAPH_NAME in member_names:
    return
  for member_name, description in _OTHER_FILES.items():
    if member_name in member_names:
      raise UserError(f'{path}: {description}; {EXPORT_AGAIN}.')
