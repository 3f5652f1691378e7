"""Finds weight files, and the state dicts in them.

They are safetensors files, or PyTorch's, which are read without PyTorch and
without executing anything (`torch_file.py`). Which of a file's state dicts has
an architecture's weights is found by `weight_matching.py`.
"""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Mapping
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

_HUB = 'hf://'
_HUB_FILE = 'model.safetensors'
# Dicts in dicts that are looked into; nobody saves weights deeper.
_MOST_LEVELS = 10
_LONGEST = 80  # characters of a name that are shown
_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class StateDict:
  """A dict of tensors in a file.

  Attributes:
    place: the keys and list positions that lead to it, joined by dots; '' if
      it is the whole file.
    entries: what it holds, by name; a tensor is a `Tensor` or an array.
  """

  place: str
  entries: Mapping[str, Any]

  def tensors(self) -> dict[str, Any]:
    """The entries that are tensors."""
    return {k: x for k, x in self.entries.items() if is_tensor(x)}


@dataclasses.dataclass(frozen=True)
class Contents:
  """What a weight file holds.

  Attributes:
    path: of the file.
    state_dicts: all dicts with tensors under names, in the file's order.
    nameless: the places of tensors in lists, or whose keys are no texts.
    objects: the places of the first objects that are not loaded, and their
      classes.
  """

  path: pathlib.Path
  state_dicts: tuple[StateDict, ...]
  nameless: tuple[str, ...] = ()
  objects: Mapping[str, str] = dataclasses.field(default_factory=dict)

  def unreadable(self) -> str:
    """Says what the file holds instead of weights."""
    if self.objects:
      place, name = next(iter(self.objects.items()))
      where = f' (at {place!r})' if place else ''
      return (
        f'{self.path}: holds {shown(name)}{where}, which is more than tensors, '
        f'and is not loaded; {SAVE_AGAIN}.'
      )
    if self.nameless:
      where = f' at {self.nameless[0]!r}' if self.nameless[0] else ''
      return (
        f'{self.path}: its tensors{where} have no names (they are in a list, '
        f'or their keys are no texts); {SAVE_AGAIN}.'
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
  if not address.startswith(_HUB):
    return find_local(field, address)
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


def find_local(field: str, address: str) -> pathlib.Path:
  """Finds a file of this machine.

  Args:
    field: of the config, for the messages.
    address: its path; `~` is the home folder.

  Raises:
    UserError: there is no such file, or it may not be read.
  """
  path = pathlib.Path(os.path.expanduser(address))
  if not os.path.isfile(path):
    raise UserError(f'{field}: there is no file {path.absolute()}.')
  try:
    path.open('rb').close()
  except OSError as e:
    raise UserError(
      f'{field}: {path.absolute()} cannot be read ({e.strerror}).'
    ) from e
  return path


def digest(path: pathlib.Path) -> str:
  """Computes the SHA-256 sum of a file, as hexadecimal digits."""
  with path.open('rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def read(
  path: str | pathlib.Path, index: int | str | None = None
) -> dict[str, np.ndarray]:
  """Reads all tensors of a file, by the names that they have there.

  Args:
    path: of a `.safetensors` file, or of one that `torch.save` wrote.
    index: the key or list position of the state dict, if there are several.
      Without it the one with the most tensors is taken.

  Raises:
    UserError: there is no such file, it is damaged, it holds something else, or
      several of its state dicts have the most tensors.
  """
  path = find_local('weights', str(path))
  found = contents(path)
  if not found.state_dicts:
    raise UserError(found.unreadable())
  state_dicts = [x for x in found.state_dicts if leads_to(index, x.place)]
  if not state_dicts:
    places = some([repr(x.place) for x in found.state_dicts])
    raise UserError(
      f'{path}: holds no dict of tensors at index {index!r}, but at {places}; '
      'set index to one of these.'
    )
  most = max(len(x.tensors()) for x in state_dicts)
  largest = [x for x in state_dicts if len(x.tensors()) == most]
  if len(largest) > 1:
    places = some([repr(x.place) for x in largest])
    raise UserError(
      f'{path}: holds {len(largest)} dicts of {most} tensors, at {places}; set '
      'index to one of these.'
    )
  try:
    return {k: as_array(k, x) for k, x in largest[0].tensors().items()}
  except ValueError as e:
    raise UserError(f'{path}: {e}; bring the file again.') from e


def contents(path: pathlib.Path) -> Contents:
  """Looks for the state dicts of a file.

  Args:
    path: of a file.

  Raises:
    UserError: it is damaged, or neither a safetensors file nor of torch.save.
  """
  if path.suffix.lower() == '.safetensors':
    return Contents(path, (StateDict('', _safetensors(path)),))
  state_dicts, nameless, objects = [], [], {}
  for place, value in _nested(torch_file.load(path)):
    if isinstance(value, Tensor):
      nameless.append(place)
    elif isinstance(value, Inert) and len(objects) < _SHOWN:
      objects[place] = value.name
    elif isinstance(value, dict) and any(_is_named(x) for x in value.items()):
      named = {k: x for k, x in value.items() if isinstance(k, str)}
      state_dicts.append(StateDict(place, named))
  return Contents(path, tuple(state_dicts), tuple(nameless), objects)


def _nested(root):
  """Yields dicts, lists and what is in them with their places, in order.

  Without recursion, and nothing twice: a file may be nested deeply, and hold
  the same values in many places.
  """
  levels, visited = [('', iter([('', root)]))], set()
  while levels:
    above, items = levels[-1]
    for key, value in items:
      is_nest = isinstance(value, dict | list | tuple)
      if (is_nest and (not value or id(value) in visited)) or not (
        is_nest or isinstance(value, Tensor | Inert)
      ):
        continue
      place = f'{above}.{shown(key)}'.strip('.')
      yield place, value
      if is_nest and len(levels) <= _MOST_LEVELS:
        visited.add(id(value))
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        levels.append((place, (x for x in pairs if not _is_named(x))))
        break
    else:
      levels.pop()


def _is_named(item):
  """Whether a key and a value are a name and a tensor."""
  return isinstance(item[0], str) and is_tensor(item[1])


def _safetensors(path):
  try:
    return load_file(path)
  # NumPy lacks some types of numbers, and the library leaves it to NumPy.
  except Exception as e:
    raise UserError(
      f'{path}: damaged, or no safetensors file of numbers that NumPy has '
      f'({printable(str(e), 200)}).'
    ) from e


def is_tensor(value: Any) -> bool:
  """Whether a value of a state dict is a tensor."""
  return isinstance(value, Tensor | np.ndarray)


def as_array(name: str, tensor: Tensor | np.ndarray) -> np.ndarray:
  """Reads the numbers of a tensor.

  Raises:
    ValueError: the file does not hold them; the message has the name.
  """
  try:
    return tensor.array() if isinstance(tensor, Tensor) else tensor
  except ValueError as e:
    raise ValueError(f'{shown(name)} {e}') from e


def leads_to(index: int | str | None, place: str) -> bool:
  """Whether an index is among the keys and positions of a place."""
  return index is None or f'.{index}.' in f'.{place}.'


def some(texts: list[str]) -> str:
  """Lists the first of some texts, and says how many more there are."""
  more = len(texts) - _SHOWN
  listed = ', '.join(shown(x) for x in texts[:_SHOWN])
  return listed + (f' and {more} more' if more > 0 else '')


def shown(text: Any) -> str:
  """Makes text from a file fit to be shown: one short line, nothing unseen."""
  if isinstance(text, Inert):
    text = text.name
  text = str(text) if isinstance(text, str | int) else repr(text)
  return printable(text, _LONGEST)
