"""Finds the places at which a graph can be cut into blocks.

A graph can be cut where one tensor alone carries the image: nothing behind it
reads anything else that depends on the image.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence

from dualgan_jax.display import format_shape, printable
from dualgan_jax.teachers.torch_export.graph import Graph, Length, Rows
from dualgan_jax.teachers.torch_export.layouts import Layout, find_layouts
from dualgan_jax.teachers.torch_export.program import Step

_NUM_TOKEN_AXES = 3
_MIN_CUTS = 2
_MAX_SHOWN = 12


@dataclasses.dataclass(frozen=True)
class Cut:
  """A place between two steps.

  Attributes:
    end: index after the last step before it.
    position: number of steps on images before it.
    tensor: name of the tensor that carries the image.
    shape: the tensor's lengths after the first, the batch.
    layout: order of its axes; None if it has no height and width.
    depth: number of modules that lie around it.
  """

  end: int
  position: int
  tensor: str
  shape: tuple[int, ...]
  layout: Layout | None
  depth: int

  @property
  def image_size(self) -> tuple[int, ...]:
    """(height, width) of its features; () if they have none."""
    match self.layout:
      case Layout.CHANNELS_FIRST:
        return self.shape[1:]
      case Layout.CHANNELS_LAST:
        return self.shape[:-1]
    return ()

  @property
  def feature_shape(self) -> tuple[int, ...]:
    """(height, width, channels) of its features, or what they have instead."""
    if self.layout is Layout.CHANNELS_FIRST:
      return (*self.shape[1:], self.shape[0])
    return self.shape


def find_cuts(graph: Graph, steps: Sequence[Step]) -> list[Cut]:
  """Lists all places at which a graph can be cut, in their order."""
  layouts = find_layouts(graph.image, steps, graph.shapes)
  last_reads = {
    name: index
    for index, step in enumerate(steps)
    if step.depends_on_images
    for name in step.node.references()
  }
  modules = [*_modules_of_images(steps), ()]
  cuts, live, position = [], {graph.image}, 0
  for index, step in enumerate(steps):
    if not step.depends_on_images:
      continue
    position += 1
    node = step.node
    live.update(name for name in node.outputs if name in last_reads)
    live.difference_update(
      name for name in node.references() if last_reads[name] == index
    )
    if len(live) != 1:
      continue
    (tensor,) = live
    shape = graph.shapes.get(tensor, ())
    if tensor != graph.image and _is_per_image(shape):
      depth = _common_depth(*modules[position - 1 : position + 1])
      layout = layouts.get(tensor)
      cuts.append(
        Cut(index + 1, position, tensor, tuple(shape[1:]), layout, depth)
      )
  return cuts


def choose_cuts(
  cuts: Sequence[Cut], graph: Graph, steps: Sequence[Step]
) -> list[Cut]:
  """Chooses the last place of each spatial size, between modules if possible.

  What a net does to the image before its first parameters, as to normalise or
  pad it, is no block of its own. Of a net of tokens, whose features have no
  height and width, the last such place is the second cut, behind the grid of
  patches.

  Args:
    cuts: as `find_cuts` lists them.
    graph: of the cuts.
    steps: all steps of the graph.

  Raises:
    ValueError: there are fewer than two.
  """
  first_learned = _first_learned_step(graph, steps)
  cuts = [cut for cut in cuts if cut.end > first_learned]
  last_cuts: dict[tuple[int, ...], Cut] = {}
  smallest, image_size = math.inf, graph.shapes[graph.image][2:]
  for cut in cuts:
    num_pixels = math.prod(cut.image_size)
    # A net's features shrink; what is pooled to one pixel belongs to its head.
    if 1 < num_pixels <= smallest and _is_scaled(cut.image_size, image_size):
      smallest = num_pixels
      last_cuts[cut.image_size] = cut
  modules = _modules_of_images(steps)
  places = {_before_module(cut, cuts, modules) for cut in last_cuts.values()}
  chosen = sorted(places, key=lambda cut: cut.end)
  if len(chosen) < _MIN_CUTS:
    tokens = [cut for cut in cuts if len(cut.shape) == _NUM_TOKEN_AXES - 1]
    depth = min((cut.depth for cut in tokens), default=0)
    chosen += [cut for cut in tokens if cut.depth == depth][-1:]
  if len(chosen) < _MIN_CUTS:
    possible_places = _possible(cuts, steps)
    cure = (
      f'name two modules to cut after, as {possible_places}'
      if possible_places
      else 'nor is there a module to cut after: it can be no teacher'
    )
    raise ValueError(
      'a teacher has at least two blocks, but one tensor alone carries the '
      f'image, with height and width, at {len(chosen)} size(s) only; {cure}'
    )
  return chosen


def _first_learned_step(graph: Graph, steps: Sequence[Step]) -> int:
  """Returns the index of the first step on images that needs parameters."""
  learned = {
    name
    for name, tensor_name in graph.tensor_names.items()
    if tensor_name in graph.parameters
  }
  for index, step in enumerate(steps):
    if learned.isdisjoint(step.node.references()):
      continue
    if step.depends_on_images:
      return index
    # Weights are made of parameters, as by weight norm.
    learned.update(step.node.outputs)
  return 0


def _is_scaled(size: Sequence[int], image_size: Sequence[int]) -> bool:
  """Returns whether a size is that of a smaller image, up to one pixel.

  Patches of tokens can have four axes, too, and go through convolutions.
  """
  if not size:
    return False
  (height, width), (image_height, image_width) = size, image_size
  difference = abs(height * image_width - width * image_height)
  return difference <= max(image_size)


def _before_module(
  cut: Cut, cuts: Sequence[Cut], modules: Sequence[tuple[str, ...]]
) -> Cut:
  """Moves a place to the beginning of the module that it lies in.

  A module that makes features smaller often begins with a norm or a
  convolution that does not, and which belongs to it. The outermost such module
  is taken that has no whole block before the place.

  Args:
    cut: the last one of its size.
    cuts: all of them.
    modules: per step on images, the modules that it lies in.
  """
  cuts_by_position = {cut.position: cut for cut in cuts}
  next_modules = modules[cut.position]
  for depth, module in enumerate(next_modules):
    start = cut.position
    while start and module in modules[start - 1]:
      start -= 1
    # A child that has children of its own is a block, not a layer.
    has_block = any(
      len(others) > depth + 2 and others[depth + 1] not in next_modules
      for others in modules[start : cut.position]
    )
    earlier_cut = cuts_by_position.get(start)
    if (
      not has_block and earlier_cut and earlier_cut.image_size == cut.image_size
    ):
      return earlier_cut
  return cut


def _modules_of_images(steps: Sequence[Step]) -> list[tuple[str, ...]]:
  """Lists, per step on images, the modules that it lies in."""
  return [step.node.modules for step in steps if step.depends_on_images]


def named_cuts(
  cuts: Sequence[Cut], steps: Sequence[Step], cut_after: Sequence[str]
) -> list[Cut]:
  """Finds the places behind modules.

  Args:
    cuts: as `find_cuts` lists them.
    steps: all steps of the graph.
    cut_after: paths of two or more modules, as 'layer1' or 'features.4'.

  Raises:
    ValueError: there is no such module, it is called several times, or more
      than its output is read behind it.
  """
  if isinstance(cut_after, str) or len({*cut_after}) < _MIN_CUTS:
    raise ValueError(
      f'cut_after: {cut_after!r}, but a teacher has at least two blocks; name '
      'two or more modules'
    )
  cuts_by_end = {cut.end: cut for cut in cuts}
  chosen = []
  for name in cut_after:
    end = _end_of_module(steps, name)
    cut = cuts_by_end.get(end)
    if end == len(steps):
      raise ValueError(f'cut_after: {name!r} gives the logits; name others')
    if cut is None:
      raise ValueError(
        f'cut_after: what follows {name!r} needs more than its output, as if a '
        f'connection led around it; name others, as {_possible(cuts, steps)}'
      )
    chosen.append(cut)
  chosen.sort(key=lambda cut: cut.end)
  if len({cut.end for cut in chosen}) < len(chosen):
    raise ValueError(
      f'cut_after: some of {", ".join(cut_after)} end at the same place; name '
      'each place once'
    )
  for cut in chosen[:-1]:
    if not cut.image_size:
      raise ValueError(
        f'cut_after: features of {format_shape(cut.shape)} have no height and '
        f'width; only the last place may have such, others may be behind '
        f'{_possible(cuts, steps)}'
      )
  return chosen


def _is_per_image(shape: Sequence[Length]) -> bool:
  """Returns whether a tensor has one row per image, and features in it."""
  return (
    len(shape) > 1
    and shape[0] == Rows()
    and not any(isinstance(length, Rows) for length in shape[1:])
  )


def _common_depth(first: Sequence[str], second: Sequence[str]) -> int:
  """Counts the modules that two steps lie in together."""
  pairs = zip(first, second, strict=False)
  return sum(
    1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)
  )


def _end_of_module(steps: Sequence[Step], name: str) -> int:
  """Returns the index after the last step of a module's only call."""
  inside = [
    (name in step.node.modules, index)
    for index, step in enumerate(steps)
    if step.depends_on_images
  ]
  ends = [
    index + 1
    for (is_inside, index), (is_next_inside, _) in zip(
      inside, [*inside[1:], (False, -1)], strict=True
    )
    if is_inside and not is_next_inside
  ]
  if len(ends) != 1:
    fault = 'is called several times' if ends else 'is no module that computes'
    raise ValueError(f'cut_after: {name!r} {fault}; name others')
  return ends[0]


def _possible(cuts: Sequence[Cut], steps: Sequence[Step]) -> str:
  """Lists modules behind which a graph can be cut; '' if there are none."""
  names = []
  for cut in cuts:
    modules = steps[cut.end - 1].node.modules
    if cut.image_size and len(modules) > cut.depth:
      names.append(modules[cut.depth])
  shown = ', '.join(printable(name, 80) for name in names[-_MAX_SHOWN:])
  return shown
