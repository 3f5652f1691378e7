"""Teachers' tails, and all answers of one in one pass: Eq. 4 and 12."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from dualgan_jax.networks import classifier
from dualgan_jax.teachers import forward
from dualgan_jax.teachers.teacher import Teacher, from_classifier

KEY = jax.random.PRNGKey(0)


WIDTHS = (2, 3, 4, 3)


@functools.cache
def _teacher():
  """Four blocks, 8×8 → 4×4 → 4×4 → 2×2 → 2×2, variables as if trained."""
  net = classifier.create(
    kind='conv',
    widths=WIDTHS,
    depths=(1, 1, 1, 1),
    strides=(2, 1, 2, 1),
    num_labels=3,
  )
  shapes = jax.eval_shape(lambda: net.init(KEY, (8, 8, 1)))
  rng = np.random.default_rng(0)
  variables = jax.tree.map(
    lambda x: rng.uniform(-0.3, 0.7, x.shape).astype(np.float32), shapes
  )
  for block_variables in variables[:-1]:
    block_variables['batch_stats'] = jax.tree.map(
      np.abs, block_variables['batch_stats']
    )
  return from_classifier('t', ('a', 'b', 'c'), net, variables)


def _image(n=2):
  return jax.random.uniform(KEY, (n, 8, 8, 1))


def _features(after, n):
  """Any features that might stand after a block, n of them."""
  size = (None, 4, 4, 2, 2)[after]
  key = jax.random.fold_in(KEY, after)
  return jax.random.uniform(key, (n, size, size, WIDTHS[after - 1]))


def _tail(features, after):
  teacher = _teacher()
  return forward.tail(teacher, teacher.variables[after:], features, after)


def _close(actual, expected):
  np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_tail_is_the_blocks_that_are_left_and_the_head():
  teacher = _teacher()
  x = _features(2, n=3)
  for b in (2, 3):
    x = teacher.blocks[b](teacher.variables[b], x)
  logits = teacher.head(teacher.variables[4], x)
  _close(_tail(_features(2, n=3), after=2), logits)


def test_tail_after_no_block_is_the_whole_teacher():
  teacher = _teacher()
  x = _image()
  for b in range(4):
    x = teacher.blocks[b](teacher.variables[b], x)
  _close(_tail(_image(), after=0), teacher.head(teacher.variables[4], x))


def test_tail_takes_copies_that_are_being_trained():
  teacher = _teacher()
  *blocks, head = teacher.variables[3:]
  doubled = jax.tree.map(lambda x: 2 * x, head)
  logits = forward.tail(teacher, (*blocks, doubled), _features(3, 2), 3)
  _close(logits, 2 * _tail(_features(3, 2), after=3))


def test_tail_refuses_the_variables_of_another_cut():
  teacher = Teacher(
    'same',
    ('a',),
    (lambda variables, x: x,) * 3,
    lambda variables, x: x,
    (0, 0, 0, 0),
  )
  with pytest.raises(ValueError, match='zip'):
    forward.tail(teacher, (0, 0, 0), jnp.ones((1, 1)), after=2)


@pytest.mark.parametrize('rows', [{}, {2: 3}, {1: 4, 2: 2, 3: 1}, {1: 1, 3: 5}])
def test_ladder_answers_as_the_tails_do_one_by_one(rows):
  # Eq. 4 and 12; streams of any number of rows join at their block.
  entries = {b: _features(b, n) for b, n in rows.items()}
  ladder = forward.ladder(_teacher(), _image(), entries)
  _close(ladder.image, _tail(_image(), after=0))
  assert set(ladder.entries) == set(rows)
  for b, logits in ladder.entries.items():
    assert logits.shape == (rows[b], 3)
    _close(logits, _tail(entries[b], after=b))


def test_answers_in_half_precision_are_widened():
  # σ(8) would be 1 in bfloat16.
  teacher = Teacher(
    'half',
    ('a',),
    (lambda variables, x: x,) * 2,
    lambda variables, x: x[:, 0, 0],
    ({},) * 3,
  )
  x = jnp.full((1, 1, 1, 1), 8, jnp.bfloat16)
  ladder = forward.ladder(teacher, x, {1: x})
  for logits in (
    forward.tail(teacher, teacher.variables, x, 0),
    ladder.image,
    ladder.entries[1],
  ):
    assert logits.dtype == jnp.float32
    assert jax.nn.sigmoid(logits) < 1


def test_ladder_looks_at_the_image_only():
  # Its features before the head, and the moments that each batch norm sees of
  # it: what enters on the way must not be mistaken for the image.
  image_only = forward.ladder(_teacher(), _image(), {})
  entries = {b: 5 + _features(b, 3) for b in (1, 2, 3)}
  crowd = forward.ladder(_teacher(), _image(), entries)
  assert image_only.activations.shape == (2, 2, 2, 3)
  _close(crowd.activations, image_only.activations)
  assert len(crowd.moments) == 4
  jax.tree.map(_close, crowd.moments, image_only.moments)


def test_ladder_moments_are_those_of_the_block_inputs():
  teacher = _teacher()
  ladder = forward.ladder(teacher, _image(), {3: _features(3, 4)})
  x = _image()
  for b in range(4):
    block_variables = teacher.variables[b]
    _, (expected,) = forward.record_moments(
      teacher.blocks[b], block_variables, x, num_images=2
    )
    jax.tree.map(_close, ladder.moments[b], expected)
    remembered = block_variables['batch_stats']['BatchNorm_0']
    _close(ladder.moments[b].running_mean, remembered['mean'])
    _close(ladder.moments[b].running_variance, remembered['var'])
    x = teacher.blocks[b](block_variables, x)
  _close(ladder.activations, x)


def test_ladder_sees_the_batch_norm_of_a_head():
  norm = nn.BatchNorm(use_running_average=True)
  _, block_variables = norm.init_with_output(KEY, jnp.zeros((1, 3)))
  teacher = _teacher()
  normed = teacher.replace(
    head=lambda variables, x: norm.apply(
      variables['norm'], teacher.head(variables['head'], x)
    ),
    variables=(
      *teacher.variables[:-1],
      {'norm': block_variables, 'head': teacher.variables[-1]},
    ),
  )
  entries = {3: 5 + _features(3, 4)}
  ladder = forward.ladder(normed, _image(), entries)
  assert len(ladder.moments) == 5
  logits = _tail(_image(), after=0)
  _close(ladder.moments[-1].mean, logits.mean(axis=0))


def test_ladder_gives_the_image_for_its_own_features():
  # A generator whose groups made just the teacher's features would be perfect
  # under Eq. 11.
  teacher = _teacher()
  x, entries = _image(), {}
  for b in (1, 2, 3):
    x = teacher.blocks[b - 1](teacher.variables[b - 1], x)
    entries[b] = x
  ladder = forward.ladder(teacher, _image(), entries)
  for logits in ladder.entries.values():
    _close(logits, ladder.image)
