import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dualgan_jax.networks import classifier
from dualgan_jax.networks.classifier import ConvBlock, ResidualBlock
from dualgan_jax.networks.head import Head
from dualgan_jax.reporting import cost
from dualgan_jax.training import parallel
from tests import tiny

KEY = jax.random.PRNGKey(0)
KINDS = pytest.mark.parametrize('kind', ['conv', 'residual'])


def _net(kind, **options):
  return classifier.create(
    **{
      'kind': kind,
      'widths': (2, 3),
      'depths': (1, 2),
      'strides': (2, 1),
      'num_labels': 4,
      **options,
    }
  )


@functools.cache
def _trained(kind, *, batch_norm=True):
  """Makes a net and variables as if trained: none is 0 or 1."""
  net = _net(kind, batch_norm=batch_norm)
  shapes = jax.eval_shape(lambda: net.init(KEY, (7, 7, 1)))
  generator = np.random.default_rng(0)
  return net, jax.tree.map(
    lambda leaf: generator.uniform(0.2, 0.8, leaf.shape).astype(np.float32),
    shapes,
  )


def _images(num_images=3, image_size=7):
  return jax.random.uniform(
    jax.random.PRNGKey(1), (num_images, image_size, image_size, 1)
  )


def _parameter_paths(tree):
  return [
    [key.key for key in path]
    for path, _ in jax.tree_util.tree_leaves_with_path(tree)
  ]


def _leaf_changes(old, new):
  """Returns for each leaf whether it has changed."""
  return [
    bool(np.any(old_leaf != new_leaf))
    for old_leaf, new_leaf in zip(
      jax.tree.leaves(old), jax.tree.leaves(new), strict=True
    )
  ]


@KINDS
@pytest.mark.parametrize('size', [28, 7])
def test_odd_sizes_round_up(kind, size):
  # However deep, a block strides once.
  net = _net(kind, widths=(2, 3, 4), depths=(1, 2, 2), strides=(2, 2, 1))

  def outputs():
    features, block_outputs = jnp.zeros((5, size, size, 1)), []
    for block in net.blocks:
      features = block.init_with_output(KEY, features, train=False)[0]
      block_outputs.append(features)
    return block_outputs, net.head.init_with_output(KEY, features)[0]

  block_shapes, logits = jax.eval_shape(outputs)
  half, quarter = {28: (14, 7), 7: (4, 2)}[size]
  assert [features.shape for features in block_shapes] == [
    (5, half, half, 2),
    (5, quarter, quarter, 3),
    (5, quarter, quarter, 4),
  ]
  assert logits.shape == (5, 4)


def test_images_need_not_be_square():
  block = ConvBlock(2)
  features = jax.eval_shape(
    lambda: block.init_with_output(KEY, jnp.zeros((1, 8, 5, 3)), train=False)
  )[0]
  assert features.shape == (1, 4, 3, 2)


@KINDS
def test_one_variable_dict_per_block_and_one_for_the_head(kind):
  net, variables = _trained(kind)
  assert len(variables) == len(net.blocks) + 1
  assert [set(variable_dict) for variable_dict in variables] == [
    {'params', 'batch_stats'},
    {'params', 'batch_stats'},
    {'params'},
  ]


@KINDS
def test_no_bias_before_batch_norm(kind):
  _, (*blocks, _) = _trained(kind)
  convolutions = [
    path
    for block_variables in blocks
    for path in _parameter_paths(block_variables['params'])
    if path[0].startswith('Conv')
  ]
  assert convolutions
  assert all(path[-1] == 'kernel' for path in convolutions)


@KINDS
def test_without_batch_norm_there_are_biases_and_no_averages(kind):
  _, (*blocks, _) = _trained(kind, batch_norm=False)
  for block_variables in blocks:
    assert set(block_variables) == {'params'}
    assert all(
      module_name.startswith('Conv')
      for module_name in block_variables['params']
    )
    assert all(
      'bias' in convolution
      for convolution in block_variables['params'].values()
    )


@KINDS
def test_training_moves_every_running_average(kind):
  net, variables = _trained(kind)
  _, updated = net.apply(variables, _images(), train=True)
  old_parts, new_parts = classifier.split(variables), classifier.split(updated)
  assert all(_leaf_changes(old_parts[1], new_parts[1]))
  assert not any(
    _leaf_changes(old_parts[0], new_parts[0])
  )  # parameters are the optimiser's


@KINDS
def test_evaluation_changes_nothing(kind):
  net, variables = _trained(kind)
  _, same = net.apply(variables, _images(), train=False)
  assert not any(_leaf_changes(variables, same))


