import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dualgan_jax.method import branched, discriminators
from dualgan_jax.method.labels import LabelMap
from dualgan_jax.networks import classifier
from dualgan_jax.networks.classifier import apply_block
from dualgan_jax.reporting import cost
from dualgan_jax.teachers import forward
from dualgan_jax.teachers.teacher import from_classifier, single_label

KEY = jax.random.PRNGKey(0)
IMAGE = (6, 6, 1)
STUDENT, ONE, TWO = (2, 3, 2), (2, 4, 3), (3, 3, 2)
# `c` is shared, `b` is not asked for, and the order is nobody's.
LABELS = {'one': ('a', 'b', 'c'), 'two': ('c', 'd')}
LABEL_MAP = LabelMap.create(LABELS, ('d', 'c', 'a'))


@functools.cache
def _net(widths, labels, seed):
  """A classifier of three blocks with variables as if trained."""
  net = classifier.create(
    kind='conv',
    widths=widths,
    depths=(1, 1, 1),
    strides=(2, 1, 2),
    num_labels=labels,
  )
  shapes = jax.eval_shape(lambda: net.init(KEY, IMAGE))
  rng = np.random.default_rng(seed)
  return net, jax.tree.map(
    lambda x: rng.uniform(0.1, 0.6, x.shape).astype(np.float32), shapes
  )


def _teachers():
  return tuple(
    from_classifier(name, LABELS[name], *_net(widths, labels, seed))
    for name, widths, labels, seed in (('one', ONE, 3, 1), ('two', TWO, 2, 2))
  )


def _filters(points):
  return [
    discriminators.init_filter(
      jax.random.fold_in(KEY, m), STUDENT[p - 1], widths[p - 1]
    )
    for m, (p, widths) in enumerate(zip(points, (ONE, TWO), strict=True))
  ]


def _create(points):
  student, variables = _net(STUDENT, 3, 0)
  return branched.create(
    student.blocks,
    variables[:-1],
    _filters(points),
    _teachers(),
    points,
    LABEL_MAP,
  )


def _images():
  return jax.random.uniform(KEY, (3, *IMAGE))


def _probability(logits):
  return 1 / (1 + np.exp(-np.asarray(logits)))


@pytest.mark.parametrize('points', [(1, 2), (2, 1), (2, 2)])
def test_answers_are_trunk_filter_and_tail(points):
  net, variables = _create(points)
  student, student_variables = _net(STUDENT, 3, 0)
  features = [_images()]
  for block, block_variables in zip(
    student.blocks, student_variables[:-1], strict=True
  ):
    features.append(
      apply_block(block, block_variables, features[-1], train=False)[0]
    )
  one, two = (
    _probability(
      forward.tail(
        teacher,
        teacher.variables[point:],
        discriminators.apply_filter(params, features[point]),
        point,
      )
    )
    for teacher, point, params in zip(
      _teachers(), points, _filters(points), strict=True
    )
  )
  logits, same = net.apply(variables, _images(), train=False)
  # Columns d, c, a: of teacher two, of both, of teacher one.
  expected = np.stack([two[:, 1], (one[:, 2] + two[:, 0]) / 2, one[:, 0]], -1)
  np.testing.assert_allclose(_probability(logits), expected, 1e-4, 1e-6)
  assert jax.tree.structure(same) == jax.tree.structure(variables)
  jax.tree.map(np.testing.assert_array_equal, same, variables)


def test_order_of_the_labels_is_that_of_the_user():
  net, variables = _create((1, 2))
  logits, _ = net.apply(variables, _images(), train=False)
  turned = branched.Branched(
    net.trunk,
    net.teachers,
    net.points,
    LabelMap.create(LABELS, ('a', 'd', 'c')),
  )
  answers, _ = turned.apply(variables, _images(), train=False)
  np.testing.assert_array_equal(answers, logits[:, [2, 0, 1]])


@pytest.mark.parametrize(
  ('points', 'trunk', 'tails'), [((1, 1), 1, (3, 3)), ((1, 2), 2, (3, 2))]
)
def test_trunk_ends_at_the_deepest_branch(points, trunk, tails):
  net, variables = _create(points)
  assert net.points == points
  assert len(net.trunk) == len(variables[0]) == trunk
  # What is left of three blocks, and the head.
  assert tuple(len(tail) for tail in variables[2]) == tails


