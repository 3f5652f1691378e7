"""Finds the weights of an architecture among what a weight file holds.

Names and shapes decide, nothing else: where the weights lie in the file, and
what wrappers put before their names, is found by looking for them.
"""

import dataclasses
import functools
from typing import Any

import jax.numpy as jnp
import numpy as np

from dualgan_jax.display import format_shape
from dualgan_jax.errors import UserError
from dualgan_jax.networks import architectures, torch_layers
from dualgan_jax.networks.architectures import ARCHITECTURES
from dualgan_jax.teachers import weight_files
from dualgan_jax.teachers.safe_pickle import Inert
from dualgan_jax.teachers.torch_tensor import Tensor
from dualgan_jax.teachers.weight_files import Contents, StateDict
from dualgan_jax.training import console

# PyTorch's counts of batches, from which nothing is computed.
_COUNTS = ('num_batches_tracked', 'n_averaged')
# Parts of names that only wrappers have, wherever they stand: DataParallel's
# 'module', '_orig_mod' of torch.compile, '_fsdp_wrapped_module'.
_WRAPPER = 'module'
# Nets have a few thousand; of more the search would take its time.
_MOST_ENTRIES = 20_000
_SHOWN = 3


@dataclasses.dataclass(frozen=True)
class _Group:
  """The entries of a state dict whose names begin alike.

  Attributes:
    architecture: a key of `ARCHITECTURES`.
    state_dict: where they stand.
    prefix: what their names begin with, '' or up to a dot.
    entries: those that the architecture may have, by its names.
  """

  architecture: str
  state_dict: StateDict
  prefix: str
  entries: dict[str, Any]

  @property
  def place(self) -> str:
    """Where they stand, prefix included; '' if they are the whole file."""
    return f'{self.state_dict.place}.{self.prefix}'.strip('.')

  def shapes(self) -> dict[str, tuple[int, ...]]:
    """The shapes of those that are tensors."""
    tensors = {
      k: x for k, x in self.entries.items() if weight_files.is_tensor(x)
    }
    return {k: tuple(x.shape) for k, x in tensors.items()}


def take_over(
  field: str,
  name: str,
  contents: Contents,
  labels: int,
  image: tuple[int, int, int],
  *,
  index: int | str | None = None,
  stem_pool: bool | None = None,
) -> tuple[Any, ...]:
  """Makes the variables of an architecture from a weight file.

  Tensors that stand beside the weights are left out; a line says which.

  Args:
    field: of the config, for the messages.
    name: a key of `ARCHITECTURES`.
    contents: as `weight_files.contents` gives them.
    labels: how many the teacher answers.
    image: (height, width, channels) as this teacher takes it.
    index: a key or list position on the way to the weights; it is needed if
      several state dicts fit.
    stem_pool: what the config says of it, for a line if it says nothing.

  Returns:
    B + 1 variable dicts, as `Classifier.init` makes them.

  Raises:
    UserError: the file has too many entries; tensors are missing, of another
      shape or type, not finite, not known, or negative variances, or several
      state dicts fit; the message has their names, and the architecture or the
      labels and channels that they would fit.
  """
  if not contents.state_dicts:
    raise UserError(f'{field}: {contents.unreadable()}')
  num_entries = sum(len(x.entries) for x in contents.state_dicts)
  if num_entries > _MOST_ENTRIES:
    raise UserError(
      f'{field}: {contents.path} holds {num_entries:,} named entries, of '
      f'{_MOST_ENTRIES:,} at most; save the weights of the {name} alone.'
    )
  wanted = architectures.shapes(name, labels, image[-1])
  group = _chosen(field, name, contents, wanted, index)
  unknown, beside = _others(group, wanted)
  wrong = _disagreement(group, wanted, unknown)
  if wrong:
    hint = _fitting(contents, name) or _cure(group, name, labels, image)
    raise UserError(f'{field}: not the weights of a {name}: {wrong}{hint}.')
  variables = torch_layers.convert(
    _numbers(field, group, wanted), architectures.abstract(name, labels, image)
  )
  if beside:
    console.say(
      f'{field}: left out, beside the weights of a {name}: '
      f'{weight_files.some(beside)}'
    )
  if stem_pool is None and _is_of_torchvision(group, name):
    console.say(
      f"{field}: the names are torchvision's; if a max pool follows the first "
      f'convolution, as there, set stem_pool=True (now {name} has none)'
    )
  return variables


