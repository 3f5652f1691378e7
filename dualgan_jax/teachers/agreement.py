"""Checks that one generator can serve several nets: blocks and their sizes."""

from collections.abc import Mapping
from types import MappingProxyType

from dualgan_jax.display import format_shape
from dualgan_jax.errors import UserError
from dualgan_jax.teachers.forward import feature_shapes
from dualgan_jax.teachers.teacher import Teacher


def check_agreement(
  nets: Mapping[str, Teacher],
  image: tuple[int, int, int],
  files: Mapping[str, str] = MappingProxyType({}),
) -> None:
  """Sees that one generator can serve all nets, teachers and student.

  Args:
    nets: by the config's field that describes each.
    image: (height, width, channels).
    files: of those that come from files, the field that names the file; the
      others have widths and strides.

  Raises:
    UserError: they differ in the number of blocks, or in the spatial size after
      one but the last, or have fewer than two.
  """

  (first, net), *others = nets.items()
  blocks = len(net.blocks)
  if blocks < 2:
    raise UserError(
      f'{first}.{files.get(first, "widths")}: {blocks} block; a net needs at '
      'least two to be cut into.'
    )
  merging = ', weight files by `merge`' if 'weights' in files.values() else ''
  # Nothing enters after the last block.
  sizes = [shape[:2] for shape in feature_shapes(net, image)[:-1]]
  for field, other in others:
    if len(other.blocks) != blocks:
      raise UserError(
        f'{field}.{files.get(field, "widths")}: '
        f'{len(other.blocks)} blocks, but {first} has {blocks}; cut all nets '
        f'into the same number{merging}.'
      )
    for b, shape in enumerate(feature_shapes(other, image)[:-1]):
      if shape[:2] != sizes[b]:
        raise UserError(
          f'{field}.{files.get(field, "strides")}: block {b + 1} '
          f'gives {format_shape(shape[:2])} features, that of {first} '
          f'{format_shape(sizes[b])}; the generator can meet only one size per '
          'block.'
        )
