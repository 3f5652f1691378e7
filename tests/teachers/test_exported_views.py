"""Steps that change views in place become steps without effects."""

import jax.numpy as jnp
import numpy as np
import pytest

from dualgan_jax.teachers.torch_export import effects, program
from dualgan_jax.teachers.torch_export.graph import (
  Graph,
  Node,
  Reference,
  Rows,
)

IMAGES = np.arange(24, dtype=np.float32).reshape(2, 3, 4) - 12
SHAPE = (Rows(), 3, 4)


def _node(output, operation, *arguments):
  """Makes a step; a text among its arguments names a tensor."""
  return Node(
    f'torch.ops.aten.{operation}',
    tuple(
      Reference(argument) if isinstance(argument, str) else argument
      for argument in arguments
    ),
    {},
    tuple(output.split()),
    (),
  )


def _run(*nodes, stored=None):
  """Runs a graph without its effects; its result is that of the last step."""
  graph = Graph(
    nodes, 'x', nodes[-1].outputs[0], {'x': SHAPE}, stored or {}, frozenset()
  )
  graph = effects.without_effects(graph)
  values = {'x': jnp.asarray(IMAGES)}
  for step in program.link(graph):
    program.run_step(step, values, graph.shapes, len(IMAGES))
  return np.asarray(values[graph.logits])


# By the steps that view `y`, the view of an array of NumPy.
VIEWS = {
  'slice': ([('slice.Tensor', 2, 1, 3)], lambda y: y[:, :, 1:3]),
  'steps': ([('slice.Tensor', 2, -3, 2**63 - 1, 2)], lambda y: y[:, :, -3::2]),
  'select': ([('select.int', 1, -1)], lambda y: y[:, -1]),
  'narrow': ([('narrow.default', 2, 1, 2)], lambda y: y[:, :, 1:3]),
  'nested': (
    [('select.int', 1, 1), ('slice.Tensor', 1, 0, 2)],
    lambda y: y[:, 1, :2],
  ),
  'shape': (
    [('view.default', [2, 12]), ('slice.Tensor', 1, 5, 7)],
    lambda y: y.reshape(2, 12)[:, 5:7],
  ),
  'order': (
    [('permute.default', [2, 0, 1]), ('select.int', 0, 3)],
    lambda y: y.transpose(2, 0, 1)[3],
  ),
  'swap': (
    [('transpose.int', 1, 2), ('select.int', 1, 3)],
    lambda y: y.swapaxes(1, 2)[:, 3],
  ),
  'axis': (
    [('unsqueeze.default', 1), ('select.int', 2, 0)],
    lambda y: y[:, None][:, :, 0],
  ),
}


@pytest.mark.parametrize('name', VIEWS)
def test_a_change_of_a_view_changes_the_whole(name):
  steps, view_of = VIEWS[name]
  nodes = [_node('y', 'clone.default', 'x')]
  for number, (operation, *arguments) in enumerate(steps):
    source = nodes[-1].outputs[0]
    nodes.append(_node(f'view_{number}', operation, source, *arguments))
  nodes.append(_node('changed', 'mul_.Tensor', nodes[-1].outputs[0], 3.0))
  nodes.append(_node('result', 'add.Tensor', 'y', 0.0))
  expected = IMAGES.copy()
  view_of(expected)[...] *= 3
  np.testing.assert_array_equal(_run(*nodes), expected)


def test_views_read_what_was_changed_in_others():
  # y's first rows are seen by `left`, and by `flat`, made before the change.
  result = _run(
    _node('y', 'clone.default', 'x'),
    _node('flat', 'view.default', 'y', [2, 12]),
    _node('left', 'slice.Tensor', 'y', 1, 0, 1),
    _node('zeros', 'fill_.Scalar', 'left', 7.0),
    _node('more', 'add_.Tensor', 'y', 1.0),
    _node('end', 'slice.Tensor', 'flat', 1, 0, 6),
    _node('result', 'add.Tensor', 'end', 0.0),
  )
  expected = IMAGES.copy()
  expected[:, :1] = 7
  np.testing.assert_array_equal(result, (expected + 1).reshape(2, 12)[:, :6])


def test_parts_are_assigned_one_after_the_other():
  # As PyTorch writes y = zeros_like(x); y[:, :, 1:] = x[:, :, :-1]; ...
  result = _run(
    _node('y', 'zeros_like.default', 'x'),
    _node('source', 'slice.Tensor', 'x', 2, 0, -1),
    _node('place', 'slice.Tensor', 'y', 2, 1, 2**63 - 1),
    _node('copied', 'copy_.default', 'place', 'source'),
    _node('row', 'select.int', 'y', 1, 0),
    _node('filled', 'fill_.Scalar', 'row', 5.0),
    _node('result', 'add.Tensor', 'y', 0.0),
  )
  expected = np.zeros_like(IMAGES)
  expected[:, :, 1:] = IMAGES[:, :, :-1]
  expected[:, 0] = 5
  np.testing.assert_array_equal(result, expected)


def test_a_changed_result_is_the_newest():
  result = _run(
    _node('part', 'slice.Tensor', 'x', 1, 0, 1),
    _node('changed', 'relu_.default', 'part'),
    _node('result', 'alias.default', 'x'),
    _node('logits', 'alias.default', 'result'),
  )
  expected = IMAGES.copy()
  expected[:, :1] = np.maximum(expected[:, :1], 0)
  np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
  ('operation', 'arguments'),
  [
    ('reshape.default', ([2, 12],)),
    ('contiguous.default', ()),
    ('chunk.default', (1, 1)),
  ],
)
def test_what_cannot_be_put_back_is_refused(operation, arguments):
  with pytest.raises(ValueError, match='relu_.default changes y, too'):
    _run(
      _node('y', 'clone.default', 'x'),
      _node('part', operation, 'y', *arguments),
      _node('changed', 'relu_.default', 'part'),
      _node('result', 'add.Tensor', 'y', 0.0),
    )


def test_axes_that_change_in_place_are_no_numbers():
  with pytest.raises(ValueError, match=r'transpose_\.int changes row, too'):
    _run(
      _node('y', 'clone.default', 'x'),
      _node('row', 'select.int', 'y', 1, 0),
      _node('changed', 'transpose_.int', 'y', 1, 2),
      _node('result', 'add.Tensor', 'row', 0.0),
    )
