"""Finds weight files, and the state dicts in them.

They are safetensors files, or PyTorch's, which are read without PyTorch and
without executing anything (`torch_file.py`). `weight_matching.py` finds the
state dict that has an architecture's weights.
"""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import huggingface_hub
import numpy as np
from safetensors.numpy import load_file

from dualgan_jax.display import printable
from dualgan_jax.errors import UserError, first_line
from dualgan_jax.teachers import torch_file
from dualgan_jax.teachers.safe_pickle import Inert
from dualgan_jax.teachers.torch_file import SAVE_AGAIN
from dualgan_jax.teachers.torch_tensor import Tensor

_HUB_SCHEME = 'hf://'
_HUB_DEFAULT_FILE = 'model.safetensors'
# Dicts in dicts are searched so deep; nobody saves weights deeper.
_MAX_LEVELS = 10
_MAX_NAME_LENGTH = 80  # characters of a name that are shown
_MAX_ERROR_LENGTH = 200
_MAX_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class StateDict:
  """A dict of tensors in a file.

  Attributes:
    place: the keys and list positions that lead to it, joined by dots; '' if
      it is the whole file.
    entries: by name, its values; a tensor is a `Tensor` or an array.
  """

  place: str
  entries: Mapping[str, Any]

  def tensors(self) -> dict[str, Any]:
    """Lists the entries that are tensors."""
    return {
      name: value for name, value in self.entries.items() if is_tensor(value)
    }


@dataclasses.dataclass(frozen=True)
class Contents:
  """The contents of a weight file.

  Attributes:
    path: of the file.
    state_dicts: all dicts with tensors under names, in the file's order.
    nameless: the places of tensors in lists, or whose keys are no texts.
    objects: by place, the classes of the first objects that are not loaded.
  """

  path: pathlib.Path
  state_dicts: tuple[StateDict, ...]
  nameless: tuple[str, ...] = ()
  objects: Mapping[str, str] = dataclasses.field(default_factory=dict)

  def describe_unreadable(self) -> str:
    """Describes a file without state dicts, in a sentence for the user."""
    # An object that is not loaded is the likeliest to hide the weights.
    if self.objects:
      place, class_name = next(iter(self.objects.items()))
      location = f' (at {place!r})' if place else ''
      return (
        f'{self.path}: holds {shorten(class_name)}{location}, which is more '
        f'than tensors, and is not loaded; {SAVE_AGAIN}.'
      )
    if self.nameless:
      place = self.nameless[0]
      location = f' at {place!r}' if place else ''
      return (
        f'{self.path}: its tensors{location} have no names (they are in a '
        f'list, or their keys are no texts); {SAVE_AGAIN}.'
      )
    return f'{self.path}: holds no dict of tensors; {SAVE_AGAIN}.'


def find(field: str, address: str) -> pathlib.Path:
  """Finds a weight file; one of the Hugging Face Hub is downloaded first.

  Args:
    field: of the config, for the messages.
    address: a path, or `hf://owner/name[/file]`; without a file it is
      'model.safetensors'.

  Raises:
    UserError: there is no such file, here or there, or it may not be read.
  """
  if not address.startswith(_HUB_SCHEME):
    return find_local(field, address)
  # Repositories are named owner/name; the rest is a path inside.
  owner, _, owner_path = address.removeprefix(_HUB_SCHEME).partition('/')
  repository, _, file_name = owner_path.partition('/')
  if not owner or not repository:
    raise UserError(
      f'{field}: {address} names no repository; write hf://owner/name or '
      'hf://owner/name/file.'
    )
  try:
    downloaded_path = huggingface_hub.hf_hub_download(
      f'{owner}/{repository}', file_name or _HUB_DEFAULT_FILE
    )
  # The Hub's library raises exceptions of several other libraries, too.
  except Exception as error:
    raise UserError(
      f'{field}: {address} cannot be brought ({first_line(error)}); look for '
      'it on huggingface.co, or give the path of a local file.'
    ) from error
  return pathlib.Path(downloaded_path)


def find_local(field: str, address: str) -> pathlib.Path:
  """Finds a file of this machine.

  Args:
    field: of the config, for the messages.
    address: its path; `~` is the home folder.

  Raises:
    UserError: there is no such file, or it may not be read.
  """
  # `pathlib` would raise an error for the home of an unknown user.
  path = pathlib.Path(os.path.expanduser(address))
  if not os.path.isfile(path):
    raise UserError(f'{field}: there is no file {path.absolute()}.')
  # `os.access` would not know of every reason why it cannot be read.
  try:
    path.open('rb').close()
  except OSError as error:
    raise UserError(
      f'{field}: {path.absolute()} cannot be read ({error.strerror}).'
    ) from error
  return path


