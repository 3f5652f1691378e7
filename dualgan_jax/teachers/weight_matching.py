"""Finds the weights of an architecture in the contents of a weight file.

Only names and shapes decide. Neither the weights' place in the file nor the
prefixes that wrappers put before their names need be known.
"""

from collections.abc import Iterable
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
from dualgan_jax.teachers.weight_files import Contents, list_some
from dualgan_jax.teachers.weight_groups import (
  TensorShapes,
  WeightGroup,
  find_groups,
  find_other_names,
)
from dualgan_jax.training import console

# Nets have a few thousand; with more the search would take long.
_MAX_ENTRIES = 20_000
_MAX_SHOWN = 3


def load_variables(
  field: str,
  architecture: str,
  contents: Contents,
  num_labels: int,
  image_shape: tuple[int, int, int],
  *,
  index: int | str | None = None,
  stem_pool: bool | None = None,
) -> tuple[Any, ...]:
  """Makes the variables of an architecture from a weight file.

  Tensors that do not belong to the net are left out; a line lists them.

  Args:
    field: of the config, for the messages.
    architecture: a key of `ARCHITECTURES`.
    contents: as `weight_files.read_contents` returns them.
    num_labels: number of labels that the teacher answers.
    image_shape: (height, width, channels) as this teacher takes it.
    index: a key or list position on the way to the weights; it is needed if
      several state dicts fit.
    stem_pool: the config's value; if it is None, a line says when the weights
      may need it.

  Returns:
    B + 1 variable dicts, as `Classifier.init` makes them.

  Raises:
    UserError: the file has too many entries; tensors are missing, of another
      shape or type, not finite, not known, or negative variances, or several
      state dicts fit; the message has their names, and the architecture or the
      labels and channels that they would fit.
  """
  if not contents.state_dicts:
    raise UserError(f'{field}: {contents.describe_unreadable()}')
  num_entries = sum(
    len(state_dict.entries) for state_dict in contents.state_dicts
  )
  if num_entries > _MAX_ENTRIES:
    raise UserError(
      f'{field}: {contents.path} holds {num_entries:,} named entries, of '
      f'{_MAX_ENTRIES:,} at most; save the weights of the {architecture} alone.'
    )

  # Which entries are the net's follows from the names that it must have.
  expected_shapes = architectures.tensor_shapes(
    architecture, num_labels, image_shape[-1]
  )
  group = _choose_group(field, architecture, contents, expected_shapes, index)
  unknown_names, unrelated_names = find_other_names(group, expected_shapes)
  disagreement = _describe_disagreement(group, expected_shapes, unknown_names)
  if disagreement:
    # Another architecture, or other labels, may be all that is wrong.
    hint = _hint_at_architectures(contents, architecture) or _hint_at_counts(
      group, architecture, num_labels, image_shape
    )
    raise UserError(
      f'{field}: not the weights of a {architecture}: {disagreement}{hint}.'
    )

  variables = torch_layers.convert_state_dict(
    _checked_arrays(field, group, expected_shapes),
    architectures.abstract_variables(architecture, num_labels, image_shape),
  )
  if unrelated_names:
    console.say(
      f'{field}: left out, beside the weights of a {architecture}: '
      f'{list_some(unrelated_names)}'
    )
  if stem_pool is None and _has_torchvision_names(group):
    console.say(
      f"{field}: the names are torchvision's; if a max pool follows the first "
      f'convolution, as there, set stem_pool=True (now {architecture} has none)'
    )
  return variables


def _choose_group(
  field: str,
  architecture: str,
  contents: Contents,
  expected_shapes: TensorShapes,
  index: int | str | None,
) -> WeightGroup:
  """Chooses the group that fits, or else the one with the most entries.

  Raises:
    UserError: no tensor has a name of the architecture, or several groups fit.
  """
  # The same names can follow several prefixes, in several state dicts.
  all_groups = [
    group
    for state_dict in contents.state_dicts
    for group in find_groups(state_dict, architecture)
  ]
  groups = [
    group for group in all_groups if weight_files.leads_to(index, group.place)
  ]
  if not groups:
    if not all_groups:
      raise UserError(f'{field}: {_describe_no_match(contents, architecture)}.')
    places = list_some([repr(x.place) for x in contents.state_dicts])
    raise UserError(
      f'{field}: no tensors of a {architecture} at index {index!r}; the file '
      f'has dicts of tensors at {places}; set index to one of these.'
    )

  # A group that fits wins, however many entries others have.
  fitting = [
    group for group in groups if group.tensor_shapes() == expected_shapes
  ]
  # Saved under two names, the same tensors leave nothing to choose.
  distinct = {}
  for group in fitting:
    tensors = (group.entries[name] for name in expected_shapes)
    identity = tuple(
      tensor if isinstance(tensor, Tensor) else id(tensor) for tensor in tensors
    )
    distinct.setdefault(identity, group)
  # An index may name a group, and others below it.
  exact = [group for group in distinct.values() if group.place == str(index)]
  fitting = exact or list(distinct.values())
  if len(fitting) > 1:
    places = list_some([repr(group.place) for group in fitting])
    raise UserError(
      f'{field}: {len(fitting)} state dicts in the file are weights of a '
      f'{architecture}, at {places}; choose one, like '
      f'index={fitting[0].place!r}.'
    )
  if fitting:
    return fitting[0]
  return max(groups, key=lambda group: len(group.entries))