def _chosen(field, name, contents, wanted, index):
  """The group that fits, or else the one that has the most of the names."""
  everywhere = [g for x in contents.state_dicts for g in _groups(x, name)]
  groups = [g for g in everywhere if weight_files.leads_to(index, g.place)]
  if not groups:
    if not everywhere:
      raise UserError(f'{field}: {_without_names(contents, name)}.')
    places = weight_files.some([repr(x.place) for x in contents.state_dicts])
    raise UserError(
      f'{field}: no tensors of a {name} at index {index!r}; the file has dicts '
      f'of tensors at {places}; set index to one of these.'
    )
  fitting = [group for group in groups if group.shapes() == wanted]
  # Two names of the same tensors are no choice.
  different = {}
  for group in fitting:
    tensors = (group.entries[k] for k in wanted)
    same = tuple(x if isinstance(x, Tensor) else id(x) for x in tensors)
    different.setdefault(same, group)
  exact = [g for g in different.values() if g.place == str(index)]
  fitting = exact or list(different.values())
  if len(fitting) > 1:
    places = weight_files.some([repr(x.place) for x in fitting])
    raise UserError(
      f'{field}: {len(fitting)} state dicts in the file are weights of a '
      f'{name}, at {places}; choose one, like index={fitting[0].place!r}.'
    )
  return fitting[0] if fitting else max(groups, key=lambda g: len(g.entries))


def _groups(state_dict, name):
  """The entries that end in the architecture's names, by what precedes it."""
  names, lengths = _names_and_lengths(name)
  found = {}
  for key, value in _renamed(state_dict.entries, name).items():
    parts = key.rsplit('.', max(lengths))
    for length in lengths:
      ending = '.'.join(parts[-length:])
      if length <= len(parts) and ending in names:
        prefix = key.removesuffix(ending)
        found.setdefault(prefix, {})[ending] = value
  return [_Group(name, state_dict, k, entries) for k, entries in found.items()]


@functools.cache
def _names_and_lengths(name):
  """An architecture's names, and how many parts they have."""
  names = frozenset(architectures.shapes(name, 1, 1))
  return names, frozenset(x.count('.') + 1 for x in names)


def _renamed(entries, name):
  """The entries by the architecture's names, without parts of wrappers."""
  kept = {k: x for k, x in entries.items() if not k.endswith(_COUNTS)}
  plain = {_without_wrappers(k): x for k, x in kept.items()}
  if len(plain) < len(kept):  # the wrapper and what it wraps are both there
    plain = kept
  renamed = {}
  for key, value in plain.items():
    ours = f'.{key}'
    for theirs, new in ARCHITECTURES[name].renamed.items():
      ours = ours.replace(f'.{theirs}.', f'.{new}.')
    renamed[key if ours[1:] in plain else ours[1:]] = value
  return renamed


def _without_wrappers(key):
  parts = key.split('.')
  return '.'.join(x for x in parts if x != _WRAPPER and x[:1] != '_')


def _others(group, wanted):
  """The names of unknown entries in the net, and of tensors beside it."""
  modules = {name.partition('.')[0] for name in wanted}
  # Another whole net of the same names is none of this one's parts.
  copies = tuple(
    other.prefix
    for other in _groups(group.state_dict, group.architecture)
    if other.prefix not in ('', group.prefix)
    and wanted.keys() <= other.entries.keys()
  )
  unknown, beside = [], []
  entries = _renamed(group.state_dict.entries, group.architecture)
  for key, value in entries.items():
    is_within = key.startswith(group.prefix) and not key.startswith(copies)
    name = key.removeprefix(group.prefix)
    if is_within and name in group.entries:
      continue
    is_part = is_within and name.partition('.')[0] in modules
    if weight_files.is_tensor(value):
      is_part |= is_within and _is_of_layer(name, value)
      (unknown if is_part else beside).append(key if not is_part else name)
    elif isinstance(value, Inert) and is_part:
      unknown.append(name)
  return unknown, beside