def test_parameters_are_those_of_the_parts():
  _, variables = _create((1, 2))
  trunk = (9 * 1 * 2 + 2 * 2) + (9 * 2 * 3 + 2 * 3)
  # Two dense layers over the student's 2 channels, which teacher one has too;
  # over 3 channels, which teacher two has too.
  filters = 2 * (2 * 2 + 2) + 2 * (3 * 3 + 3)
  # Teacher one after block 1: 4 and 3 channels, 3 labels; teacher two after
  # block 2: 2 channels, 2 labels; the heads look at 2×2 places.
  one = (9 * 2 * 4 + 2 * 4) + (9 * 4 * 3 + 2 * 3) + (2 * 2 * 3 * 3 + 3)
  two = (9 * 3 * 2 + 2 * 2) + (2 * 2 * 2 * 2 + 2)
  assert cost.count_parameters(variables) == trunk + filters + one + two


def test_filters_project_to_the_width_of_the_teacher():
  # After block 1 teacher two is 3 wide, the student 2.
  _, (_, filters, _) = _create((2, 1))
  kernel = filters[1]['params']['projection']['kernel']
  assert kernel.shape == (1, 1, 2, 3)


def test_training_moves_the_averages_of_the_trunk_alone():
  net, variables = _create((2, 1))
  _, (trunk, filters, tails) = net.apply(variables, _images(), train=True)
  old_params, old_averages = classifier.split(variables[0])
  params, averages = classifier.split(trunk)
  for a, b in zip(jax.tree.leaves(old_averages), jax.tree.leaves(averages)):
    assert np.all(a != b)
  # The tails keep the teachers' statistics; parameters are the optimiser's.
  jax.tree.map(np.testing.assert_array_equal, params, old_params)
  jax.tree.map(np.testing.assert_array_equal, filters, variables[1])
  jax.tree.map(np.testing.assert_array_equal, tails, variables[2])


def test_every_part_learns():
  net, variables = _create((2, 1))

  def total(variables):
    logits, _ = net.apply(variables, _images(), train=False)
    return jnp.sum(jnp.square(logits))

  grads, _ = classifier.split(jax.jit(jax.grad(total))(variables))
  for part, blocks in zip(('trunk', 'filters', 'tails'), grads, strict=True):
    for grad in jax.tree.leaves(blocks, is_leaf=lambda x: isinstance(x, dict)):
      assert any(np.any(x != 0) for x in jax.tree.leaves(grad)), part


def test_training_the_net_leaves_the_teachers_as_they_are():
  net, (trunk, filters, tails) = _create((1, 2))
  trained = jax.tree.map(lambda x: x + 1, tails)
  before, _ = net.apply((trunk, filters, tails), _images(), train=False)
  after, _ = net.apply((trunk, filters, trained), _images(), train=False)
  assert np.all(np.abs(after - before) > 1e-3)
  for m, teacher in enumerate(net.teachers):
    jax.tree.map(
      np.testing.assert_array_equal,
      teacher.variables,
      _teachers()[m].variables,
    )


def _answers(everyone, label_map=LABEL_MAP, **options):
  """What a net whose branches leave after blocks 2 and 1 says."""
  student, student_variables = _net(STUDENT, 3, 0)
  points = (2, 1)[: len(everyone)]
  net, variables = branched.create(
    student.blocks,
    student_variables[:-1],
    _filters((2, 1))[: len(everyone)],
    everyone,
    points,
    label_map,
    **options,
  )
  return net.apply(variables, _images(), train=False)[0]


def test_one_softmax_stands_over_the_tails_of_teachers_that_had_one_each():
  # An image is of one label of all teachers', and may have none of a teacher's.
  certain = tuple(map(single_label, _teachers()))
  each = _answers(certain)
  np.testing.assert_allclose(
    _probability(_answers(certain, single_label=True, absent=True)),
    jax.nn.softmax(each),
    1e-4,
    1e-6,
  )


def test_one_teachers_own_softmax_is_enough():
  only_teacher = tuple(map(single_label, _teachers()[:1]))
  label_map = LabelMap.create({'one': LABELS['one']}, LABELS['one'])
  answers = _answers(only_teacher, label_map, single_label=True)
  np.testing.assert_array_equal(_answers(only_teacher, label_map), answers)
  np.testing.assert_allclose(_probability(answers).sum(axis=1), 1, rtol=1e-5)


def test_tails_of_labels_that_may_all_be_absent_have_no_softmax():
  certain = tuple(map(single_label, _teachers()))
  raw = _answers(_teachers())
  np.testing.assert_array_equal(_answers(certain, absent=True), raw)
  assert np.abs(_answers(certain) - raw).max() > 0.1
