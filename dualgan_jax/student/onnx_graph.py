"""Writes a student's net as an ONNX graph.

The graph is made from the net's description, layer by layer: its operators and
their arguments have not changed since opset 13, batch norm is folded into the
convolutions before it, and all paddings are explicit. So old runtimes, browsers
and converters read it, too.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from dualgan_jax.networks.classifier import KINDS
from dualgan_jax.version import __version__

INPUT, OUTPUT = 'image', 'probabilities'
OLDEST_OPSET = 13
# Batch norm of our nets has Flax's default.
_EPSILON = nn.BatchNorm.epsilon


class _Features(NamedTuple):
  """A tensor [n, channels, height, width] of the graph.

  Attributes:
    name: of the tensor.
    channels, height, width: its shape.
  """

  name: str
  channels: int
  height: int
  width: int


class _Graph:
  """Nodes and constants, in the order in which they are added."""

  def __init__(self):
    self.nodes, self.constants = [], []

  def add(
    self, operator: str, name: str, inputs: Sequence[str], **attributes: Any
  ) -> str:
    """Adds a node of one output, and returns the name that both have."""
    self.nodes.append(
      helper.make_node(operator, inputs, [name], name, **attributes)
    )
    return name

  def add_constant(self, name: str, array: np.ndarray) -> str:
    """Adds an array, in float32, and returns its name."""
    contiguous_array = np.ascontiguousarray(array, np.float32)
    self.constants.append(numpy_helper.from_array(contiguous_array, name))
    return name


class _BlockWriter:
  """Writes the layers of one block, in the order in which Flax numbers them."""

  def __init__(self, graph: _Graph, name: str, variables: Mapping[str, Any]):
    self._graph, self._name, self._variables = graph, name, variables
    self._conv_numbers = itertools.count()

  def convolve(
    self, features: _Features, *, stride: int = 1, pad: bool = True
  ) -> _Features:
    """Adds the block's next convolution, and the batch norm after it."""
    number = next(self._conv_numbers)
    kernel, bias = _fold_batch_norm(self._variables, number)
    kernel_size, _, _, width = kernel.shape
    sizes = features.height, features.width
    begins, ends = zip(
      *(
        _same_padding(size, kernel_size, stride) if pad else (0, 0)
        for size in sizes
      )
    )
    height, row_length = (
      (size + begin + end - kernel_size) // stride + 1
      for size, begin, end in zip(sizes, begins, ends)
    )
    name = f'{self._name}/Conv_{number}'
    output = self._graph.add(
      'Conv',
      name,
      [
        features.name,
        # [h, w, in, out] in Flax, [out, in, h, w] in ONNX.
        self._graph.add_constant(
          f'{name}/kernel', kernel.transpose(3, 2, 0, 1)
        ),
        self._graph.add_constant(f'{name}/bias', bias),
      ],
      kernel_shape=[kernel_size, kernel_size],
      strides=[stride, stride],
      pads=[*begins, *ends],
    )
    return _Features(output, width, height, row_length)

  def relu(self, features: _Features) -> _Features:
    """Adds a ReLU."""
    output = self._graph.add('Relu', f'{features.name}/relu', [features.name])
    return features._replace(name=output)

  def add(self, features: _Features, residual: _Features) -> _Features:
    """Adds the sum of two tensors of one shape."""
    output = self._graph.add(
      'Add', f'{residual.name}/sum', [features.name, residual.name]
    )
    return residual._replace(name=output)

  def max_pool(self, features: _Features, stride: int) -> _Features:
    """Adds a max pool that drops a last odd row or column."""
    output = self._graph.add(
      'MaxPool',
      f'{self._name}/pool',
      [features.name],
      kernel_shape=[stride, stride],
      strides=[stride, stride],
    )
    return _Features(
      output,
      features.channels,
      features.height // stride,
      features.width // stride,
    )


def _write_conv_block(writer, features, depth, stride):
  """Writes a `classifier.ConvBlock`."""
  for index in range(depth):
    first_stride = stride if index == 0 else 1
    features = writer.relu(writer.convolve(features, stride=first_stride))
  return features


def _write_residual_block(writer, features, depth, stride):
  """Writes a `classifier.ResidualBlock`."""
  for index in range(depth):
    first_stride = stride if index == 0 else 1
    residual = writer.relu(writer.convolve(features, stride=first_stride))
    residual = writer.convolve(residual)
    # Where shapes allow it, the shortcut has no convolution.
    if features[1:] != residual[1:]:
      features = writer.convolve(features, stride=first_stride)
    features = writer.relu(writer.add(features, residual))
  return features


def _write_lenet_block(writer, features, depth, stride):
  """Writes a `classifier.LeNetBlock`."""
  for _ in range(depth):
    features = writer.relu(writer.convolve(features, pad=False))
  return writer.max_pool(features, stride)


_BLOCK_WRITERS = {
  'conv': _write_conv_block,
  'residual': _write_residual_block,
  'lenet': _write_lenet_block,
}


