import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dualgan_jax import agreement, forward, teachers
from dualgan_jax.errors import UserError
from dualgan_jax.networks import classifier
from dualgan_jax.teachers import Teacher
from tests import tiny

KEY = jax.random.PRNGKey(0)
IMAGE = (7, 8, 1)


def _by_hand():
  """Two blocks and a head that are nothing but functions of an array."""
  blocks = (
    lambda factor, x: factor * x[:, ::2, ::2],
    lambda shift, x: jnp.concatenate([x, x + shift], axis=-1),
  )

  def head(weights, x):
    return jnp.mean(x, axis=(1, 2)) @ weights

  variables = (jnp.array(2.0), jnp.array(1.0), jnp.array([[1.0], [10.0]]))
  return Teacher('hand', ('only',), blocks, head, variables)


class Foreign(nn.Module):
  """A block as other code has it: no `train`, a batch norm deep inside."""

  @nn.compact
  def __call__(self, x):
    x = nn.Conv(3, (2, 2))(x)
    inner = nn.Sequential([nn.gelu, nn.BatchNorm(use_running_average=True)])
    return nn.max_pool(inner(x), (2, 2), (2, 2))


def _foreign():
  block, head = Foreign(), nn.Dense(2)
  x, first = block.init_with_output(KEY, jnp.zeros((1, *IMAGE)))
  x, second = block.init_with_output(KEY, x)
  last = head.init(KEY, x.reshape(1, -1))
  return Teacher(
    'foreign',
    ('a', 'b'),
    (block.apply, block.apply),
    lambda variables, x: head.apply(variables, x.reshape(len(x), -1)),
    (first, second, last),
  )


def test_images_are_prepared_as_a_teacher_is_used_to():
  x = jnp.array([[[[0.0, 0.5, 1.0]], [[1.0, 1.0, 1.0]]]])  # [1, 2, 1, 3]
  grey = teachers.Preparation((2, 1, 1), mean=(0.5,), deviation=(0.25,))
  # 0.587 · 0.5 + 0.114 · 1 = 0.4075; white stays white.
  np.testing.assert_allclose(grey(x)[0, :, 0], [[-0.37], [2]], rtol=1e-5)
  colours = teachers.Preparation(
    (2, 1, 3), mean=(0.0, 0.5, 1.0), deviation=(1.0, 2.0, 4.0)
  )
  np.testing.assert_allclose(
    colours(x)[0, :, 0], [[0, 0, 0], [1, 0.25, 0]], atol=1e-6
  )
  # One channel becomes three alike; twice the size, bilinearly.
  wide = teachers.Preparation((4, 1, 3))(x[..., :1])
  np.testing.assert_allclose(
    wide[0, :, 0], np.repeat([[0], [0.25], [0.75], [1]], 3, axis=1)
  )


def test_a_prepared_teacher_sees_prepared_images():
  teacher = _by_hand()
  shown = teachers.prepared(
    teacher, teachers.Preparation(IMAGE, mean=(1.0,), deviation=(2.0,))
  )
  x = jax.random.uniform(KEY, (3, *IMAGE))
  wanted = teacher.blocks[0](teacher.variables[0], (x - 1) / 2)
  found = shown.blocks[0](shown.variables[0], x)
  np.testing.assert_allclose(found, wanted, rtol=1e-6)
  assert shown.blocks[1:] == teacher.blocks[1:]
  assert shown.labels == teacher.labels


def _net(strides=(2, 1), *, batch_norm=True):
  return classifier.create(
    kind='conv',
    widths=(2,) * len(strides),
    depths=(1,) * len(strides),
    strides=strides,
    labels=2,
    batch_norm=batch_norm,
  )


def _abstract(strides=(2, 1), **options):
  """A teacher of shapes only."""
  net = _net(strides, **options)
  variables = jax.eval_shape(lambda: net.init(KEY, IMAGE))
  return teachers.from_classifier('shapes', ('a', 'b'), net, variables)


def _features(teacher, x):
  for block, own in zip(teacher.blocks, teacher.variables[:-1], strict=True):
    x = block(own, x)
    yield x


