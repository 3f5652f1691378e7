import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dualgan_jax.method import discriminators
from dualgan_jax.teachers.teacher import Teacher

KEY = jax.random.PRNGKey(0)
LN3 = math.log(3)


def _close(actual, expected):
  np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def _logit(p):
  return math.log(p / (1 - p))


def test_combine_puts_single_owners_in_order():
  logits = [jnp.array([[1.0, 2.0], [-1.0, -2.0]]), jnp.array([[3.0], [-3.0]])]
  owners = np.array([[2], [0], [1]])
  np.testing.assert_array_equal(
    discriminators.combine_logits(logits, owners), [[3, 1, 2], [-3, -1, -2]]
  )


def test_combine_leaves_out_labels_that_are_not_asked_for():
  answers = discriminators.combine_logits(
    [jnp.array([[1.0, 2.0]])], np.array([[1]])
  )
  np.testing.assert_array_equal(answers, [[2.0]])


def test_combine_takes_the_mean_of_probabilities():
  logits = [jnp.array([[LN3, 2.0]]), jnp.array([[0.0, -LN3]])]
  # (3/4 + 1/2) / 2 = 5/8; the single owner of the second label counts;
  # (3/4 + 1/4) / 2 = 1/2.
  owners = np.array([[0, 2], [1, -1], [0, 3]])
  _close(
    discriminators.combine_logits(logits, owners), [[_logit(5 / 8), 2.0, 0.0]]
  )


def test_combine_of_three_owners_weighs_them_equally():
  logits = [jnp.array([[LN3]]), jnp.array([[0.0]]), jnp.array([[0.0, -LN3]])]
  # (3/4 + 1/2 + 1/2) / 3 = 7/12 and (1/2 + 1/4) / 2 = 3/8.
  owners = np.array([[0, 1, 2], [2, 3, -1]])
  expected = [[_logit(7 / 12), _logit(3 / 8)]]
  _close(discriminators.combine_logits(logits, owners), expected)


def test_combine_of_owners_that_agree_is_their_answer():
  logits = jnp.array([[-7.0, 0.3, 12.0]])
  owners = np.array([[0, 3], [1, 4], [2, 5]])
  _close(discriminators.combine_logits([logits, logits], owners), logits)


def test_combine_gradient_goes_to_each_owner():
  owners = np.array([[0, 1]])
  grad = jax.grad(lambda x: discriminators.combine_logits([x], owners)[0, 0])
  # p = 5/8: dlogit/dx_k = y_k (1 - y_k) / 2 / (p (1 - p)), y = 3/4 and 1/2;
  # p (1 - p) = 15/64.
  _close(grad(jnp.array([[LN3, 0.0]])), [[3 / 32 * 64 / 15, 1 / 8 * 64 / 15]])


@pytest.mark.parametrize(
  ('logits', 'expected', 'slopes'),
  [
    # Sure owners who agree; as sure together.
    ((1e4, 1e4), 1e4, (0.5, 0.5)),
    ((-1e4, -1e4), -1e4, (0.5, 0.5)),
    # Sure owners who contradict each other: even odds, and nothing moves them.
    ((1e4, -1e4), 0.0, (0.0, 0.0)),
    # One sure of it, one who does not know: p = 3/4, and only the latter's
    # 1/2 · 1/2 / 2 counts, over p (1 - p) = 3/16.
    ((1e4, 0.0), LN3, (0.0, 2 / 3)),
  ],
)
def test_combine_of_sure_owners(logits, expected, slopes):
  # A third column that neither label's padding may read.
  x = jnp.array([[*logits, -1e4]])
  owners = np.array([[0, 1], [2, -1]])
  value, grad = jax.value_and_grad(
    lambda x: discriminators.combine_logits([x], owners)[0, 0]
  )(x)
  _close(value, expected)
  _close(grad, [[*slopes, 0.0]])


