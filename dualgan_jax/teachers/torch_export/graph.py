"""The graph of a `torch.export` file, as steps of known operations."""

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dualgan_jax.teachers.torch_export.archive import dtype_of

# More steps or numbers than any classifier of images needs.
_MAX_NODES = 2**13
_MAX_SIZE = 2**31
# Options that change no number of a result.
_IDLE_OPTIONS = ('layout', 'device', 'pin_memory', 'memory_format')
_KEYWORD = 2  # torch._export.serde.schema.ArgumentKind
# The batch n, or k n, as versions of PyTorch write them.
_ROWS = re.compile(
  r"(?:Mul\(Integer\((\d+)\), |(\d+)\*)?(?:Symbol\('(\w+)'[^()]*\)|(\w+))\)?"
)


@dataclasses.dataclass(frozen=True)
class Reference:
  """A value of another step, or an input of the graph.

  Attributes:
    name: of the value.
  """

  name: str


@dataclasses.dataclass(frozen=True)
class Rows:
  """A number that is a multiple of the batch's size.

  Attributes:
    per_image: how many there are for each image.
  """

  per_image: int = 1


# A length of a tensor's axis.
Length = int | Rows


@dataclasses.dataclass(frozen=True)
class Node:
  """A call of an operation.

  Attributes:
    target: name of the operation, as 'torch.ops.aten.conv2d.default'.
    arguments: by position: numbers, texts, a `Reference`, or lists of them.
    options: by name.
    outputs: names of its values.
    modules: paths of the modules that it lies in, from the outermost on.
  """

  target: str
  arguments: tuple[Any, ...]
  options: Mapping[str, Any]
  outputs: tuple[str, ...]
  modules: tuple[str, ...]

  def references(self) -> Iterator[str]:
    """Yields the names of the values that it takes."""
    yield from _references((self.arguments, *self.options.values()))


@dataclasses.dataclass(frozen=True)
class Graph:
  """A net, from a batch of images to their logits.

  Attributes:
    nodes: in the order in which they run.
    image: name of the images, [n, C, H, W].
    logits: name of the logits, [n, L].
    shapes: by the name of a tensor, its lengths.
    tensor_names: by the name of an input that is no image, that of its tensor
      in PyTorch.
    parameters: those names in PyTorch that gradients may move.
  """

  nodes: tuple[Node, ...]
  image: str
  logits: str
  shapes: Mapping[str, tuple[Length, ...]]
  tensor_names: Mapping[str, str]
  parameters: frozenset[str]


def parse(graph_module: Mapping[str, Any]) -> Graph:
  """Parses the JSON of a graph.

  Args:
    graph_module: of a file's JSON.

  Raises:
    ValueError: it is no net of one batch of images to logits, its batch has a
      fixed size, or it holds what is not known.
    LookupError, TypeError, AttributeError: it is damaged.
  """
  graph, signature = graph_module['graph'], graph_module['signature']
  if len(graph['nodes']) > _MAX_NODES:
    raise ValueError(f'it has more than {_MAX_NODES:,} operations')
  images, tensor_names, parameters = _parse_inputs(signature['input_specs'])
  logits = _parse_output(signature['output_specs'])
  image_entry = graph['tensor_values'][images]
  if np.issubdtype(dtype_of(image_entry['dtype']), np.integer):
    raise ValueError(
      'the model takes images of whole numbers; export it with x in float32, '
      'as it is after mean and standard deviation'
    )
  symbol = _batch_symbol(image_entry['sizes'])
  shapes = {
    name: tuple(_parse_length(name, size, symbol) for size in entry['sizes'])
    for name, entry in graph['tensor_values'].items()
  }
  if any(isinstance(length, Rows) for length in shapes[images][1:]):
    raise ValueError('let only the first axis of x be dynamic')
  for name, shape in shapes.items():
    if math.prod(map(_numbers_per_image, shape)) > _MAX_SIZE:
      raise ValueError(f'{name} is larger than any net needs')
  return Graph(
    tuple(_parse_node(node) for node in graph['nodes']),
    images,
    logits,
    shapes,
    tensor_names,
    parameters,
  )


def _references(value: Any) -> Iterator[str]:
  if isinstance(value, Reference):
    yield value.name
  elif isinstance(value, list | tuple):
    for entry in value:
      yield from _references(entry)


def _numbers_per_image(length: Length) -> int:
  return length.per_image if isinstance(length, Rows) else length


def _only(entry: Mapping[str, Any]) -> tuple[str, Any]:
  """Returns the only key of a JSON object that is one of several kinds."""
  ((kind, content),) = entry.items()
  return kind, content


def _parse_inputs(
  specs: Sequence[Any],
) -> tuple[str, dict[str, str], frozenset[str]]:
  """Parses the inputs: images, names of tensors, and those of parameters."""
  images, tensor_names, parameters = [], {}, set()
  for kind, spec in map(_only, specs):
    match kind:
      case 'user_input':
        argument_kind, argument = _only(spec['arg'])
        if argument_kind == 'as_tensor':
          images.append(argument['name'])
        elif argument_kind != 'as_none':
          raise ValueError(f'the model takes {argument_kind[3:]} beside images')
      case 'parameter' | 'buffer' | 'tensor_constant':
        name = spec[f'{kind}_name']
        tensor_names[spec['arg']['name']] = name
        if kind == 'parameter':
          parameters.add(name)
      case _:
        raise ValueError(f'it takes a {kind}')
  if len(images) != 1:
    raise ValueError(
      f'the model takes {len(images)} tensors instead of one batch of images'
    )
  return images[0], tensor_names, frozenset(parameters)