def _answers(teacher, x):
  for block, own in zip(teacher.blocks, teacher.variables[:-1], strict=True):
    x = block(own, x)
  return teacher.head(teacher.variables[-1], x)


@pytest.mark.parametrize('b', [1, 2])
def test_a_merged_teacher_is_the_same_in_one_block_less(b):
  net = _net((2, 1, 1))
  variables = jax.tree.map(lambda x: x + 0.3, net.init(KEY, IMAGE))
  teacher = teachers.from_classifier('ours', ('a', 'b'), net, variables)
  merged = teachers.merged(teacher, b)
  assert len(merged.blocks) == len(merged.variables) - 1 == 2
  x = jax.random.uniform(KEY, (3, *IMAGE))
  np.testing.assert_array_equal(_answers(merged, x), _answers(teacher, x))
  shapes = forward.feature_shapes(teacher, IMAGE)
  del shapes[b - 1]
  assert forward.feature_shapes(merged, IMAGE) == shapes

  def norms(t):
    entries = [x, *_features(t, x)]
    return [
      len(forward.record_moments(block, own, entry, 3)[1])
      for block, own, entry in zip(t.blocks, t.variables, entries, strict=False)
    ]

  assert norms(teacher) == [1, 1, 1]
  assert sorted(norms(merged)) == [1, 2]


def test_blocks_without_variables_can_be_merged():
  shift = {'params': {'shift': jnp.array(3.0)}}
  teacher = Teacher(
    'hand',
    ('only',),
    (lambda v, x: 2 * x, lambda v, x: x + v['params']['shift']),
    lambda v, x: x,
    ({}, shift, {}),
  )
  (block,), (own, _) = (
    teachers.merged(teacher, 1).blocks,
    teachers.merged(teacher, 1).variables,
  )
  assert block(own, 5.0) == 2 * 5 + 3


def test_from_classifier_answers_as_the_classifier():
  net = _net()
  variables = jax.tree.map(lambda x: x + 0.3, net.init(KEY, IMAGE))
  teacher = teachers.from_classifier('ours', ('a', 'b'), net, variables)
  assert (teacher.name, teacher.labels) == ('ours', ('a', 'b'))
  assert len(teacher.blocks) == 2
  x = jax.random.uniform(KEY, (3, *IMAGE))
  logits, _ = net.apply(variables, x, train=False)
  np.testing.assert_array_equal(_answers(teacher, x), logits)
  # Not those of a net that is being trained.
  assert np.any(np.abs(logits - net.apply(variables, x, train=True)[0]) > 1e-3)


def test_only_the_variables_of_a_teacher_are_arrays():
  teacher = _by_hand()
  assert jax.tree.leaves(teacher) == list(teacher.variables)
  doubled = jax.jit(lambda t: jax.tree.map(lambda x: 2 * x, t))(teacher)
  assert doubled.blocks == teacher.blocks
  assert doubled.labels == teacher.labels
  np.testing.assert_array_equal(doubled.variables[0], 4.0)


def test_teacher_of_plain_functions_answers():
  # Mean of every second pixel: 1. Twice that: 2. Beside it 2 + 1: 3.
  x = jnp.zeros((1, 4, 4, 1)).at[:, ::2, ::2].set(1.0)
  np.testing.assert_allclose(_answers(_by_hand(), x), [[2.0 + 30.0]])


def test_feature_shapes_of_plain_functions():
  assert forward.feature_shapes(_by_hand(), IMAGE) == [(4, 4, 1), (4, 4, 2)]


def test_feature_shapes_of_foreign_modules():
  # 7×8 halves to 3×4 and 1×2: this code's pooling rounds down.
  assert forward.feature_shapes(_foreign(), IMAGE) == [(3, 4, 3), (1, 2, 3)]


def test_feature_shapes_compute_nothing():
  # There are no values to compute with.
  shapes = forward.feature_shapes(_abstract((2, 2, 1)), IMAGE)
  assert shapes == [(4, 4, 2), (2, 2, 2), (2, 2, 2)]


def test_nets_that_agree():
  nets = {'teachers.x': _abstract(), 'teachers.y': _by_hand()}
  agreement.check_agreement(nets, IMAGE)  # widths may differ