def build(
  config: Mapping[str, Any],
  variables: Sequence[Mapping[str, Any]],
  *,
  opset: int,
  batch_size: int | None,
) -> onnx.ModelProto:
  """Builds the ONNX model of a net that its config describes.

  Args:
    config: `config.json` of a folder `student`.
    variables: B + 1 variable dicts, as `Classifier.init` makes them.
    opset: version of ONNX's operators, at least `OLDEST_OPSET`.
    batch_size: number of images that the model takes; None for any number.

  Returns:
    A model of `image`, uint8 [n, h, w, c], that computes `probabilities`,
    [n, L], and has no metadata yet.
  """
  graph, net = _Graph(), config['net']
  # In float64, so that folding batch norm rounds each weight once.
  variables = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables)
  features = _write_input(graph, config['image'])
  for number, (depth, stride) in enumerate(
    zip(net['depths'], net['strides'], strict=True), start=1
  ):
    writer = _BlockWriter(graph, f'block_{number}', variables[number - 1])
    features = _BLOCK_WRITERS[net['kind']](writer, features, depth, stride)
  _, head_pools = KINDS[net['kind']]
  logits = _write_head(
    graph, features, variables[-1]['params'], pool=head_pools
  )
  # Folders of the first version do not have the field.
  is_single_label = net.get('single_label', False)
  graph.add('Softmax' if is_single_label else 'Sigmoid', OUTPUT, [logits])

  num_images = batch_size or 'n'
  graph_proto = helper.make_graph(
    graph.nodes,
    'student',
    [
      helper.make_tensor_value_info(
        INPUT, TensorProto.UINT8, [num_images, *config['image']]
      )
    ],
    [
      helper.make_tensor_value_info(
        OUTPUT, TensorProto.FLOAT, [num_images, len(config['labels'])]
      )
    ],
    graph.constants,
  )
  opset_import = helper.make_opsetid('', opset)
  return helper.make_model(
    graph_proto,
    opset_imports=[opset_import],
    # Runtimes refuse files of a newer format than they know, and make_model
    # would write the newest.
    ir_version=helper.find_min_ir_version_for([opset_import]),
    producer_name='dualgan_jax',
    producer_version=__version__,
  )


def _write_input(graph: _Graph, image_shape: Sequence[int]) -> _Features:
  """Writes the scaling to [0, 1], and the order of axes of ONNX."""
  height, width, channels = image_shape
  floats = graph.add('Cast', 'floats', [INPUT], to=TensorProto.FLOAT)
  largest = graph.add_constant('largest', np.float32(255))
  scaled = graph.add('Div', 'scaled', [floats, largest])
  transposed = graph.add('Transpose', 'transposed', [scaled], perm=[0, 3, 1, 2])
  return _Features(transposed, channels, height, width)


def _write_head(
  graph: _Graph,
  features: _Features,
  params: Mapping[str, Mapping[str, np.ndarray]],
  *,
  pool: bool,
) -> str:
  """Writes a `head.Head`, and returns the name of its logits."""
  layers = [params[f'Dense_{number}'] for number in range(len(params))]
  kernel, name = layers[0]['kernel'], features.name
  if pool:
    name = graph.add('GlobalAveragePool', 'head/mean', [name])
  else:
    # Flax flattens [h, w, c], ONNX [c, h, w].
    height, width, channels = features.height, features.width, features.channels
    kernel = kernel.reshape(height, width, channels, -1)
    kernel = kernel.transpose(2, 0, 1, 3).reshape(height * width * channels, -1)
  name = graph.add('Flatten', 'head/flat', [name])
  # The first layer's kernel is in the order of ONNX now.
  kernels = [kernel, *(layer['kernel'] for layer in layers[1:])]
  for number, (kernel, layer) in enumerate(zip(kernels, layers, strict=True)):
    is_last = number == len(layers) - 1
    prefix = 'head' if is_last else f'head/Dense_{number}'
    name = graph.add(
      'Gemm',
      'logits' if is_last else prefix,
      [
        name,
        graph.add_constant(f'{prefix}/kernel', kernel),
        graph.add_constant(f'{prefix}/bias', layer['bias']),
      ],
    )
    if not is_last:
      name = graph.add('Relu', f'{name}/relu', [name])
  return name


def _fold_batch_norm(
  variables: Mapping[str, Any], number: int
) -> tuple[np.ndarray, np.ndarray]:
  """Returns kernel [h, w, in, out] and bias of a convolution and its norm."""
  params = variables['params']
  convolution = params[f'Conv_{number}']
  norm = params.get(f'BatchNorm_{number}')
  if norm is None:
    return convolution['kernel'], convolution['bias']
  statistics = variables['batch_stats'][f'BatchNorm_{number}']
  factor = norm['scale'] / np.sqrt(statistics['var'] + _EPSILON)
  bias = norm['bias'] - statistics['mean'] * factor
  return convolution['kernel'] * factor, bias


def _same_padding(size: int, kernel_size: int, stride: int) -> tuple[int, int]:
  """Computes how much 'SAME' pads before and after an axis, as XLA does."""
  output_size = -(-size // stride)
  total = max((output_size - 1) * stride + kernel_size - size, 0)
  return total // 2, total - total // 2
