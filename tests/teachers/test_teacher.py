import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dualgan_jax.teachers import forward
from dualgan_jax.teachers.merging import merged
from dualgan_jax.teachers.teacher import (
  Preparation,
  Teacher,
  from_classifier,
  prepared,
  single_label,
  without_softmax,
)
from tests import tiny
from tests.teachers import nets
from tests.teachers.nets import IMAGE, KEY


def test_a_prepared_teacher_sees_prepared_images():
  teacher = nets.by_hand()
  shown = prepared(teacher, Preparation(IMAGE, mean=(1.0,), std=(2.0,)))
  x = jax.random.uniform(KEY, (3, *IMAGE))
  expected = teacher.blocks[0](teacher.variables[0], (x - 1) / 2)
  actual = shown.blocks[0](shown.variables[0], x)
  np.testing.assert_allclose(actual, expected, rtol=1e-6)
  assert shown.blocks[1:] == teacher.blocks[1:]
  assert shown.labels == teacher.labels


@pytest.mark.parametrize('b', [1, 2])
def test_a_merged_teacher_is_the_same_in_one_block_less(b):
  net = nets.net((2, 1, 1))
  variables = jax.tree.map(lambda x: x + 0.3, net.init(KEY, IMAGE))
  teacher = from_classifier('ours', ('a', 'b'), net, variables)
  shorter = merged(teacher, b)
  assert len(shorter.blocks) == len(shorter.variables) - 1 == 2
  x = jax.random.uniform(KEY, (3, *IMAGE))
  np.testing.assert_array_equal(
    nets.answers(shorter, x), nets.answers(teacher, x)
  )
  shapes = forward.feature_shapes(teacher, IMAGE)
  del shapes[b - 1]
  assert forward.feature_shapes(shorter, IMAGE) == shapes

  def norms(t):
    entries = [x, *nets.features(t, x)]
    return [
      len(forward.record_moments(block, block_variables, entry, 3)[1])
      for block, block_variables, entry in zip(
        t.blocks, t.variables, entries, strict=False
      )
    ]

  assert norms(teacher) == [1, 1, 1]
  assert sorted(norms(shorter)) == [1, 2]


def test_blocks_without_variables_can_be_merged():
  shift = {'params': {'shift': jnp.array(3.0)}}
  teacher = Teacher(
    'hand',
    ('only',),
    (
      lambda variables, x: 2 * x,
      lambda variables, x: x + variables['params']['shift'],
    ),
    lambda variables, x: x,
    ({}, shift, {}),
  )
  (block,), (block_variables, _) = (
    merged(teacher, 1).blocks,
    merged(teacher, 1).variables,
  )
  assert block(block_variables, 5.0) == 2 * 5 + 3


def test_from_classifier_answers_as_the_classifier():
  net = nets.net()
  variables = jax.tree.map(lambda x: x + 0.3, net.init(KEY, IMAGE))
  teacher = from_classifier('ours', ('a', 'b'), net, variables)
  assert (teacher.name, teacher.labels) == ('ours', ('a', 'b'))
  assert len(teacher.blocks) == 2
  x = jax.random.uniform(KEY, (3, *IMAGE))
  logits, _ = net.apply(variables, x, train=False)
  np.testing.assert_array_equal(nets.answers(teacher, x), logits)
  # Not those of a net that is being trained.
  assert np.any(np.abs(logits - net.apply(variables, x, train=True)[0]) > 1e-3)


def test_only_the_variables_of_a_teacher_are_arrays():
  teacher = nets.by_hand()
  assert jax.tree.leaves(teacher) == list(teacher.variables)
  doubled = jax.jit(lambda t: jax.tree.map(lambda x: 2 * x, t))(teacher)
  assert doubled.blocks == teacher.blocks
  assert doubled.labels == teacher.labels
  np.testing.assert_array_equal(doubled.variables[0], 4.0)


def test_teacher_of_plain_functions_answers():
  # Mean of every second pixel: 1. Twice that: 2. Beside it 2 + 1: 3.
  x = jnp.zeros((1, 4, 4, 1)).at[:, ::2, ::2].set(1.0)
  np.testing.assert_allclose(nets.answers(nets.by_hand(), x), [[2.0 + 30.0]])


def test_a_teacher_of_one_label_per_image():
  teacher = nets.by_hand()
  single = single_label(teacher)
  assert (teacher.single_label, single.single_label) == (False, True)
  x = jax.random.uniform(KEY, (3, *IMAGE))
  scores, logits = (
    forward.tail(t, t.variables, x, 0) for t in (teacher, single)
  )
  np.testing.assert_allclose(
    jax.nn.sigmoid(logits), jax.nn.softmax(scores), rtol=1e-5
  )
  assert without_softmax(single) == teacher
  assert without_softmax(teacher) is teacher


def test_a_classifier_of_one_label_per_image_is_such_a_teacher():
  net = tiny.net((4, 5, 6), 3, single_label=True)
  teacher = from_classifier('x', tuple('abc'), net, ())
  assert teacher.single_label