@pytest.mark.parametrize(
  ('others', 'start', 'words'),
  [
    (
      {'teachers.b': _abstract((2, 1, 1)), 'student': _abstract()},
      'teachers.b.widths: 3 blocks',
      'teachers.a has 2',
    ),
    (
      {'teachers.b': _abstract(), 'student': _abstract((2,))},
      'student.widths: 1 blocks',
      'teachers.a has 2',
    ),
    (
      {'teachers.b': _abstract((1, 2)), 'student': _abstract()},
      'teachers.b.strides: block 1 gives 7×8',
      'teachers.a 4×4',
    ),
  ],
)
def test_nets_that_disagree_are_named(others, start, words):
  with pytest.raises(UserError) as error:
    agreement.check_agreement({'teachers.a': _abstract(), **others}, IMAGE)
  assert str(error.value).startswith(start)
  assert words in str(error.value)


def test_disagreement_is_found_in_a_later_block():
  nets = {'teachers.a': _abstract((2, 1, 1)), 'student': _abstract((2, 2, 1))}
  with pytest.raises(UserError, match=r'^student\.strides: block 2 gives 2×2'):
    agreement.check_agreement(nets, IMAGE)


def test_one_block_cannot_be_cut():
  nets = {'teachers.a': _abstract((2,)), 'student': _abstract((2,))}
  with pytest.raises(UserError, match=r'^teachers\.a\.widths: 1 block;'):
    agreement.check_agreement(nets, IMAGE)
  with pytest.raises(UserError, match=r'^teachers\.a\.weights: 1 block;'):
    agreement.check_agreement(nets, IMAGE, {'teachers.a': 'weights'})


def test_merging_is_no_cure_without_files():
  nets = {'teachers.a': _abstract(), 'student': _abstract((2, 1, 1))}
  with pytest.raises(UserError, match=r'into the same number\.$'):
    agreement.check_agreement(nets, IMAGE)
  with pytest.raises(UserError, match=r'number, weight files by `merge`\.$'):
    agreement.check_agreement(nets, IMAGE, {'teachers.a': 'weights'})


@pytest.mark.parametrize(
  ('make', 'wanted'),
  [
    (_abstract, True),
    (_foreign, True),
    (_by_hand, False),
    (lambda: _abstract(batch_norm=False), False),
  ],
)
def test_has_batch_norm(make, wanted):
  assert forward.has_batch_norm(make(), IMAGE) is wanted


def test_record_moments_of_the_first_rows():
  norm = nn.BatchNorm(use_running_average=True)
  x = np.arange(24, dtype=np.float32).reshape(3, 2, 2, 2)
  variables = {
    'params': {'scale': jnp.array([1.0, 2.0]), 'bias': jnp.array([0.0, 1.0])},
    'batch_stats': {
      'mean': jnp.array([5.0, 6.0]),
      'var': jnp.array([7.0, 8.0]),
    },
  }
  y, (seen,) = forward.record_moments(norm.apply, variables, x, rows=2)
  # Channel 0 of the first two rows is 0, 2, .., 14, channel 1 is 1, 3, .., 15.
  np.testing.assert_allclose(seen.mean, [7.0, 8.0])
  np.testing.assert_allclose(seen.mean_square, [70.0, 85.0])
  np.testing.assert_allclose(seen.running_mean, [5.0, 6.0])
  np.testing.assert_allclose(seen.running_variance, [7.0, 8.0])
  # All rows go through the block, unchanged by being looked at.
  np.testing.assert_array_equal(y, norm.apply(variables, x))
  _, (all_rows,) = forward.record_moments(norm.apply, variables, x, rows=3)
  np.testing.assert_allclose(all_rows.mean, [11.0, 12.0])


def test_record_moments_of_places_that_were_made_rows():
  norm = nn.BatchNorm(use_running_average=True)

  def flatten(variables, x):
    return norm.apply(variables, x.reshape(-1, x.shape[-1]))

  x = np.arange(24, dtype=np.float32).reshape(3, 2, 2, 2)
  variables = norm.init(KEY, x)
  _, (seen,) = forward.record_moments(flatten, variables, x, rows=2)
  np.testing.assert_allclose(seen.mean, [7.0, 8.0])
  np.testing.assert_allclose(seen.mean_square, [70.0, 85.0])