@KINDS
def test_only_in_training_do_the_rows_of_a_batch_meet(kind):
  net, variables = _trained(kind)
  images = _images()

  def first_moves(train):
    logits, _ = net.apply(variables, images, train=train)
    other_logits, _ = net.apply(variables, images.at[1:].mul(3.0), train=train)
    return float(jnp.max(jnp.abs(logits[0] - other_logits[0])))

  assert first_moves(train=False) < 1e-5
  assert first_moves(train=True) > 1e-3


@KINDS
@pytest.mark.parametrize('train', [False, True])
def test_apply_is_the_blocks_one_after_the_other(kind, train):
  net, variables = _trained(kind)
  features = _images()
  expected = []
  for block, block_variables in zip(net.blocks, variables[:-1], strict=True):
    if train:
      features, new_averages = block.apply(
        block_variables, features, train=True, mutable=['batch_stats']
      )
      expected.append({'params': block_variables['params'], **new_averages})
    else:
      features = block.apply(block_variables, features, train=False)
      expected.append(block_variables)
  logits, updated = net.apply(variables, _images(), train=train)
  np.testing.assert_allclose(
    logits, net.head.apply(variables[-1], features), 1e-5
  )
  assert jax.tree.structure(updated) == jax.tree.structure(variables)
  for actual_leaf, expected_leaf in zip(
    jax.tree.leaves(updated[:-1]), jax.tree.leaves(expected)
  ):
    np.testing.assert_allclose(actual_leaf, expected_leaf, 1e-5)


@KINDS
def test_trains_without_batch_norm(kind):
  net, variables = _trained(kind, batch_norm=False)
  logits, same = net.apply(variables, _images(), train=True)
  assert not any(_leaf_changes(variables, same))
  np.testing.assert_array_equal(
    logits, net.apply(variables, _images(), train=False)[0]
  )


def test_running_averages_take_a_tenth_of_the_batch():
  block = ConvBlock(1, stride=1)
  images = jnp.array([1.0, 5.0]).reshape(2, 1, 1, 1)
  variables = block.init(KEY, images, train=False)
  # Around a single pixel all is padding: the kernel's centre is a factor.
  kernel = jnp.zeros((3, 3, 1, 1)).at[1, 1].set(2.0)
  variables['params']['Conv_0']['kernel'] = kernel
  _, updated = classifier.apply_block(block, variables, images, train=True)
  averages = updated['batch_stats']['BatchNorm_0']
  # The batch is (2, 10): mean 6, variance 16; they start at 0 and 1.
  np.testing.assert_allclose(averages['mean'], [0.6], 1e-5)
  np.testing.assert_allclose(averages['var'], [0.9 + 1.6], 1e-5)


@KINDS
def test_devices_share_their_batch_moments(kind):
  # Two devices with half of the batch each normalise by the moments of all.
  net, variables = _trained(kind)
  images = _images(4)
  logits, whole_variables = net.apply(variables, images, train=True)
  half_logits, share_variables = jax.vmap(
    lambda images: net.apply(variables, images, train=True),
    axis_name=parallel.AXIS,
  )(images.reshape(2, 2, 7, 7, 1))
  np.testing.assert_allclose(half_logits.reshape(4, 4), logits, 1e-3, 1e-4)
  for share_leaf, whole_leaf in zip(
    jax.tree.leaves(share_variables), jax.tree.leaves(whole_variables)
  ):
    np.testing.assert_allclose(share_leaf[0], whole_leaf, 1e-3, 1e-5)
    np.testing.assert_array_equal(share_leaf[0], share_leaf[1])


def test_residual_block_with_silent_convolutions_passes_its_input():
  # Same width, stride 1: the shortcut is the identity and has no parameters.
  block = ResidualBlock(2, depth=2, stride=1, batch_norm=False)
  features = jax.random.normal(KEY, (2, 3, 3, 2))
  variables = block.init(KEY, features, train=False)
  assert len(variables['params']) == 4
  silent = jax.tree.map(jnp.zeros_like, variables)
  np.testing.assert_array_equal(
    block.apply(silent, features, train=False), np.maximum(features, 0)
  )


@pytest.mark.parametrize(('width', 'stride'), [(3, 1), (2, 2)])
def test_residual_shortcut_projects_where_shapes_differ(width, stride):
  block = ResidualBlock(width, stride=stride)
  features = jnp.zeros((1, 4, 4, 2))
  variables = jax.eval_shape(lambda: block.init(KEY, features, train=False))
  kernels = [
    features.shape
    for features in jax.tree.leaves(variables['params'])
    if features.ndim == 4
  ]
  assert kernels == [(3, 3, 2, width), (3, 3, width, width), (1, 1, 2, width)]