def digest(path: pathlib.Path) -> str:
  """Computes the SHA-256 sum of a file, as hexadecimal digits."""
  with path.open('rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def read(
  path: str | pathlib.Path, index: int | str | None = None
) -> dict[str, np.ndarray]:
  """Reads all tensors of a state dict, by their names in the file.

  Args:
    path: of a `.safetensors` file, or of one that `torch.save` wrote.
    index: the key or list position of the state dict, if there are several.
      Without it the one with the most tensors is taken.

  Raises:
    UserError: there is no such file, it is damaged, it holds something else, or
      several of its state dicts have the most tensors.
  """
  path = find_local('weights', str(path))
  contents = read_contents(path)
  if not contents.state_dicts:
    raise UserError(contents.describe_unreadable())
  state_dicts = [
    state_dict
    for state_dict in contents.state_dicts
    if leads_to(index, state_dict.place)
  ]
  if not state_dicts:
    places = list_some([repr(x.place) for x in contents.state_dicts])
    raise UserError(
      f'{path}: holds no dict of tensors at index {index!r}, but at {places}; '
      'set index to one of these.'
    )
  # An optimiser's state has its tensors in many small dicts.
  most_tensors = max(len(state_dict.tensors()) for state_dict in state_dicts)
  largest = [
    state_dict
    for state_dict in state_dicts
    if len(state_dict.tensors()) == most_tensors
  ]
  if len(largest) > 1:
    places = list_some([repr(state_dict.place) for state_dict in largest])
    raise UserError(
      f'{path}: holds {len(largest)} dicts of {most_tensors} tensors, at '
      f'{places}; set index to one of these.'
    )
  try:
    return {
      name: as_array(name, tensor)
      for name, tensor in largest[0].tensors().items()
    }
  except ValueError as error:
    raise UserError(f'{path}: {error}; bring the file again.') from error


def read_contents(path: pathlib.Path) -> Contents:
  """Finds the state dicts of a file.

  Args:
    path: of a file.

  Raises:
    UserError: it is damaged, or neither a safetensors file nor of torch.save.
  """
  if path.suffix.lower() == '.safetensors':
    return Contents(path, (StateDict('', _read_safetensors(path)),))
  # Tensors without names and objects matter only if there is no state dict.
  state_dicts, nameless, objects = [], [], {}
  for place, value in _walk(torch_file.load(path)):
    if isinstance(value, Tensor):
      nameless.append(place)
    elif isinstance(value, Inert) and len(objects) < _MAX_SHOWN:
      objects[place] = value.name
    elif isinstance(value, dict) and any(
      _is_named_tensor(item) for item in value.items()
    ):
      entries = {
        name: entry for name, entry in value.items() if isinstance(name, str)
      }
      state_dicts.append(StateDict(place, entries))
  return Contents(path, tuple(state_dicts), tuple(nameless), objects)


def _walk(root: Any) -> Iterator[tuple[str, Any]]:
  """Yields containers, and the tensors and objects in them, with their places.

  Tensors that have a name belong to their dict, and are left out. It works
  without recursion, and visits nothing twice: a file may be nested deeply, and
  hold the same values in many places.
  """
  levels, visited_ids = [('', iter([('', root)]))], set()
  while levels:
    parent_place, items = levels[-1]
    for key, value in items:
      is_container = isinstance(value, dict | list | tuple)
      if (is_container and (not value or id(value) in visited_ids)) or not (
        is_container or isinstance(value, Tensor | Inert)
      ):
        continue
      place = f'{parent_place}.{shorten(key)}'.strip('.')
      yield place, value
      # Go down at once, and return to the rest of these items later.
      if is_container and len(levels) <= _MAX_LEVELS:
        visited_ids.add(id(value))
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        levels.append(
          (place, (pair for pair in pairs if not _is_named_tensor(pair)))
        )
        break
    else:
      levels.pop()


def _is_named_tensor(item: tuple[Any, Any]) -> bool:
  """Returns whether a key and a value are a name and a tensor."""
  key, value = item
  return isinstance(key, str) and is_tensor(value)


def _read_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
  """Reads a safetensors file.

  Raises:
    UserError: it is damaged, or of a type of numbers that NumPy lacks.
  """
  try:
    return load_file(path)
  # NumPy lacks some types of numbers, and the library leaves it to NumPy.
  except Exception as error:
    raise UserError(
      f'{path}: damaged, or no safetensors file of numbers that NumPy has '
      f'({printable(str(error), _MAX_ERROR_LENGTH)}).'
    ) from error


def is_tensor(value: Any) -> bool:
  """Returns whether a value of a state dict is a tensor."""
  return isinstance(value, Tensor | np.ndarray)


def as_array(name: str, tensor: Tensor | np.ndarray) -> np.ndarray:
  """Reads the numbers of a tensor.

  Args:
    name: of the tensor, for the message.
    tensor: from a state dict.

  Raises:
    ValueError: the file does not hold them; the message has the name.
  """
  try:
    return tensor.array() if isinstance(tensor, Tensor) else tensor
  except ValueError as error:
    raise ValueError(f'{shorten(name)} {error}') from error


def leads_to(index: int | str | None, place: str) -> bool:
  """Returns whether an index is None, or a part of a place."""
  # Dots at both ends keep '1' from matching in '10'.
  return index is None or f'.{index}.' in f'.{place}.'


def list_some(names: list[str]) -> str:
  """Lists the first of some names from a file, and how many more there are."""
  num_hidden = len(names) - _MAX_SHOWN
  listed = ', '.join(shorten(name) for name in names[:_MAX_SHOWN])
  return listed + (f' and {num_hidden} more' if num_hidden > 0 else '')


def shorten(name: Any) -> str:
  """Formats a key from a file as one short line without control characters."""
  # A file may have objects of unknown classes as keys.
  if isinstance(name, Inert):
    name = name.name
  text = str(name) if isinstance(name, str | int) else repr(name)
  return printable(text, _MAX_NAME_LENGTH)