def test_record_moments_of_each_layer_in_turn():
  norm = nn.BatchNorm(use_running_average=True, epsilon=0.0)

  def block(variables, x):
    return norm.apply(variables[1], nn.relu(norm.apply(variables[0], x)))

  def remembers(mean, variance):
    return {
      'params': {'scale': jnp.array([2.0]), 'bias': jnp.array([1.0])},
      'batch_stats': {
        'mean': jnp.array([mean]),
        'var': jnp.array([variance]),
      },
    }

  x = jnp.array([[1.0], [3.0], [100.0]])  # features without places
  variables = (remembers(3.0, 4.0), remembers(-1.0, 9.0))
  _, (first, second) = forward.record_moments(block, variables, x, rows=2)
  np.testing.assert_allclose(first.mean, [2.0])
  np.testing.assert_allclose(first.mean_square, [5.0])
  # 2 (x - 3) / √4 + 1 = (-1, 1), of which ReLU leaves (0, 1).
  np.testing.assert_allclose(second.mean, [0.5])
  np.testing.assert_allclose(second.mean_square, [0.5])
  np.testing.assert_allclose(second.running_mean, [-1.0])
  np.testing.assert_allclose(second.running_variance, [9.0])


def test_record_moments_inside_foreign_modules():
  teacher = _foreign()
  x = jax.random.uniform(KEY, (3, *IMAGE))
  block, variables = teacher.blocks[0], teacher.variables[0]
  y, (seen,) = jax.jit(
    lambda variables, x: forward.record_moments(block, variables, x, rows=2)
  )(variables, x)
  np.testing.assert_allclose(y, block(variables, x), 1e-4, 1e-5)
  convolution = {'params': variables['params']['Conv_0']}
  features = nn.gelu(nn.Conv(3, (2, 2)).apply(convolution, x[:2]))
  np.testing.assert_allclose(
    seen.mean, np.mean(features, axis=(0, 1, 2)), 1e-4, 1e-5
  )


def test_record_moments_of_a_norm_called_by_keyword():
  norm = nn.BatchNorm(use_running_average=True)
  x = jnp.array([[1.0], [3.0]])
  variables = norm.init(KEY, x)
  _, (seen,) = forward.record_moments(
    lambda variables, x: norm.apply(variables, x=x), variables, x, rows=2
  )
  np.testing.assert_allclose(seen.mean, [2.0])


def test_record_moments_without_batch_norm():
  x = jnp.ones((2, 4, 4, 1))
  y, seen = forward.record_moments(
    _by_hand().blocks[0], jnp.array(2.0), x, rows=2
  )
  assert seen == []
  np.testing.assert_allclose(y, np.full((2, 2, 2, 1), 2.0))


def test_moments_carry_the_gradient_of_the_image():
  norm = nn.BatchNorm(use_running_average=True)
  variables = norm.init(KEY, jnp.zeros((1, 1)))

  def mean(x):
    _, (seen,) = forward.record_moments(norm.apply, variables, x, rows=2)
    return seen.mean[0]

  # Half from each of the two rows that are looked at.
  grad = jax.grad(mean)(jnp.array([[1.0], [3.0], [9.0]]))
  np.testing.assert_allclose(grad, [[0.5], [0.5], [0.0]])


def test_a_teacher_of_one_label_per_image():
  teacher = _by_hand()
  single = teachers.single_label(teacher)
  assert (teacher.single_label, single.single_label) == (False, True)
  x = jax.random.uniform(KEY, (3, *IMAGE))
  scores, logits = (
    forward.tail(t, t.variables, x, 0) for t in (teacher, single)
  )
  np.testing.assert_allclose(
    jax.nn.sigmoid(logits), jax.nn.softmax(scores), rtol=1e-5
  )
  assert teachers.without_softmax(single) == teacher
  assert teachers.without_softmax(teacher) is teacher


def test_a_classifier_of_one_label_per_image_is_such_a_teacher():
  net = tiny.net((4, 5, 6), 3, single_label=True)
  teacher = teachers.from_classifier('x', tuple('abc'), net, ())
  assert teacher.single_label