def test_depth_is_the_number_of_convolutions():
  net = _net('conv', depths=(3, 1))
  first, *_ = jax.eval_shape(lambda: net.init(KEY, (8, 8, 1)))
  kernels = [
    kernel.shape
    for kernel in jax.tree.leaves(first['params'])
    if kernel.ndim == 4
  ]
  assert kernels == [(3, 3, 1, 2), (3, 3, 2, 2), (3, 3, 2, 2)]


@pytest.mark.parametrize('block', [ConvBlock, ResidualBlock])
def test_features_are_not_negative(block):
  inputs = jax.random.normal(KEY, (4, 5, 5, 2))
  features, _ = block(3).init_with_output(KEY, inputs, train=False)
  assert jnp.min(features) == 0
  assert jnp.max(features) > 0


@pytest.mark.parametrize(
  ('depths', 'sizes'), [((1, 1, 1), [14, 5, 1]), ((2, 1, 1), [12, 4, 0])]
)
def test_features_of_a_lenet(depths, sizes):
  net = _net('lenet', widths=(2, 3, 4), depths=depths, strides=(2, 2, 1))
  features, shapes = jnp.zeros((1, 32, 32, 1)), []
  for block in net.blocks:
    features, _ = block.init_with_output(KEY, features, train=False)
    shapes.append(features.shape)
  assert shapes == [
    (1, size, size, width) for size, width in zip(sizes, (2, 3, 4))
  ]


def test_a_lenet_pools_by_the_largest():
  # The middle of a 5×5 kernel only: the image without its border.
  kernel = jnp.zeros((5, 5, 1, 1)).at[2, 2].set(1.0)
  params = {'Conv_0': {'kernel': kernel, 'bias': jnp.array([-1.0])}}
  image = jnp.arange(64.0).reshape(1, 8, 8, 1)
  block = classifier.LeNetBlock(1, batch_norm=False)
  pooled = block.apply({'params': params}, image, train=False)
  # Of rows 2 .. 5 and columns 2 .. 5, in squares of two.
  np.testing.assert_array_equal(pooled[0, :, :, 0], [[26, 28], [42, 44]])


@pytest.mark.parametrize(
  ('widths', 'hidden_width', 'num_parameters'),
  [((6, 16, 120), 84, 61_706), ((3, 8, 60), 42, 15_738)],
)
def test_sizes_of_lenet_5_and_its_half(widths, hidden_width, num_parameters):
  net = _net(
    'lenet',
    widths=widths,
    depths=(1, 1, 1),
    strides=(2, 2, 1),
    num_labels=10,
    hidden_widths=(hidden_width,),
    batch_norm=False,
  )
  variables = jax.eval_shape(lambda: net.init(KEY, (32, 32, 1)))
  assert cost.count_parameters(variables) == num_parameters


def test_hidden_layers_of_a_head_have_a_relu():
  head = Head(1, pool=False, hidden_widths=(2,))
  params = {
    'Dense_0': {'kernel': jnp.array([[1.0, -1.0]]), 'bias': jnp.zeros(2)},
    'Dense_1': {'kernel': jnp.array([[3.0], [5.0]]), 'bias': jnp.zeros(1)},
  }
  features = jnp.array([2.0, -2.0]).reshape(2, 1, 1, 1)
  logits = head.apply({'params': params}, features)
  np.testing.assert_allclose(logits, [[6.0], [10.0]])


def test_head_pools_over_all_places():
  head = Head(2, pool=True)
  features = jnp.array([[[[1.0], [2.0]], [[3.0], [6.0]]]])  # mean 3
  params = {
    'Dense_0': {'kernel': jnp.array([[2.0, -1.0]]), 'bias': jnp.array([0, 0.5])}
  }
  np.testing.assert_allclose(
    head.apply({'params': params}, features), [[6.0, -2.5]]
  )


def test_head_without_pooling_looks_at_every_place():
  head = Head(1, pool=False)
  features = jnp.array([[[[1.0], [2.0]], [[3.0], [6.0]]]])
  params = {
    'Dense_0': {
      'kernel': jnp.array([[1.0], [0.0], [0.0], [-1.0]]),
      'bias': jnp.array([0.5]),
    }
  }
  np.testing.assert_allclose(head.apply({'params': params}, features), [[-4.5]])


def test_blocks_start_from_different_weights():
  net = _net('conv', widths=(2, 2, 2), depths=(1, 1, 1), strides=(1, 1, 1))
  _, second, third, _ = net.init(KEY, (4, 4, 1))
  assert all(
    _leaf_changes(
      second['params']['Conv_0']['kernel'], third['params']['Conv_0']['kernel']
    )
  )


@pytest.mark.parametrize('part', ['depths', 'strides', 'widths'])
def test_create_refuses_tuples_of_different_length(part):
  with pytest.raises(ValueError, match='zip'):
    _net('conv', **{part: (1, 1, 1)})