def _is_of_layer(name, tensor):
  """Whether a tensor is one of a layer, which may change what a net answers."""
  leaf = name.rpartition('.')[-1]
  return leaf in ('bias', 'running_mean', 'running_var') or (
    leaf == 'weight' and len(tensor.shape) > 1
  )


def _disagreement(group, wanted, unknown):
  given = group.shapes()
  missing = [k for k in wanted if k not in group.entries]
  objects = [
    f'{k} is {weight_files.shown(x.name)}, which is not loaded'
    if isinstance(x, Inert)
    else f'{k} is no tensor'
    for k, x in group.entries.items()
    if not weight_files.is_tensor(x)
  ]
  other = [
    f'{k} is {format_shape(given[k])} instead of {format_shape(shape)}'
    for k, shape in wanted.items()
    if k in given and given[k] != shape
  ]
  return ', '.join(
    [
      f'{weight_files.some(x)} {what}'
      for x, what in ((missing, 'missing'), (unknown, 'unknown'))
      if x
    ]
    + objects[:_SHOWN]
    + other[:_SHOWN]
  )


def _without_names(contents, name):
  """Says that nothing is named as an architecture's parts are."""
  largest = max(contents.state_dicts, key=lambda x: len(x.tensors()))
  names = weight_files.some(list(largest.tensors()))
  text = f'not the weights of a {name}, which has no {names}'
  if contents.objects:
    return f'{text}; {contents.unreadable().removesuffix(".")}'
  return text + _fitting(contents, name)


def _fitting(contents, name):
  """A hint, where the file has the weights of other architectures."""
  others = []
  for other in (x for x in ARCHITECTURES if x != name):
    groups = [g for x in contents.state_dicts for g in _groups(x, other)]
    group = next((g for g in groups if _counts(g, other)), None)
    if group and not _others(group, group.shapes())[0]:
      others.append(other)
  if not others:
    return ''
  pool = ' (with stem_pool=True if a max pool follows the first convolution)'
  is_small = any(ARCHITECTURES[x].stem_pool is False for x in others)
  return (
    f'; by names and shapes only, they fit {", ".join(others)}'
    f'{pool if is_small else ""}'
  )


def _cure(group, name, labels, image):
  """A hint, where other labels or channels are all that is wrong."""
  counts = _counts(group, name)
  if not counts:
    return ''
  num_labels, channels = counts
  cures = []
  if num_labels != labels:
    cures.append(f'it answers {num_labels} labels, so name all of them')
  if channels != image[-1]:
    size = format_shape((*image[:-1], channels))
    cures.append(f'it takes {channels} channel(s), so set its size to {size}')
  return '; ' + ' and '.join(cures) if cures else ''


def _counts(group, name):
  """The labels and channels for which a group fits an architecture."""
  given = group.shapes()
  counts = architectures.labels_and_channels(name, given)
  fits = counts and architectures.shapes(name, *counts) == given
  return counts if fits else None


def _is_of_torchvision(group, name):
  """Whether a net for small images has the names of one for large ones."""
  return ARCHITECTURES[name].stem_pool is False and any(
    key.endswith('fc.weight') for key in group.state_dict.entries
  )


def _numbers(field, group, wanted):
  """The tensors as float32, if they are numbers that a net can have."""
  arrays = {}
  for name in wanted:
    try:
      array = weight_files.as_array(name, group.entries[name])
    except ValueError as e:
      raise UserError(f'{field}: {e}; bring the file again.') from e
    if not jnp.issubdtype(array.dtype, jnp.floating):
      raise UserError(
        f'{field}: {name} is of {array.dtype}; save the weights as they were '
        'before they were quantised.'
      )
    with np.errstate(over='ignore'):
      arrays[name] = np.asarray(array, np.float32)
  strange = [k for k, x in arrays.items() if not np.isfinite(x).all()]
  if strange:
    raise UserError(
      f'{field}: {weight_files.some(strange)} holds NaN or infinity; take '
      'weights of an earlier epoch.'
    )
  variances = {k: x for k, x in arrays.items() if k.endswith('running_var')}
  negative = [k for k, x in variances.items() if (x < 0).any()]
  if negative:
    raise UserError(
      f'{field}: {weight_files.some(negative)} holds negative variances; write '
      'the file again.'
    )
  return arrays
