"""Layers with PyTorch's names and PyTorch's ways."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dualgan_jax.networks import (
  architectures,
  state_dict_shapes,
  torch_layers,
)


def test_a_convolution_pads_both_sides_alike():
  image = jnp.arange(16.0).reshape(1, 4, 4, 1)
  ones = {'params': {'kernel': jnp.ones((3, 3, 1, 1))}}
  convolved = torch_layers.conv('a', 1, 3, stride=2, padding=1).apply(
    ones, image
  )
  # The windows' middles are 0, 2, 8 and 10; 'SAME' would have 5, 7, 13 and 15.
  expected = [[0 + 1 + 4 + 5, 1 + 2 + 3 + 5 + 6 + 7], [4 + 5 + 8 + 9 + 12 + 13]]
  assert convolved.shape == (1, 2, 2, 1)
  np.testing.assert_allclose(convolved[0, 0, :, 0], expected[0])
  np.testing.assert_allclose(convolved[0, 1, 0, 0], expected[1][0])


def test_a_pooling_pads_with_less_than_anything():
  image = -jnp.ones((1, 2, 2, 1))
  pooled = torch_layers.max_pool(image, 3, 2, padding=1)
  np.testing.assert_array_equal(pooled, -np.ones((1, 1, 1, 1)))


@pytest.mark.parametrize(
  ('pixels', 'size', 'expected'),
  [
    ([1, 2, 3, 4], 2, [1.5, 3.5]),
    ([1, 2, 3, 4], 1, [2.5]),
    ([1, 2, 3], 2, [1.5, 2.5]),  # windows overlap
    ([1, 2], 3, [1, 1.5, 2]),  # pixels are repeated
  ],
)
def test_adaptive_windows_cover_the_image(pixels, size, expected):
  features = jnp.ones((1, 5, 1, 1)) * jnp.array(pixels).reshape(1, 1, -1, 1)
  pooled = torch_layers.adaptive_mean(features.astype(jnp.float32), size)
  assert pooled.shape == (1, size, size, 1)
  np.testing.assert_allclose(pooled[0, 0, :, 0], expected)


def test_features_flatten_channel_by_channel():
  features = jnp.arange(8).reshape(1, 2, 2, 2)  # [N, h, w, c]
  np.testing.assert_array_equal(
    torch_layers.flatten(features), [[0, 2, 4, 6, 1, 3, 5, 7]]
  )


def test_the_head_means_over_space_before_it_weighs():
  variables = {'params': {'fc': {'kernel': jnp.eye(2), 'bias': jnp.ones(2)}}}
  features = jnp.array([[[[1.0, 2.0], [3.0, 6.0]]]])
  logits = torch_layers.Linear(2, 'fc').apply(
    variables, features.astype(jnp.bfloat16)
  )
  np.testing.assert_allclose(logits, [[3, 5]])
  assert logits.dtype == jnp.float32


def test_dense_layers_have_relu_between_and_none_at_the_end():
  head = torch_layers.DenseLayers((2, 1), ('fc1', 'fc2'))
  variables = {
    'params': {
      'fc1': {'kernel': jnp.array([[1.0, -1.0]]), 'bias': jnp.zeros(2)},
      'fc2': {'kernel': jnp.array([[-1.0], [5.0]]), 'bias': jnp.zeros(1)},
    }
  }
  features = jnp.full((1, 1, 1, 1), 2.0)
  np.testing.assert_allclose(head.apply(variables, features), [[-2.0]])


def test_names_and_shapes_are_those_of_a_state_dict():
  template = (
    {
      'params': {
        'layer1': {'0': {'conv1': {'kernel': jnp.zeros((3, 5, 2, 4))}}},
        'bn1': {'scale': jnp.zeros(4), 'bias': jnp.zeros(4)},
      },
      'batch_stats': {'bn1': {'mean': jnp.zeros(4), 'var': jnp.zeros(4)}},
    },
    {'params': {'fc': {'kernel': jnp.zeros((4, 7)), 'bias': jnp.zeros(7)}}},
  )
  tensor_shapes = {
    'layer1.0.conv1.weight': (4, 2, 3, 5),
    'bn1.weight': (4,),
    'bn1.bias': (4,),
    'bn1.running_mean': (4,),
    'bn1.running_var': (4,),
    'fc.weight': (7, 4),
    'fc.bias': (7,),
  }
  assert torch_layers.state_dict_shapes(template) == tensor_shapes

  generator = np.random.default_rng(0)
  tensors = {
    tensor_name: generator.normal(size=shape)
    for tensor_name, shape in tensor_shapes.items()
  }
  block, head = torch_layers.convert_state_dict(tensors, template)
  kernel = block['params']['layer1']['0']['conv1']['kernel']
  assert kernel.dtype == np.float32
  np.testing.assert_allclose(
    kernel[1, 2, 0, 3], tensors['layer1.0.conv1.weight'][3, 0, 1, 2], rtol=1e-6
  )
  np.testing.assert_allclose(
    head['params']['fc']['kernel'][2, 5], tensors['fc.weight'][5, 2], rtol=1e-6
  )
  np.testing.assert_allclose(
    block['batch_stats']['bn1']['var'], tensors['bn1.running_var'], rtol=1e-6
  )
  jax.tree.map(
    lambda actual, expected: np.testing.assert_equal(
      actual.shape, expected.shape
    ),
    (block, head),
    template,
  )


@pytest.mark.parametrize(
  ('name', 'size', 'heights', 'width'),
  [
    ('resnet18', 224, (56, 28, 14, 7), 512),
    ('resnet50', 224, (56, 28, 14, 7), 2048),
    ('cifar_resnet34', 32, (32, 16, 8, 4), 512),
    ('cifar_resnet20', 32, (32, 16, 8), 64),
    ('wrn_40_2', 32, (32, 16, 8), 128),
    ('vgg16_bn', 32, (32, 16, 8, 4, 2), 512),
    ('cifar_vgg11_bn', 32, (32, 16, 8, 4, 4), 512),
    ('cifar_vgg11_bn', 64, (64, 32, 16, 8, 4), 512),
    ('lenet5', 32, (14, 5, 1), 120),
    ('lenet', 32, (14, 5), 16),
    ('cnn3', 32, (15, 6, 4), 128),
  ],
)
def test_blocks_shrink_as_their_papers_say(name, size, heights, width):
  variant = architectures.ARCHITECTURES[name][0]
  net = variant.create(10)
  variables = state_dict_shapes.abstract_variables(variant, 10, (size, size, 3))
  features, shapes = jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32), []
  for block, block_variables in zip(net.blocks, variables[:-1], strict=True):
    features = jax.eval_shape(
      lambda block_variables, features, block=block: block.apply(
        block_variables, features, train=False
      ),
      block_variables,
      features,
    )
    shapes.append(features.shape)
  assert [shape[1:3] for shape in shapes] == [
    (height, height) for height in heights
  ]
  assert shapes[-1][-1] == width
