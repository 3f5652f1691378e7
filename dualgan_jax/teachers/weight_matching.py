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
from dualgan_jax.networks import state_dict_shapes, torch_layers
from dualgan_jax.networks.architectures import ARCHITECTURES, Variant
from dualgan_jax.teachers import weight_files, weight_hints
from dualgan_jax.teachers.safe_pickle import Inert
from dualgan_jax.teachers.torch_tensor import Tensor
from dualgan_jax.teachers.weight_files import Contents, list_some
from dualgan_jax.teachers.weight_groups import (
  TensorShapes,
  WeightGroup,
  find_all_groups,
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
) -> tuple[Variant, tuple[Any, ...]]:
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
    stem_pool: the config's value, which names of torchvision need.

  Returns:
    The variant of the architecture that the file holds, and its B + 1 variable
    dicts, as `Classifier.init` makes them.

  Raises:
    UserError: the file has too many entries; tensors are missing, of another
      shape or type, not finite, not known, or negative variances, or several
      state dicts fit; the message has their names, and the architecture or the
      labels and channels that they would fit. Or the names leave open whether
      there is a pool, and `stem_pool` is None.
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
  group = _choose_group(
    field, architecture, contents, num_labels, image_shape, index
  )
  expected_shapes = state_dict_shapes.tensor_shapes(
    group.variant, num_labels, image_shape
  )
  unknown_names, unrelated_names = find_other_names(group, expected_shapes)
  disagreement = _describe_disagreement(group, expected_shapes, unknown_names)
  if disagreement:
    # Another architecture, or other labels, may be all that is wrong.
    hint = weight_hints.describe_cure(
      contents, architecture, group, num_labels, image_shape
    )
    raise UserError(
      f'{field}: not the weights of a {architecture}: {disagreement}{hint}.'
    )

  _check_stem_pool(field, group, stem_pool)
  variables = torch_layers.convert_state_dict(
    _checked_arrays(field, group, expected_shapes),
    state_dict_shapes.abstract_variables(
      group.variant, num_labels, image_shape
    ),
  )
  if unrelated_names:
    console.say(
      f'{field}: left out, beside the weights of a {architecture}: '
      f'{list_some(unrelated_names)}'
    )
  return group.variant, variables


def _choose_group(
  field: str,
  architecture: str,
  contents: Contents,
  num_labels: int,
  image_shape: tuple[int, int, int],
  index: int | str | None,
) -> WeightGroup:
  """Chooses the group that fits, or else the one that comes closest.

  Raises:
    UserError: no tensor has a name of the architecture, or several groups fit.
  """
  # The same names can follow several prefixes, in several state dicts.
  all_groups = find_all_groups(contents, architecture)
  groups = [
    group for group in all_groups if weight_files.leads_to(index, group.place)
  ]
  if not groups:
    if not all_groups:
      sentence = weight_hints.describe_no_match(
        contents, architecture, image_shape
      )
      raise UserError(f'{field}: {sentence}.')
    places = list_some([repr(x.place) for x in contents.state_dicts])
    raise UserError(
      f'{field}: no tensors of a {architecture} at index {index!r}; the file '
      f'has dicts of tensors at {places}; set index to one of these.'
    )

  # A group that fits wins, however many entries others have.
  expected_shapes = {
    variant: state_dict_shapes.tensor_shapes(variant, num_labels, image_shape)
    for variant in ARCHITECTURES[architecture]
  }
  fitting = [
    group
    for group in groups
    if group.tensor_shapes() == expected_shapes[group.variant]
    # A net without some layers is no part of the same net with them.
    and not find_other_names(group, expected_shapes[group.variant])[0]
  ]
  # Saved under two names, the same tensors leave nothing to choose.
  distinct = {}
  for group in fitting:
    tensors = (group.entries[name] for name in expected_shapes[group.variant])
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

  def count_matches(group):
    shapes = expected_shapes[group.variant].items()
    return len(shapes & group.tensor_shapes().items())

  return max(groups, key=count_matches)


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


def _check_stem_pool(
  field: str, group: WeightGroup, stem_pool: bool | None
) -> None:
  """Checks that a config says what torchvision's names leave open.

  Raises:
    UserError: a net for small images has a large one's names, with which some
      repositories keep torchvision's max pool and others don't.
  """
  has_torchvision_names = any(
    'downsample' in key.split('.') for key in group.state_dict.entries
  )
  if (
    group.variant.stem_pool is False
    and stem_pool is None
    and has_torchvision_names
  ):
    raise UserError(
      f"{field}: the names are torchvision's, and no file says whether its max "
      'pool follows the 3×3 convolution; set stem_pool=True if it does, as in '
      'PyTorch_CIFAR10, or stem_pool=False if `maxpool` is an `nn.Identity`.'
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