def _describe_disagreement(
  group: WeightGroup, expected_shapes: TensorShapes, unknown_names: list[str]
) -> str:
  """Lists missing, unknown and misshapen entries; '' if there are none."""
  actual_shapes = group.tensor_shapes()
  missing_names = [
    name for name in expected_shapes if name not in group.entries
  ]
  no_tensors = [
    f'{name} is {weight_files.shorten(entry.name)}, which is not loaded'
    if isinstance(entry, Inert)
    else f'{name} is no tensor'
    for name, entry in group.entries.items()
    if not weight_files.is_tensor(entry)
  ]
  misshapen = [
    f'{name} is {format_shape(actual_shapes[name])} instead of '
    f'{format_shape(shape)}'
    for name, shape in expected_shapes.items()
    if name in actual_shapes and actual_shapes[name] != shape
  ]
  # Whole tensors first, then those that are there but wrong.
  return ', '.join(
    [
      f'{list_some(names)} {adjective}'
      for names, adjective in (
        (missing_names, 'missing'),
        (unknown_names, 'unknown'),
      )
      if names
    ]
    + no_tensors[:_MAX_SHOWN]
    + misshapen[:_MAX_SHOWN]
  )


def _describe_no_match(contents: Contents, architecture: str) -> str:
  """Says that no entry is named as a part of the architecture is."""
  largest = max(
    contents.state_dicts, key=lambda state_dict: len(state_dict.tensors())
  )
  # The largest state dict is the likeliest to be the weights.
  names = list_some(list(largest.tensors()))
  sentence = f'not the weights of a {architecture}, which has no {names}'
  if contents.objects:
    return f'{sentence}; {contents.describe_unreadable().removesuffix(".")}'
  return sentence + _hint_at_architectures(contents, architecture)


def _hint_at_architectures(contents: Contents, architecture: str) -> str:
  """Lists other architectures that a file has weights of, as a hint."""
  fitting = []
  for candidate in (name for name in ARCHITECTURES if name != architecture):
    groups = [
      group
      for state_dict in contents.state_dicts
      for group in find_groups(state_dict, candidate)
    ]
    group = next((group for group in groups if _infer_counts(group)), None)
    # A deeper net has all tensors of a shallower one, and unknown ones.
    if group and not find_other_names(group, group.tensor_shapes())[0]:
      fitting.append(candidate)
  if not fitting:
    return ''
  pool_hint = (
    ' (with stem_pool=True if a max pool follows the first convolution)'
    if any(ARCHITECTURES[name].stem_pool is False for name in fitting)
    else ''
  )
  return f'; by names and shapes only, they fit {", ".join(fitting)}{pool_hint}'


def _hint_at_counts(
  group: WeightGroup,
  architecture: str,
  num_labels: int,
  image_shape: tuple[int, int, int],
) -> str:
  """Gives a hint where only the number of labels or channels is wrong."""
  counts = _infer_counts(group)
  if not counts:
    return ''
  file_labels, file_channels = counts
  cures = []
  if file_labels != num_labels:
    cures.append(f'it answers {file_labels} labels, so name all of them')
  if file_channels != image_shape[-1]:
    size = format_shape((*image_shape[:-1], file_channels))
    cures.append(
      f'it takes {file_channels} channel(s), so set its size to {size}'
    )
  return '; ' + ' and '.join(cures) if cures else ''


def _infer_counts(group: WeightGroup) -> tuple[int, int] | None:
  """Infers for how many labels and channels a group fits its architecture."""
  actual_shapes = group.tensor_shapes()
  counts = architectures.infer_labels_and_channels(
    group.architecture, actual_shapes
  )
  if not counts:
    return None
  fits = (
    architectures.tensor_shapes(group.architecture, *counts) == actual_shapes
  )
  return counts if fits else None


def _has_torchvision_names(group: WeightGroup) -> bool:
  """Returns whether a net for small images has a large one's names."""
  return ARCHITECTURES[group.architecture].stem_pool is False and any(
    key.endswith('fc.weight') for key in group.state_dict.entries
  )


def _checked_arrays(
  field: str, group: WeightGroup, names: Iterable[str]
) -> dict[str, np.ndarray]:
  """Reads the tensors as float32, and checks that a net can have them.

  Raises:
    UserError: they are damaged, quantised, not finite, or negative variances.
  """
  arrays = {}
  for name in names:
    try:
      array = weight_files.as_array(name, group.entries[name])
    except ValueError as error:
      raise UserError(f'{field}: {error}; bring the file again.') from error
    if not jnp.issubdtype(array.dtype, jnp.floating):
      raise UserError(
        f'{field}: {name} is of {array.dtype}; save the weights as they were '
        'before they were quantised.'
      )
    # Values beyond float32 become infinite, and are named below.
    with np.errstate(over='ignore'):
      arrays[name] = np.asarray(array, np.float32)
  not_finite = [
    name for name, array in arrays.items() if not np.isfinite(array).all()
  ]
  if not_finite:
    raise UserError(
      f'{field}: {list_some(not_finite)} holds NaN or infinity; take '
      'weights of an earlier epoch.'
    )
  negative = [
    name
    for name, array in arrays.items()
    if name.endswith('running_var') and (array < 0).any()
  ]
  if negative:
    raise UserError(
      f'{field}: {list_some(negative)} holds negative variances; write '
      'the file again.'
    )
  return arrays
