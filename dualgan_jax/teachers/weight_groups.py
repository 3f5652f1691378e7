"""Groups the entries of a weight file by the prefix before a net's names.

An entry belongs to an architecture if its name ends in one of the
architecture's names, whatever wrappers have put before it.
"""

import collections
import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from dualgan_jax.networks import state_dict_shapes
from dualgan_jax.networks.architectures import ARCHITECTURES, Variant
from dualgan_jax.teachers import weight_files
from dualgan_jax.teachers.safe_pickle import Inert
from dualgan_jax.teachers.torch_tensor import Tensor
from dualgan_jax.teachers.weight_files import Contents, StateDict

# PyTorch's counts of batches, which affect no output.
_COUNT_NAMES = ('num_batches_tracked', 'n_averaged')
# Parts of names that only wrappers have, wherever they stand: DataParallel's
# 'module', '_orig_mod' of torch.compile, '_fsdp_wrapped_module'.
_WRAPPER_PART = 'module'
# By a tensor's name, its shape.
TensorShapes = Mapping[str, tuple[int, ...]]


@dataclasses.dataclass(frozen=True)
class WeightGroup:
  """The entries of a state dict whose names begin alike.

  Attributes:
    variant: of an architecture.
    state_dict: holds the entries.
    prefix: the beginning of their names, '' or up to a dot.
    entries: by the variant's names, the entries that have one.
  """

  variant: Variant
  state_dict: StateDict
  prefix: str
  entries: dict[str, Any]

  @property
  def place(self) -> str:
    """The keys that lead to the entries; '' if they are the whole file."""
    return f'{self.state_dict.place}.{self.prefix}'.strip('.')

  def tensor_shapes(self) -> dict[str, tuple[int, ...]]:
    """Lists the shapes of the entries that are tensors."""
    return {
      name: tuple(entry.shape)
      for name, entry in self.entries.items()
      if weight_files.is_tensor(entry)
    }


def find_groups(state_dict: StateDict, variant: Variant) -> list[WeightGroup]:
  """Groups the entries that end in the variant's names by their prefix."""
  # Names have one to a few parts, so a key has few endings to look up.
  names, lengths = _names_and_lengths(variant)
  entries_by_prefix = {}
  for key, entry in _rename(state_dict.entries, variant).items():
    key_parts = key.rsplit('.', max(lengths))
    for length in lengths:
      name = '.'.join(key_parts[-length:])
      if length <= len(key_parts) and name in names:
        prefix = key.removesuffix(name)
        entries_by_prefix.setdefault(prefix, {})[name] = entry
  return [
    WeightGroup(variant, state_dict, prefix, entries)
    for prefix, entries in entries_by_prefix.items()
  ]


def find_all_groups(contents: Contents, architecture: str) -> list[WeightGroup]:
  """Finds the groups of all variants of an architecture in a file."""
  return [
    group
    for state_dict in contents.state_dicts
    for variant in ARCHITECTURES[architecture]
    for group in find_groups(state_dict, variant)
  ]


@functools.cache
def _names_and_lengths(variant: Variant) -> tuple[frozenset, frozenset]:
  """Lists a variant's names, and the numbers of parts that they have."""
  names = frozenset(state_dict_shapes.tensor_names(variant))
  return names, frozenset(name.count('.') + 1 for name in names)


def _rename(entries: Mapping[str, Any], variant: Variant) -> dict[str, Any]:
  """Renames entries as the variant does, and strips wrappers' parts."""
  relevant = {
    key: entry
    for key, entry in entries.items()
    if not key.endswith(_COUNT_NAMES)
  }
  unwrapped = {_strip_wrappers(key): entry for key, entry in relevant.items()}
  # The wrapper and the net inside it can both be there.
  if len(unwrapped) < len(relevant):
    unwrapped = relevant
  new_keys = {key: _rename_parts(key, variant) for key in unwrapped}
  # Parts of two names, as two dense layers of a head, are not the same part.
  num_uses = collections.Counter(new_keys.values())
  return {
    new_keys[key] if num_uses[new_keys[key]] == 1 else key: entry
    for key, entry in unwrapped.items()
  }


def _rename_parts(key: str, variant: Variant) -> str:
  """Replaces other names of parts by the variant's names of them."""
  # With a dot in front, each part of the name is between dots.
  new_key = f'.{key}'
  for old_part, new_part in variant.renamed.items():
    new_key = new_key.replace(f'.{old_part}.', f'.{new_part}.')
  return new_key[1:]


def _strip_wrappers(key: str) -> str:
  """Drops the parts of a name that wrappers have put there."""
  return '.'.join(
    part for part in key.split('.') if part != _WRAPPER_PART and part[:1] != '_'
  )


def find_other_names(
  group: WeightGroup, expected_shapes: TensorShapes
) -> tuple[list[str], list[str]]:
  """Finds the entries of a state dict that the variant does not have.

  Returns:
    The names of entries inside the net, which may change its outputs, and of
    tensors that do not belong to it, such as an optimiser's.
  """
  net_modules = {name.partition('.')[0] for name in expected_shapes}
  # Another complete net of the same names is no part of this one.
  copy_prefixes = tuple(
    other_group.prefix
    for other_group in find_groups(group.state_dict, group.variant)
    if other_group.prefix not in ('', group.prefix)
    and expected_shapes.keys() <= other_group.entries.keys()
  )
  unknown_names, unrelated_names = [], []
  entries = _rename(group.state_dict.entries, group.variant)
  for key, entry in entries.items():
    is_within = key.startswith(group.prefix) and not key.startswith(
      copy_prefixes
    )
    name = key.removeprefix(group.prefix)
    if is_within and name in group.entries:
      continue
    # The rest is the net's if it lies in one of its modules, or looks like a
    # layer; an optimiser's tensors do neither.
    is_of_net = is_within and name.partition('.')[0] in net_modules
    if weight_files.is_tensor(entry):
      is_of_net |= is_within and _is_of_layer(name, entry)
      if is_of_net:
        unknown_names.append(name)
      else:
        unrelated_names.append(key)
    elif isinstance(entry, Inert) and is_of_net:
      unknown_names.append(name)
  return unknown_names, unrelated_names


def _is_of_layer(name: str, tensor: Tensor | np.ndarray) -> bool:
  """Returns whether a tensor is a layer's, and may change a net's outputs."""
  leaf_name = name.rpartition('.')[-1]
  return leaf_name in ('bias', 'running_mean', 'running_var') or (
    leaf_name == 'weight' and len(tensor.shape) > 1
  )