@pytest.mark.parametrize('sure', [1e4, -1e4])
def test_padding_of_a_label_adds_nothing(sure):
  # -1 would read the last column, here one that is sure of the opposite.
  x = jnp.array([[sure, 0.0, -sure]])
  owners = np.array([[0, -1], [1, 2]])
  value, grad = jax.value_and_grad(
    lambda x: discriminators.combine_logits([x], owners)[0, 0]
  )(x)
  _close(value, sure)
  _close(grad, [[1.0, 0.0, 0.0]])


# Two teachers of a label each and one that both answer.
_SHARED = np.array([[0, -1], [1, 2], [3, -1]])


def test_combine_takes_only_answers_that_count():
  logits = [jnp.array([[1.0, LN3]] * 4), jnp.array([[0.0, 2.0]] * 4)]
  answer_mask = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], bool)
  absent = discriminators.ABSENT
  # The shared label: the one who counts, (3/4 + 1/2) / 2, or nobody.
  _close(
    discriminators.combine_logits(logits, _SHARED, answer_mask),
    [
      [1.0, LN3, absent],
      [absent, 0.0, 2.0],
      [1.0, _logit(5 / 8), 2.0],
      [absent, absent, absent],
    ],
  )


def test_combine_of_single_owners_takes_only_answers_that_count():
  logits = [jnp.array([[1.0], [2.0]]), jnp.array([[3.0], [4.0]])]
  answer_mask = np.array([[True, False], [False, True]])
  absent = discriminators.ABSENT
  _close(
    discriminators.combine_logits(logits, np.array([[1], [0]]), answer_mask),
    [[absent, 1.0], [4.0, absent]],
  )


def test_an_absent_label_is_as_good_as_impossible():
  probability = float(jax.nn.sigmoid(discriminators.ABSENT))
  assert 0 < probability < 1e-12


def test_combine_with_a_full_mask_is_as_without():
  key = jax.random.PRNGKey(1)
  logits = [jax.random.normal(key, (3, 2)), jax.random.normal(KEY, (3, 2))]
  everyone = np.ones((3, 2), bool)
  for owners in (_SHARED, np.array([[3], [0], [2]])):
    _close(
      discriminators.combine_logits(logits, owners, everyone),
      discriminators.combine_logits(logits, owners),
    )


def test_combine_is_a_number_on_the_way_where_nobody_counts():
  x, nobody = jnp.array([[LN3, 0.0]]), np.zeros((1, 1), bool)
  with jax.debug_nans(True):
    value, grad = jax.value_and_grad(
      lambda x: discriminators.combine_logits([x], np.array([[0, 1]]), nobody)[
        0, 0
      ]
    )(x)
  assert value == discriminators.ABSENT
  _close(grad, [[0, 0]])


def test_combine_takes_a_traced_mask():
  logits = [jnp.array([[1.0]]), jnp.array([[2.0]])]
  combine = jax.jit(
    lambda b: discriminators.combine_logits(logits, np.array([[0, 1]]), b)
  )
  _close(combine(np.array([[True, False]])), [[1.0]])
  _close(combine(np.array([[False, True]])), [[2.0]])


def test_combine_gradient_goes_to_those_who_count():
  logits = [jnp.array([[5.0, LN3]] * 3), jnp.array([[0.0, 2.0]] * 3)]
  answer_mask = np.array([[1, 0], [1, 1], [0, 0]], bool)
  one, two = jax.grad(
    lambda x: jnp.sum(discriminators.combine_logits(x, _SHARED, answer_mask))
  )(logits)
  # Slope 1 where one counts; of two, y_k (1 - y_k) / 2 / (p (1 - p)) with
  # p = 5/8 as always; and nothing moves where nobody counts.
  _close(one, [[1, 1], [1, 3 / 32 * 64 / 15], [0, 0]])
  _close(two, [[0, 0], [1 / 8 * 64 / 15, 1], [0, 0]])


