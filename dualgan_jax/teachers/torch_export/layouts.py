"""Finds the order of axes of a graph's images: channels first, or last."""

import enum
from collections.abc import Mapping, Sequence

from dualgan_jax.teachers.torch_export.graph import Length, Node
from dualgan_jax.teachers.torch_export.program import Step

_NUM_AXES = 4


class Layout(enum.Enum):
  """The order of axes of images, by the permutation that makes it of the other.

  Nets of convolutions have channels first; some with attention have them last.
  """

  CHANNELS_FIRST = (0, 3, 1, 2)
  CHANNELS_LAST = (0, 2, 3, 1)


# Operations that take and give images with channels first.
_CHANNELS_FIRST = tuple(
  f'torch.ops.aten.{name}'
  for name in (
    *('conv2d.', 'convolution.', 'conv_transpose2d.', 'batch_norm.'),
    *('_native_batch_norm_legit_no_training.', 'native_group_norm.'),
    *('group_norm.', 'instance_norm.', 'max_pool2d.', 'avg_pool2d.'),
    *('max_pool2d_with_indices.', 'adaptive_avg_pool2d.'),
    *('_adaptive_avg_pool2d.', 'adaptive_max_pool2d.'),
    *('upsample_nearest2d.', 'upsample_bilinear2d.'),
    *('upsample_bicubic2d.', '_upsample_nearest_exact2d.', 'pixel_shuffle.'),
    *('pixel_unshuffle.', 'channel_shuffle.', 'grid_sampler.'),
  )
)
# Operations after which axes may mean something else.
_REARRANGING = tuple(
  f'torch.ops.aten.{name}'
  for name in (
    *('view.', 'reshape.', 'flatten.', 'unflatten.', 'permute.', 'transpose.'),
    *('movedim.', 'matmul.', 'bmm.', 'einsum.', 'stack.', 'unbind.', 'select.'),
    *('squeeze.', 'unsqueeze.', 'scaled_dot_product_attention.', 'index.'),
    *('view_as.', 'reshape_as.', 'swapaxes.', 'swapdims.', 'unfold.'),
    *('meshgrid.', 'mT.', 'adjoint.', 'rot90.', 'diagonal.'),
    *('affine_grid_generator.',),
  )
)
# It takes moments over the channels of each pixel, so that these are last.
_LAYER_NORMS = tuple(
  f'torch.ops.aten.{name}.default'
  for name in ('layer_norm', 'native_layer_norm')
)
_PERMUTE = 'torch.ops.aten.permute.default'


def find_layouts(
  image: str,
  steps: Sequence[Step],
  shapes: Mapping[str, tuple[Length, ...]],
) -> dict[str, Layout]:
  """Finds the layouts of tensors with four axes, as far as they are certain.

  Operations that keep the axes pass a layout on, forwards and backwards.

  Args:
    image: name of the images, whose channels are first.
    steps: all steps of a graph.
    shapes: of its tensors.
  """
  layouts = {image: Layout.CHANNELS_FIRST}
  image_steps = [step.node for step in steps if step.depends_on_images]
  num_known = 0
  while len(layouts) > num_known:
    num_known = len(layouts)
    for node in (*image_steps, *reversed(image_steps)):
      _pass_on(node, layouts, shapes)
  return layouts


def _pass_on(
  node: Node,
  layouts: dict[str, Layout],
  shapes: Mapping[str, tuple[Length, ...]],
) -> None:
  """Adds what one step says of its tensors' layouts."""
  names = [
    name
    for name in (*node.references(), *node.outputs)
    if len(shapes.get(name, ())) == _NUM_AXES
  ]
  if node.target.startswith(_CHANNELS_FIRST):
    # The other references are to weights, with four axes, too.
    for name in (next(node.references()), *node.outputs):
      if len(shapes.get(name, ())) == _NUM_AXES:
        layouts.setdefault(name, Layout.CHANNELS_FIRST)
  elif node.target in _LAYER_NORMS and len(node.arguments[1]) == 1:
    for name in (next(node.references()), *node.outputs):
      if len(shapes.get(name, ())) == _NUM_AXES:
        layouts.setdefault(name, Layout.CHANNELS_LAST)
  elif node.target == _PERMUTE and len(names) == 2:
    source, result = names
    axes = tuple(axis % _NUM_AXES for axis in node.arguments[1])
    for layout, other in (tuple(Layout), tuple(reversed(Layout))):
      if axes == other.value and layouts.get(source) == layout:
        layouts.setdefault(result, other)
      if axes == other.value and layouts.get(result) == other:
        layouts.setdefault(source, layout)
  elif not node.target.startswith(_REARRANGING):
    known = [layouts[name] for name in names if name in layouts]
    for name in names if known else ():
      layouts.setdefault(name, known[0])