def _parse_output(specs: Sequence[Any]) -> str:
  """Parses the outputs, of which there must be one: the logits."""
  outputs = []
  for kind, spec in map(_only, specs):
    if kind != 'user_output':
      raise ValueError(
        'the model changes a buffer; call model.eval() before the export'
      )
    argument_kind, argument = _only(spec['arg'])
    if argument_kind == 'as_tensor':
      outputs.append(argument['name'])
    elif argument_kind != 'as_none':
      raise ValueError(f'the model gives {argument_kind[3:]} beside logits')
  if len(outputs) != 1:
    raise ValueError(
      f'the model gives {len(outputs)} tensors; export one that gives logits '
      'alone'
    )
  return outputs[0]


def _batch_symbol(sizes: Sequence[Any]) -> str:
  """Returns the symbol of the batch's size."""
  if len(sizes) != 4:
    raise ValueError(
      f'the model takes a tensor of {len(sizes)} axes instead of images '
      '[n, C, H, W]'
    )
  kind, size = _only(sizes[0])
  if kind != 'as_expr':
    raise ValueError(
      f'its batch has the fixed size {size}; export it with '
      "dynamic_shapes=({0: torch.export.Dim('n')},), and x of 2 images"
    )
  match = _ROWS.fullmatch(size['expr_str'])
  if not match or match[1] or match[2]:
    raise ValueError('the size of its batch is no plain number n')
  return match[3] or match[4]


def _parse_length(name: str, size: Any, symbol: str) -> Length:
  """Parses a length: a number, n, or k n."""
  kind, content = _only(size)
  if kind == 'as_int':
    return _as_count(content)
  match = _ROWS.fullmatch(content['expr_str'])
  if not match or (match[3] or match[4]) != symbol:
    raise ValueError(
      f'{name} has a size that depends on more than the number of images; let '
      'only the first axis of x be dynamic'
    )
  return Rows(_as_count(int(match[1] or match[2] or 1)))


def _as_count(number: Any) -> int:
  if type(number) is not int or not 0 <= number <= _MAX_SIZE:
    raise ValueError('it has a length of no sense')
  return number


def _parse_node(node: Any) -> Node:
  """Parses a call of an operation."""
  arguments, options = [], {}
  for entry in node['inputs']:
    try:
      value = _parse_argument(entry['arg'])
    except ValueError as error:
      raise ValueError(f'{node["target"]} is not known: {error}') from error
    if entry.get('kind') == _KEYWORD:
      if entry['name'] not in _IDLE_OPTIONS:
        options[entry['name']] = value
    else:
      arguments.append(value)
  return Node(
    node['target'],
    tuple(arguments),
    options,
    tuple(name for output in node['outputs'] for name in _output_names(output)),
    _parse_modules(node['metadata'].get('nn_module_stack', '')),
  )


def _parse_argument(argument: Any) -> Any:
  """Parses an argument: a value, or a reference to one."""
  kind, content = _only(argument)
  match kind:
    case 'as_tensor':
      return Reference(content['name'])
    case 'as_tensors':
      return [Reference(entry['name']) for entry in content]
    case 'as_optional_tensors':
      return [_parse_argument(entry) for entry in content]
    case 'as_none':
      return None
    case 'as_sym_int' | 'as_sym_float' | 'as_sym_bool':
      return _parse_symbolic(content)
    case 'as_sym_ints' | 'as_sym_floats' | 'as_sym_bools':
      return [_parse_symbolic(entry) for entry in content]
    case 'as_scalar_type':
      return dtype_of(content)
    case 'as_float':
      return float(content)  # infinity may be written as a text
    case 'as_int' | 'as_bool' | 'as_string' | 'as_ints' | 'as_bools':
      return content
    case 'as_floats':
      return [float(entry) for entry in content]
    case 'as_device' | 'as_memory_format' | 'as_layout':
      return kind  # has no effect
  raise ValueError(f'it takes a {kind[3:]}')


def _parse_symbolic(content: Any) -> Any:
  kind, value = _only(content)
  return Reference(value) if kind == 'as_name' else value


def _output_names(output: Any) -> Iterator[str]:
  """Yields the names of a result."""
  kind, content = _only(output)
  match kind:
    case 'as_tensor':
      yield content['name']
    case 'as_tensors':
      yield from (entry['name'] for entry in content)
    case 'as_sym_int' | 'as_sym_bool' | 'as_sym_float':
      if 'as_name' in content:
        yield content['as_name']
    case 'as_none':
      pass
    case _:
      raise ValueError(f'an operation gives {kind[3:]}')


def _parse_modules(stack: str) -> tuple[str, ...]:
  """Parses the modules of a step: 'key,path,class;key,path,class'."""
  paths = []
  for entry in stack.split(';'):
    parts = entry.split(',')
    # The root has no path; a step that PyTorch adds has three equal parts.
    if len(parts) == 3 and parts[1] and len({*parts}) > 1:
      paths.append(parts[1])
  return tuple(paths)
