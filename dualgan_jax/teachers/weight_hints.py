"""Says what a weight file looks like that is not of the named architecture."""

import re
from collections.abc import Mapping

from dualgan_jax.display import format_shape
from dualgan_jax.networks import state_dict_shapes
from dualgan_jax.networks.architectures import ARCHITECTURES
from dualgan_jax.teachers.weight_files import Contents, StateDict, list_some
from dualgan_jax.teachers.weight_groups import (
  TensorShapes,
  WeightGroup,
  find_all_groups,
  find_other_names,
)

# By a part of tensors' names, nets that have it. The first match counts.
_FAMILIES = (
  (r'relative_position_bias_table', 'a Swin transformer'),
  (r'pos_embed|cls_token|class_token|patch_embed', 'a vision transformer'),
  (r'denselayer|\bdense\d\.\d|\btrans\d\.', 'a DenseNet'),
  (r'[iI]nception|pre_layers|\b[ab]\d\.b\d\.', 'a GoogLeNet'),
  (r'rbr_dense|rbr_reparam', 'a RepVGG'),
  (r'\bfire\d|expand3x3|squeeze\.weight', 'a SqueezeNet'),
  (r'branch1\.0\.|branch2\.0\.|branch_main', 'a ShuffleNet'),
  (r'\broot\.|left_node|prev_root', 'a DLA'),
  (r'\bse\.|\bse_|_se_|se_module|squeeze|excitation', 'a net with SE units'),
  (r'\blayer1\.0\.conv2\.|\bconv2_x\.', 'a ResNet'),
  (r'\bfeatures\.\d+\.weight', 'a net like VGG or AlexNet'),
)
_NONE_OF_OURS = (
  'none of the architectures of weight files; let torch.export or a Flax file '
  'bring it (docs/teachers.md)'
)


def describe_no_match(
  contents: Contents, architecture: str, image_shape: tuple[int, int, int]
) -> str:
  """Says that no entry is named as a part of the architecture is.

  Args:
    contents: of the file.
    architecture: a key of `ARCHITECTURES`.
    image_shape: (height, width, channels) as the teacher takes it.
  """
  names = list_some(list(_largest(contents).tensors()))
  sentence = f'not the weights of a {architecture}, which has no {names}'
  if contents.objects:
    return f'{sentence}; {contents.describe_unreadable().removesuffix(".")}'
  return sentence + (
    _hint_at_architectures(contents, architecture, image_shape)
    or _hint_at_family(contents)
  )


def describe_cure(
  contents: Contents,
  architecture: str,
  group: WeightGroup,
  num_labels: int,
  image_shape: tuple[int, int, int],
) -> str:
  """Gives a hint at what fits weights that don't fit.

  Args:
    contents: of the file.
    architecture: a key of `ARCHITECTURES`.
    group: the entries that come closest to the architecture.
    num_labels: number of labels that the teacher answers.
    image_shape: (height, width, channels) as the teacher takes it.

  Returns:
    The end of a sentence: other architectures, labels or channels, or the kind
    of net if most tensors differ; '' if few do.
  """
  hint = _hint_at_architectures(
    contents, architecture, image_shape
  ) or _hint_at_counts(group, num_labels, image_shape)
  if hint:
    return hint
  expected_shapes = state_dict_shapes.tensor_shapes(
    group.variant, num_labels, image_shape
  )
  num_matches = len(expected_shapes.items() & group.tensor_shapes().items())
  num_tensors = len(group.state_dict.tensors())
  is_other_net = 2 * num_matches < max(len(expected_shapes), num_tensors)
  return _hint_at_family(contents) if is_other_net else ''


def _hint_at_architectures(
  contents: Contents, architecture: str, image_shape: tuple[int, int, int]
) -> str:
  """Lists other architectures that a file has weights of, as a hint."""
  fitting = [
    candidate
    for candidate in ARCHITECTURES
    if candidate != architecture
    and any(
      # A deeper net has all tensors of a shallower one, and unknown ones.
      _infer_counts(group, image_shape)
      and not find_other_names(group, group.tensor_shapes())[0]
      for group in find_all_groups(contents, candidate)
    )
  ]
  if not fitting:
    return ''
  pool_hint = (
    ' (with stem_pool=True if a max pool follows the first convolution)'
    if any(ARCHITECTURES[name][0].stem_pool is False for name in fitting)
    else ''
  )
  return f'; by names and shapes only, they fit {", ".join(fitting)}{pool_hint}'


def _hint_at_counts(
  group: WeightGroup, num_labels: int, image_shape: tuple[int, int, int]
) -> str:
  """Gives a hint where only the number of labels or channels is wrong."""
  counts = _infer_counts(group, image_shape)
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


def _infer_counts(
  group: WeightGroup, image_shape: tuple[int, int, int]
) -> tuple[int, int] | None:
  """Infers for how many labels and channels a group fits its variant."""
  actual_shapes = group.tensor_shapes()
  counts = state_dict_shapes.infer_labels_and_channels(
    group.variant, actual_shapes
  )
  if not counts:
    return None
  num_labels, num_channels = counts
  height, width, _ = image_shape
  expected_shapes = state_dict_shapes.tensor_shapes(
    group.variant, num_labels, (height, width, num_channels)
  )
  return counts if expected_shapes == actual_shapes else None


def _hint_at_family(contents: Contents) -> str:
  """Says what kind of net a file's largest state dict is of, as a hint."""
  shapes = {
    name: tuple(tensor.shape)
    for name, tensor in _largest(contents).tensors().items()
  }
  return f'; it looks like {_describe_family(shapes)}, {_NONE_OF_OURS}'


def _describe_family(shapes: TensorShapes) -> str:
  """Describes the kind of net that has tensors of such names and shapes."""
  kernels = [shape for shape in shapes.values() if len(shape) == 4]
  family = next(
    (
      family
      for pattern, family in _FAMILIES
      if any(re.search(pattern, name) for name in shapes)
    ),
    'a net',
  )
  # The first kernel of a net for grey images has one channel, too.
  is_depthwise = any(shape[1] == 1 and shape[0] > 1 for shape in kernels[1:])
  if is_depthwise and family in ('a net', 'a net with SE units'):
    family = 'a MobileNet or EfficientNet'
  elif family == 'a ResNet':
    family += f' of {_describe_depths(shapes)} units'
  num_dense = sum(
    len(shape) == 2 and name.endswith('weight')
    for name, shape in shapes.items()
  )
  return f'{family} ({len(kernels)} convolutions, {num_dense} dense layers)'


def _describe_depths(shapes: Mapping[str, tuple[int, ...]]) -> str:
  """Lists how many units each layer of a ResNet has."""
  depths: dict[str, int] = {}
  for name in shapes:
    match = re.search(r'\b(layer\d|conv\d_x)\.(\d+)\.', name)
    if match:
      layer, unit = match.groups()
      depths[layer] = max(depths.get(layer, 0), int(unit) + 1)
  return ', '.join(str(depths[layer]) for layer in sorted(depths))


def _largest(contents: Contents) -> StateDict:
  """Finds the state dict that is the likeliest to be the weights."""
  return max(
    contents.state_dicts, key=lambda state_dict: len(state_dict.tensors())
  )