@pytest.mark.parametrize('sure', [1e4, -1e4])
@pytest.mark.parametrize(
  ('counts', 'expected', 'slope'),
  [
    ((True, False), 1.0, (1.0, 0.0)),
    ((False, True), -1.0, (0.0, 1.0)),
    ((False, False), None, (0.0, 0.0)),
  ],
)
def test_combine_of_sure_owners_takes_only_answers_that_count(
  sure, counts, expected, slope
):
  # Both are sure, of opposites; and one who does not count adds nothing.
  def combined(one, two):
    answer_mask = np.array([counts])
    return discriminators.combine_logits(
      [one, two], np.array([[0, 1]]), answer_mask
    )[0, 0]

  value, grads = jax.value_and_grad(combined, argnums=(0, 1))(
    jnp.array([[sure]]), jnp.array([[-sure]])
  )
  _close(value, discriminators.ABSENT if expected is None else expected * sure)
  _close(np.ravel(grads), slope)


def _speaker(name, labels, factor):
  """A teacher whose every logit is the image's sum times a factor."""

  def head(variables, x):
    total = variables * jnp.sum(x, axis=(1, 2, 3))[:, None]
    return jnp.tile(total, (1, len(labels)))

  return Teacher(name, labels, (lambda variables, x: x,), head, (0, factor))


def _ones(n):
  """Images of one pixel: 1, 2, 3 ..."""
  return jnp.arange(1.0, n + 1).reshape(n, 1, 1, 1)


def test_ensemble_logits_are_all_teachers_answers():
  everyone = (_speaker('a', ('x', 'y'), 10.0), _speaker('b', ('z',), -1.0))
  owners = np.array([[2], [0]])
  combined = discriminators.ensemble_logits(
    everyone, [_ones(3)] * 2, owners, routed=False
  )
  _close(combined, [[-1, 10], [-2, 20], [-3, 30]])


def test_ensemble_logits_show_each_teacher_its_own_images():
  # As behind two filters.
  everyone = (_speaker('a', ('x',), 1.0), _speaker('b', ('z',), 1.0))
  shown = [_ones(2), 100 * _ones(2)]
  owners = np.array([[0], [1]])
  combined = discriminators.ensemble_logits(
    everyone, shown, owners, routed=False
  )
  _close(combined, [[1, 100], [2, 200]])
  routed = discriminators.ensemble_logits(everyone, shown, owners, routed=True)
  absent = discriminators.ABSENT
  _close(routed, [[1, absent], [absent, 200]])


def test_ensemble_logits_routed_ask_only_a_samples_own_teacher():
  calls = []

  def listening(name, labels, factor):
    teacher = _speaker(name, labels, factor)

    def block(variables, x):
      calls.append((name, x.ravel().tolist()))
      return x

    return Teacher(name, labels, (block,), teacher.head, teacher.variables)

  everyone = (
    listening('a', ('x', 'y'), 10.0),
    listening('b', ('y', 'z'), -1.0),
  )
  owners = np.array([[0, -1], [1, 2], [3, -1]])  # x, y, z
  absent = discriminators.ABSENT
  combined = discriminators.ensemble_logits(
    everyone, [_ones(4)] * 2, owners, routed=True
  )
  # The shared label is its own teacher's answer, not a mean with 0.
  _close(
    combined,
    [
      [10, 10, absent],
      [absent, -2, -2],
      [30, 30, absent],
      [absent, -4, -4],
    ],
  )
  assert calls == [('a', [1, 3]), ('b', [2, 4])]


def test_ensemble_logits_routed_of_one_teacher_are_its_answer():
  only_teacher = (_speaker('a', ('x', 'y'), 2.0),)
  owners = np.array([[1], [0]])
  for routed in (True, False):
    combined = discriminators.ensemble_logits(
      only_teacher, [_ones(3)], owners, routed=routed
    )
    _close(combined, [[2, 2], [4, 4], [6, 6]])


