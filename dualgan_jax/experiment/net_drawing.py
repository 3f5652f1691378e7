"""Draws teacher, generator and student side by side, in text."""

import itertools
from collections.abc import Iterator, Sequence

from dualgan_jax.config.fields import Experiment
from dualgan_jax.display import format_shape
from dualgan_jax.experiment.nets import Nets, abstract_teacher
from dualgan_jax.teachers import forward
from dualgan_jax.teachers.teacher import Teacher

# Three columns and their gaps fill 80 characters.
_COLUMN_WIDTH = 25
_GAP = '  '
_BOX_WIDTH = 13
# Arrows stand below the middle of a box.
_INDENT = ' ' * 7


def draw(nets: Nets, config: Experiment) -> list[str]:
  """Draws the first teacher, the generator and the student, block by block.

  The generator stands upside down: its features F_g^j are beside those of the
  block that they meet.

  Args:
    nets: as `build_nets` returns them.
    config: the config that they were built from.

  Returns:
    Lines of at most 80 characters.
  """
  teacher = next(iter(nets.teachers.values()))
  student = abstract_teacher(
    'student', config.labels, nets.student, nets.image_shape
  )
  num_teachers = len(nets.teachers)
  counted = 'teacher' if num_teachers == 1 else f'teacher 1 of {num_teachers}:'
  columns = (
    [f'{counted} {teacher.name}', *_draw_classifier(teacher, nets.image_shape)],
    ['generator', *_draw_generator(nets, config.generator.latent_dim)],
    ['student', *_draw_classifier(student, nets.image_shape)],
  )
  return [
    _GAP.join(map(_fit, row)).rstrip()
    for row in itertools.zip_longest(*columns, fillvalue='')
  ]


def _fit(cell: str) -> str:
  """Makes a cell as wide as a column, and marks where a long one is cut."""
  if len(cell) > _COLUMN_WIDTH:
    cell = cell[: _COLUMN_WIDTH - 1] + '…'
  return cell.ljust(_COLUMN_WIDTH)


def _draw_classifier(
  net: Teacher, image_shape: tuple[int, int, int]
) -> Iterator[str]:
  """Draws a net from its image at the top to its labels at the bottom."""
  yield f'{_INDENT}↓ image {format_shape(image_shape)}'
  shapes = forward.feature_shapes(net, image_shape)
  for block_number, shape in enumerate(shapes, start=1):
    yield from _draw_box(f'block {block_number}')
    yield f'{_INDENT}↓ {format_shape(shape)}'
  yield from _draw_box('head')
  plural = '' if len(net.labels) == 1 else 's'
  yield f'{_INDENT}↓ {len(net.labels)} label{plural}'


def _draw_generator(nets: Nets, latent_dim: int) -> Iterator[str]:
  """Draws the generator from its image at the top to its noise below."""
  num_groups = len(nets.generator.sizes)
  shapes: Sequence[tuple[int, ...]] = [
    (*size, channels)
    for size, channels in zip(
      nets.generator.sizes, nets.generator.channels, strict=True
    )
  ]
  for group_number in range(num_groups, 0, -1):
    shape = format_shape(shapes[group_number - 1])
    name = 'image' if group_number == num_groups else f'F_g^{group_number}'
    yield f'{_INDENT}↑ {name} {shape}'
    yield from _draw_box(f'group {group_number}')
  yield f'{_INDENT}↑ noise z {latent_dim}'


def _draw_box(title: str) -> Iterator[str]:
  """Draws a part of a net as a box, with a line above and one below."""
  middle = _BOX_WIDTH // 2
  rest = _BOX_WIDTH - middle - 1
  yield f'┌{"─" * middle}┴{"─" * rest}┐'
  yield f'│{title:^{_BOX_WIDTH}}│'
  yield f'└{"─" * middle}┬{"─" * rest}┘'