@KINDS
@pytest.mark.parametrize('batch_norm', [True, False])
def test_join_undoes_split(kind, batch_norm):
  _, variables = _trained(kind, batch_norm=batch_norm)
  params, batch_stats = classifier.split(variables)
  assert params == tuple(variable_dict['params'] for variable_dict in variables)
  assert batch_stats == tuple(
    variable_dict.get('batch_stats', {}) for variable_dict in variables
  )
  assert classifier.join(params, batch_stats) == variables


def test_join_undoes_split_of_one_block_and_of_nested_tuples():
  with_norm = {'params': {'w': 1}, 'batch_stats': {'mean': 2}}
  without = {'params': {'w': 3}}
  for tree in (with_norm, without, (with_norm, ((without,), with_norm))):
    assert classifier.join(*classifier.split(tree)) == tree


def test_join_undoes_split_whatever_tree_parameters_are():
  tree = ({'params': ({'w': 1}, [2])}, {'params': 3, 'batch_stats': {'m': 4}})
  assert classifier.join(*classifier.split(tree)) == tree


def test_join_refuses_parts_of_different_nets():
  with pytest.raises(ValueError, match='zip'):
    classifier.join(({'w': 1}, {'w': 2}), ({},))


@KINDS
def test_half_precision_is_inside_only(kind):
  full = tiny.net((4, 6, 8), 3, kind=kind)
  half = tiny.net((4, 6, 8), 3, kind=kind, dtype=jnp.bfloat16)
  variables = tiny.variables_of(full)
  images = tiny.images(4) / np.float32(255)
  chex.assert_trees_all_equal_shapes_and_dtypes(
    variables, tiny.variables_of(half)
  )
  inside, _ = classifier.apply_block(
    half.blocks[0], variables[0], images, train=False
  )
  assert inside.dtype == jnp.bfloat16
  logits, updated = half.apply(variables, images, train=False)
  assert logits.dtype == jnp.float32
  chex.assert_trees_all_equal_dtypes(variables, updated)
  expected, _ = full.apply(variables, images, train=False)
  np.testing.assert_allclose(logits, expected, atol=0.05)
  assert np.abs(logits - expected).max() > 0


class OneAgainstRestTest(chex.TestCase):
  @chex.all_variants
  def test_by_hand(self):
    # Probabilities 1/8, 2/8 and 5/8, so odds of 1:7, 2:6 and 5:3.
    scores = jnp.log(jnp.array([[1.0, 2.0, 5.0]])) + 3
    logits = self.variant(classifier.one_against_rest)(scores)
    np.testing.assert_allclose(
      logits, np.log([[1 / 7, 2 / 6, 5 / 3]]), rtol=1e-5
    )


def test_their_sigmoids_are_softmax_probabilities_and_so_are_gradients():
  scores = 5 * jax.random.normal(KEY, (6, 4))
  weights = jax.random.normal(jax.random.PRNGKey(1), (6, 4))

  def weighted_sigmoids(scores):
    return jnp.sum(
      weights * jax.nn.sigmoid(classifier.one_against_rest(scores))
    )

  def weighted_softmax(scores):
    return jnp.sum(weights * jax.nn.softmax(scores))

  for actual, expected in zip(
    jax.value_and_grad(weighted_sigmoids)(scores),
    jax.value_and_grad(weighted_softmax)(scores),
  ):
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)


def test_probabilities_of_many_labels_add_up_to_1_in_half_precision():
  scores = jax.random.normal(KEY, (4, 100)).astype(jnp.bfloat16)
  sums = jax.nn.sigmoid(classifier.one_against_rest(scores)).sum(axis=1)
  np.testing.assert_allclose(sums, np.ones(4), rtol=1e-5)


def test_extreme_scores_stay_finite():
  scores = jnp.array([[1e4, -1e4, 0.0], [0.0, 0.0, 0.0], [1e4, 1e4, -1e4]])
  logits, gradient = jax.value_and_grad(
    lambda scores: jnp.sum(classifier.one_against_rest(scores))
  )(scores)
  chex.assert_tree_all_finite((logits, gradient))
  np.testing.assert_allclose(
    classifier.one_against_rest(scores)[:, 0],
    [1e4, -np.log(2), 0],
    rtol=1e-5,
    atol=1e-5,
  )


def test_a_net_of_one_label_per_image_ends_in_it():
  net = tiny.net((4, 5, 6), 3)
  single_label_net = tiny.net((4, 5, 6), 3, single_label=True)
  images, variables = tiny.images(4) / np.float32(255), tiny.variables_of(net)
  scores, logits = (
    either_net.apply(variables, images, train=False)[0]
    for either_net in (net, single_label_net)
  )
  np.testing.assert_allclose(
    jax.nn.sigmoid(logits), jax.nn.softmax(scores), rtol=1e-5
  )