def test_ensemble_gradient_comes_back_through_a_samples_own_teacher():
  everyone = (_speaker('a', ('x',), 10.0), _speaker('b', ('x',), -1.0))
  owners = np.array([[0, 1]])

  def total(x, routed):
    return jnp.sum(
      discriminators.ensemble_logits(everyone, [x] * 2, owners, routed=routed)
    )

  grad = jax.grad(total)(_ones(4), True)
  _close(grad.ravel(), [10, -1, 10, -1])


@pytest.mark.parametrize('routed', [False, True])
def test_ensemble_logits_of_sure_teachers_are_finite(routed):
  everyone = (_speaker('a', ('x',), 1e4), _speaker('b', ('x', 'y'), -1e4))
  owners = np.array([[0, 1], [2, -1]])

  def total(x):
    combined = discriminators.ensemble_logits(
      everyone, [x] * 2, owners, routed=routed
    )
    return jnp.sum(combined), combined

  grad, combined = jax.grad(total, has_aux=True)(_ones(2))
  if routed:
    _close(combined, [[1e4, discriminators.ABSENT], [-2e4, -2e4]])
    _close(grad.ravel(), [1e4, -2e4])
  else:
    # They contradict each other about x: even odds, which nothing moves.
    _close(combined, [[0, -1e4], [0, -2e4]])
    _close(grad.ravel(), [-1e4, -1e4])


def _params(channels, teacher_channels):
  """Of a filter, every one of them drawn, biases too."""
  shapes = discriminators.init_filter(KEY, channels, teacher_channels)
  rng = np.random.default_rng(1)
  return jax.tree.map(
    lambda x: rng.normal(size=x.shape).astype(np.float32), shapes
  )


def _eq_9(params, x, gate=None):
  """Eq. 9 in NumPy."""
  first, second = params['Dense_0'], params['Dense_1']
  hidden = x.mean(axis=(1, 2)) @ first['kernel'] + first['bias']
  hidden = np.maximum(hidden, 0) @ second['kernel'] + second['bias']
  gate = 1 / (1 + np.exp(-hidden)) if gate is None else gate
  y = np.einsum('nhwc,nc->nhwc', x, gate)
  if 'projection' not in params:
    return y
  kernel, bias = params['projection']['kernel'], params['projection']['bias']
  return np.einsum('nhwc,cd->nhwd', y, kernel[0, 0]) + bias


def _numpy_features():
  return np.random.default_rng(2).normal(size=(4, 3, 2, 3)).astype(np.float32)


@pytest.mark.parametrize('teacher_channels', [3, 5])
def test_filtered_is_eq_9(teacher_channels):
  params = _params(3, teacher_channels)
  assert ('projection' in params) == (teacher_channels != 3)
  x = _numpy_features()
  y = discriminators.apply_filter(params, x)
  assert y.shape == (4, 3, 2, teacher_channels)
  _close(y, _eq_9(params, x))


@pytest.mark.parametrize('teacher_channels', [3, 5])
def test_saturated_gate_is_open_or_shut(teacher_channels):
  params = _params(3, teacher_channels)
  params['Dense_1']['bias'] = np.array([1e4, -1e4, 1e4], np.float32)
  x = _numpy_features()

  def total(params):
    return jnp.sum(jnp.square(discriminators.apply_filter(params, x)))

  gate = np.tile([1.0, 0.0, 1.0], (4, 1))
  _close(discriminators.apply_filter(params, x), _eq_9(params, x, gate))
  grad = jax.grad(total)(params)
  _close(grad['Dense_1']['bias'], np.zeros(3))
  assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(grad))


def test_new_filters_differ_by_key():
  one = discriminators.init_filter(KEY, 2, 4)
  other = discriminators.init_filter(jax.random.fold_in(KEY, 1), 2, 4)
  for name in ('Dense_0', 'Dense_1', 'projection'):
    assert np.any(one[name]['kernel'] != other[name]['kernel'])
