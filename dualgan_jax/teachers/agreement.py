"""Checks that one generator can serve several nets: blocks and their sizes."""

from collections.abc import Mapping
from types import MappingProxyType

from dualgan_jax.display import format_shape
from dualgan_jax.errors import UserError
from dualgan_jax.teachers.forward import feature_shapes
from dualgan_jax.teachers.teacher import Teacher


def check_agreement(
  nets: Mapping[str, Teacher],
  image_shape: tuple[int, int, int],
  file_fields: Mapping[str, str] = MappingProxyType({}),
) -> None:
  """Checks that one generator can serve all nets, teachers and student.

  Args:
    nets: by the config's field that describes each.
    image_shape: (height, width, channels).
    file_fields: by the field of a net that comes from a file, the name of the
      field below it that names the file; other nets have widths and strides.

  Raises:
    UserError: they differ in the number of blocks, or in the spatial size after
      a block that is not the last, or have fewer than two blocks.
  """
  (first_field, first_net), *later_nets = nets.items()
  num_blocks = len(first_net.blocks)
  if num_blocks < 2:
    raise UserError(
      f'{first_field}.{file_fields.get(first_field, "widths")}: {num_blocks} '
      'block; a net needs at least two to be cut into.'
    )
  # Only the blocks of PyTorch's files can be merged by the config.
  can_merge = {'weights', 'torch_export'}.intersection(file_fields.values())
  merge_hint = ", PyTorch's by `merge`" if can_merge else ''
  can_cut = 'torch_export' in file_fields.values()
  cut_hint = (
    ", or cut PyTorch's net elsewhere by `cut_after`" if can_cut else ''
  )
  # Generated features enter after every block but the last.
  first_sizes = _spatial_sizes(first_net, image_shape)
  for field, net in later_nets:
    if len(net.blocks) != num_blocks:
      raise UserError(
        f'{field}.{file_fields.get(field, "widths")}: '
        f'{len(net.blocks)} blocks, but {first_field} has {num_blocks}; cut '
        f'all nets into the same number{merge_hint}.'
      )
    sizes = zip(_spatial_sizes(net, image_shape), first_sizes, strict=True)
    for block_number, (size, first_size) in enumerate(sizes, start=1):
      if size != first_size:
        raise UserError(
          f'{field}.{file_fields.get(field, "strides")}: block {block_number} '
          f'gives {format_shape(size)} features, that of {first_field} '
          f'{format_shape(first_size)}; the generator can meet only one size '
          f'per block: choose strides that give the same{cut_hint}.'
        )


def _spatial_sizes(
  net: Teacher, image_shape: tuple[int, int, int]
) -> list[tuple[int, int]]:
  """Lists the (height, width) after each block but the last."""
  return [
    (height, width)
    for height, width, _ in feature_shapes(net, image_shape)[:-1]
  ]
