"""Every loss: a case worked by hand, its gradient, and extreme inputs.

Throughout, σ(ln 3) = 3/4, σ(0) = 1/2 and σ(-ln 3) = 1/4.
"""

import functools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from dualgan_jax import losses
from dualgan_jax.losses import Moments

LN2, LN3, LN4 = math.log(2), math.log(3), math.log(4)
HUGE = 1e4


def _close(actual, expected, atol=1e-6):
  np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=atol)


class CrossEntropyTest(chex.TestCase):
  @chex.all_variants
  def test_by_hand(self):
    logits = jnp.array([[LN3, 0.0, -LN3], [-LN3, LN3, 0.0]])
    targets = jnp.array([[1.0, 1.0, 1.0], [0.5, 0.0, 0.25]])
    # -ln of the probability given to the target, per entry:
    #   3/4 → LN4 - LN3;  1/2 → LN2;  1/4 → LN4
    #   half on, half off: (LN4 + LN4 - LN3) / 2;  off at 3/4 → LN4;
    #   at probability 1/2 any target costs LN2.
    expected = (
      (LN4 - LN3) + LN2 + LN4 + (LN4 - LN3 / 2) + LN4 + LN2
    ) / 6  # fmt: skip
    _close(self.variant(losses.cross_entropy)(logits, targets), expected)

  @chex.all_variants
  def test_gradient(self):
    logits = jnp.array([[LN3, 0.0], [-LN3, LN3]])
    targets = jnp.array([[1.0, 0.0], [0.5, 0.75]])
    grad = self.variant(jax.grad(losses.cross_entropy))(logits, targets)
    # (σ(x) - t) / 4
    _close(grad, [[-1 / 16, 1 / 8], [-1 / 16, 0.0]])

  @chex.all_variants
  def test_extreme(self):
    # The first two answers are right, the others wrong by 1e4 nats.
    logits = jnp.array([[HUGE, -HUGE, HUGE, -HUGE]])
    targets = jnp.array([[1.0, 0.0, 0.0, 1.0]])
    value, grad = self.variant(jax.value_and_grad(losses.cross_entropy))(
      logits, targets
    )
    _close(value, 2 * HUGE / 4)
    _close(grad, [[0.0, 0.0, 1 / 4, -1 / 4]])

  @chex.all_variants(with_pmap=False)
  def test_refuses_shapes_that_would_broadcast(self):
    with pytest.raises(AssertionError):
      self.variant(losses.cross_entropy)(jnp.zeros((2, 3)), jnp.zeros((2, 1)))


class PseudoLabelsTest(chex.TestCase):
  @chex.all_variants
  def test_by_hand(self):
    # At ε = 1/2 the border is the logit 0, which counts as on.
    labels = self.variant(losses.pseudo_labels)(jnp.array([[-0.1, 0.0, 0.1]]))
    _close(labels, [[0.0, 1.0, 1.0]])
    assert labels.dtype == jnp.float32

  @chex.all_variants
  def test_epsilon_is_a_probability(self):
    # ε = 3/4 is the logit LN3 = 1.0986.
    label = functools.partial(losses.pseudo_labels, epsilon=0.75)
    _close(self.variant(label)(jnp.array([[0.8, 1.09, 1.11]])), [[0, 0, 1]])

  @chex.all_variants
  def test_never_empty_keeps_the_most_probable(self):
    label = functools.partial(losses.pseudo_labels, never_empty=True)
    logits = jnp.array([[-3.0, -2.0, -4.0], [1.0, -1.0, 2.0], [-1.0, 5.0, -1]])
    # Only the first image had none; the others keep what they have.
    _close(self.variant(label)(logits), [[0, 1, 0], [1, 0, 1], [0, 1, 0]])

  @chex.all_variants
  def test_carries_no_gradient(self):
    def loss(x, never_empty):
      labels = losses.pseudo_labels(x, never_empty=never_empty)
      return jnp.sum(labels * x)

    # d(t x)/dx = t if t is a constant.
    x = jnp.array([[-2.0, -1.0], [3.0, -1.0]])
    plain = self.variant(jax.grad(lambda x: loss(x, False)))
    _close(plain(x), [[0, 0], [1, 0]])
    never_empty = self.variant(jax.grad(lambda x: loss(x, True)))
    _close(never_empty(x), [[0, 1], [1, 0]])

  @chex.all_variants
  def test_extreme(self):
    label = functools.partial(losses.pseudo_labels, never_empty=True)
    logits = jnp.array([[HUGE, -HUGE], [-HUGE, -2 * HUGE]])
    _close(self.variant(label)(logits), [[1, 0], [1, 0]])


class OneHotTest(chex.TestCase):
  @chex.all_variants
  def test_by_hand(self):
    logits = jnp.array([[LN3, -LN3, 0.0], [LN3, LN3, -LN3]])
    # Five labels at 3/4 of what they are taken for, one at 1/2.
    expected = (5 * (LN4 - LN3) + LN2) / 6
    labels = jnp.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    _close(self.variant(losses.one_hot)(logits, labels), expected)

  @chex.all_variants
  def test_gradient_leads_away_from_the_border(self):
    def loss(x):
      return losses.one_hot(x, losses.pseudo_labels(x))

    grad = self.variant(jax.grad(loss))(jnp.array([[LN3, -LN3]]))
    # (σ(x) - t) / 2 with t = (1, 0): a step downhill makes both answers surer.
    _close(grad, [[-1 / 8, 1 / 8]])

  @chex.all_variants
  def test_extreme(self):
    def loss(x):
      return losses.one_hot(x, losses.pseudo_labels(x, never_empty=True))

    # Sure answers cost nothing; a label that is kept against a sure answer
    # costs that answer's 1e4 nats.
    logits = jnp.array([[HUGE, -HUGE], [-HUGE, -2 * HUGE]])
    value, grad = self.variant(jax.value_and_grad(loss))(logits)
    _close(value, HUGE / 4)
    _close(grad, [[0.0, 0.0], [-1 / 4, 0.0]])


class OneClassTest(chex.TestCase):
  @chex.all_variants
  def test_by_hand(self):
    # p = (3/4, 1/4) and (1/2, 1/2): the most probable class has 3/4 and 1/2.
    logits = jnp.array([[LN3, 0.0], [1.0, 1.0]])
    expected = (LN4 - LN3 + LN2) / 2
    _close(self.variant(losses.one_class)(logits), expected)

  @chex.all_variants
  def test_gradient_makes_the_first_surer(self):
    grad = self.variant(jax.grad(losses.one_class))(jnp.array([[LN3, 0.0]]))
    # p - onehot
    _close(grad, [[-1 / 4, 1 / 4]])

  @chex.all_variants
  def test_extreme(self):
    logits = jnp.array([[HUGE, -HUGE], [-HUGE, -HUGE]])
    value, grad = self.variant(jax.value_and_grad(losses.one_class))(logits)
    _close(value, LN2 / 2, atol=1e-3)  # 1e4 has no more digits
    _close(grad, [[0.0, 0.0], [-1 / 4, 1 / 4]])


class DiscreteTest(chex.TestCase):
  @chex.all_variants
  def test_by_hand(self):
    logits = jnp.array([[LN3, 0.0], [LN3, LN3]])
    # (3/4 + 1/2 + 3/4 + 3/4) / 4
    _close(self.variant(losses.discrete)(logits), 11 / 16)

  @chex.all_variants
  def test_gradient(self):
    grad = self.variant(jax.grad(losses.discrete))(jnp.array([[LN3, 0.0]]))
    # y (1 - y) / 2
    _close(grad, [[3 / 32, 1 / 8]])

  @chex.all_variants
  def test_extreme(self):
    value, grad = self.variant(jax.value_and_grad(losses.discrete))(
      jnp.array([[HUGE, -HUGE, -HUGE, -HUGE]])
    )
    _close(value, 1 / 4)
    _close(grad, np.zeros((1, 4)))


class ActivationTest(chex.TestCase):
  @chex.all_variants
  def test_by_hand(self):
    features = jnp.array([[1.0, -3.0], [0.0, 4.0]])
    # -(1 + 3 + 0 + 4) / 4
    loss = self.variant(losses.activation)
    _close(loss(features), -2.0)
    # The mean is over all entries, places included.
    _close(loss(jnp.reshape(features, (1, 2, 1, 2))), -2.0)

  @chex.all_variants
  def test_gradient(self):
    grad = self.variant(jax.grad(losses.activation))(
      jnp.array([[1.0, -3.0], [2.0, 4.0]])
    )
    # -sign(f) / 4
    _close(grad, [[-1 / 4, 1 / 4], [-1 / 4, -1 / 4]])

  @chex.all_variants
  def test_extreme(self):
    value, grad = self.variant(jax.value_and_grad(losses.activation))(
      jnp.array([[HUGE, -HUGE, 0.0, 0.0]])
    )
    _close(value, -HUGE / 2)
    # |f| has a kink at 0; a dead feature must not make the step infinite.
    _close(grad[:, :2], [[-1 / 4, 1 / 4]])
    chex.assert_tree_all_finite(grad)

  @chex.all_variants
  def test_a_mean_of_half_precision_is_of_single(self):
    # bfloat16 has no 258 / 257.
    features = jnp.ones((1, 257), jnp.bfloat16).at[0, 0].set(2)
    _close(self.variant(losses.activation)(features), -258 / 257)


class LabelMeanTest(chex.TestCase):
  @chex.all_variants
  @parameterized.parameters(
    # (3/4 + 1/4) / 2, (1/2 + 3/4) / 2
    ('normalised', (1 / 2, 5 / 8)),
    ('bernoulli', (1 / 2, 5 / 8)),
    # Two classes: the difference of the logits is 1 · LN3, then -2 · LN3,
    # so p = (3/4, 1/4) and (1/10, 9/10).
    ('softmax', (17 / 40, 23 / 40)),
    ('dafl', (17 / 40, 23 / 40)),
  )
  def test_by_hand(self, form, expected):
    logits = jnp.array([[LN3, 0.0], [-LN3, LN3]])
    mean = self.variant(functools.partial(losses.label_mean, form=form))
    _close(mean(logits), expected)

  @chex.all_variants
  @parameterized.parameters(
    # y (1 - y) / 2 of the first label
    ('normalised', [[3 / 32, 0.0], [1 / 8, 0.0]]),
    # dp_1/dx_1 = p_1 (1 - p_1) and dp_1/dx_2 = -p_1 p_2, both halved
    ('softmax', [[3 / 32, -3 / 32], [1 / 8, -1 / 8]]),
  )
  def test_gradient(self, form, expected):
    grad = jax.grad(lambda x: losses.label_mean(x, form)[0])
    _close(self.variant(grad)(jnp.array([[LN3, 0.0], [0.0, 0.0]])), expected)

  @chex.all_variants
  @parameterized.parameters(*losses.ENTROPY_FORMS)
  def test_extreme(self, form):
    def mean(x):
      return losses.label_mean(x, form)

    logits = jnp.array([[HUGE, -HUGE], [-HUGE, HUGE], [HUGE, -HUGE]])
    _close(self.variant(mean)(logits), [2 / 3, 1 / 3])
    grad = self.variant(jax.grad(lambda x: mean(x)[0]))(logits)
    _close(grad, np.zeros((3, 2)))


class InformationEntropyTest(chex.TestCase):
  @chex.all_variants
  @parameterized.parameters(
    # p = (1/8, 1/8, 1/4, 1/2): -(3/8 + 3/8 + 2/4 + 1/2) ln 2, over ln 4
    ('normalised', (0.1, 0.1, 0.2, 0.4), -7 / 8),
    # Twice the labels per image, the same shares of them.
    ('normalised', (0.2, 0.2, 0.4, 0.8), -7 / 8),
    # All evenly often is as good as can be, however rare.
    ('normalised', (0.1, 0.1, 0.1), -1.0),
    ('softmax', (1 / 8, 1 / 8, 1 / 4, 1 / 2), -7 / 8),
    # q = 1/2: -ln 2; q = 1/4: 1/4 ln 1/4 + 3/4 ln 3/4 = 3/4 ln 3 - ln 4
    ('bernoulli', (1 / 2, 1 / 4), (-LN2 + 3 / 4 * LN3 - LN4) / 2),
    ('bernoulli', (1 / 2,), -LN2),
    # With one label there is nothing to spread over.
    ('normalised', (0.3,), 0.0),
    ('softmax', (1.0,), 0.0),
    # -(3/8 + 3/8 + 2/4 + 1/2) log10 2, not divided by anything
    ('dafl', (1 / 8, 1 / 8, 1 / 4, 1 / 2), -7 / 4 * np.log10(2)),
    ('dafl', (1.0,), 0.0),
  )
  def test_by_hand(self, form, mean, expected):
    loss = functools.partial(losses.information_entropy, form=form)
    _close(self.variant(loss)(jnp.array(mean)), expected, atol=1e-5)

  @chex.all_variants
  @parameterized.parameters(
    # With S = Σ mean = 0.8 and H = Σ p log p = -7/4 ln 2:
    # d/dmean_i = (log p_i - H) / S / log 4 = (log2 p_i + 7/4) / 1.6
    (
      'normalised',
      (0.1, 0.1, 0.2, 0.4),
      (-1.25 / 1.6, -1.25 / 1.6, -0.25 / 1.6, 0.75 / 1.6),
    ),
    # log(q / (1 - q)) / L
    ('bernoulli', (0.5, 0.25), (0.0, -LN3 / 2)),
    # log10 p + log10 e
    ('dafl', (0.1, 0.01), (np.log10(np.e) - 1, np.log10(np.e) - 2)),
  )
  def test_gradient(self, form, mean, expected):
    loss = functools.partial(losses.information_entropy, form=form)
    _close(self.variant(jax.grad(loss))(jnp.array(mean)), expected, atol=1e-4)

  @chex.all_variants
  @parameterized.parameters(
    ('normalised', (0.0, 0.0, 0.0), -1.0),  # nothing fires: evenly nothing
    ('normalised', (0.0, 1.0, 0.0), 0.0),
    ('softmax', (0.0, 1.0, 0.0), 0.0),
    ('dafl', (0.0, 1.0, 0.0), 0.0),
    ('bernoulli', (0.0, 0.0, 0.0), 0.0),
    ('bernoulli', (0.0, 1.0, 1.0), 0.0),
  )
  def test_extreme(self, form, mean, expected):
    loss = functools.partial(losses.information_entropy, form=form)
    value, grad = self.variant(jax.value_and_grad(loss))(jnp.array(mean))
    _close(value, expected, atol=1e-4)
    chex.assert_tree_all_finite(grad)

  @chex.all_variants
  @parameterized.parameters(*losses.ENTROPY_FORMS)
  def test_extreme_logits(self, form):
    def loss(x):
      return losses.information_entropy(losses.label_mean(x, form), form)

    # One label in all images, the others in none.
    logits = jnp.array([[HUGE, -HUGE, -HUGE]] * 2)
    value, grad = self.variant(jax.value_and_grad(loss))(logits)
    _close(value, 0.0, atol=1e-4)
    _close(grad, np.zeros((2, 3)))


def test_unknown_entropy_form_is_named():
  with pytest.raises(ValueError, match="'sigmoid' is none of"):
    losses.label_mean(jnp.zeros((1, 2)), 'sigmoid')
  with pytest.raises(ValueError, match="'sigmoid' is none of"):
    losses.information_entropy(jnp.ones(2) / 2, 'sigmoid')


class GanTest(chex.TestCase):
  terms = (jnp.array(1.0), jnp.array(10.0), jnp.array(100.0), jnp.array(1e3))
  loss = staticmethod(
    functools.partial(losses.gan, alpha=2.0, beta=3.0, gamma=4.0)
  )

  @chex.all_variants
  def test_by_hand(self):
    # 1 + 2 · 10 + 3 · 100 + 4 · 1000
    _close(self.variant(self.loss)(*self.terms), 4321.0)

  @chex.all_variants
  def test_gradient_is_the_weights(self):
    grads = jax.grad(self.loss, argnums=(0, 1, 2, 3))
    _close(self.variant(grads)(*self.terms), (1.0, 2.0, 3.0, 4.0))

  @chex.all_variants
  def test_extreme_terms_of_extreme_logits(self):
    def loss(x):
      return self.loss(
        losses.one_hot(x, losses.pseudo_labels(x)),
        losses.activation(x),
        losses.information_entropy(losses.label_mean(x)),
        losses.discrete(x),
      )

    value, grad = self.variant(jax.value_and_grad(loss))(
      jnp.array([[HUGE, -HUGE], [-HUGE, HUGE]])
    )
    # L_oh = 0, L_a = -1e4, L_ie = -1, L_dis = 1/2
    _close(value, -2 * HUGE - 3 + 2)
    # Only L_a still has a slope: -2 sign(x) / 4.
    _close(grad, [[-1 / 2, 1 / 2], [1 / 2, -1 / 2]])


_SOFT_TARGETS = (
  ('consistency', losses.consistency),
  ('dual_block', losses.dual_block),
  ('distillation', losses.distillation),
  (
    'distillation_at_2',
    lambda x, y: losses.distillation(2 * x, 2 * y, temperature=2.0),
  ),
)


class SoftTargetTest(chex.TestCase):
  """Eq. 11, Eq. 13 and distillation: the second argument is the target."""

  @chex.all_variants
  @parameterized.named_parameters(*_SOFT_TARGETS)
  def test_by_hand(self, loss):
    logits = jnp.array([[LN3, 0.0], [LN3, -LN3]])
    targets = jnp.array([[-LN3, HUGE], [LN3, LN3]])
    # Targets 1/4, 1; 3/4, 3/4. With LN4 - LN3 and LN4 the costs of on and off
    # at 3/4:
    #   1/4 (LN4 - LN3) + 3/4 LN4 = LN4 - 1/4 LN3
    #   LN2
    #   3/4 (LN4 - LN3) + 1/4 LN4 = LN4 - 3/4 LN3
    #   3/4 LN4 + 1/4 (LN4 - LN3) = LN4 - 1/4 LN3
    expected = (3 * LN4 - 5 / 4 * LN3 + LN2) / 4
    _close(self.variant(loss)(logits, targets), expected)

  @chex.all_variants
  @parameterized.named_parameters(*_SOFT_TARGETS)
  def test_gradient(self, loss):
    logits = jnp.array([[LN3, 0.0], [LN3, -LN3]])
    targets = jnp.array([[-LN3, LN3], [LN3, 0.0]])
    grad, target_grad = self.variant(jax.grad(loss, argnums=(0, 1)))(
      logits, targets
    )
    # (σ(x) - σ(t)) / 4: nothing to learn where both agree.
    _close(grad, [[1 / 8, -1 / 16], [0.0, -1 / 16]])
    _close(target_grad, np.zeros((2, 2)))

  @chex.all_variants
  @parameterized.named_parameters(*_SOFT_TARGETS)
  def test_extreme(self, loss):
    value, grad = self.variant(jax.value_and_grad(loss))(
      jnp.array([[HUGE, -HUGE, HUGE, -HUGE]]),
      jnp.array([[HUGE, -HUGE, -HUGE, HUGE]]),
    )
    _close(value, 2 * HUGE / 4)
    _close(grad, [[0.0, 0.0, 1 / 4, -1 / 4]])


_CLASS_DISTILLATIONS = (
  ('class_distillation', losses.class_distillation),
  # At T = 2 the probabilities 9/10, 1/10 become 3/4, 1/4.
  (
    'class_distillation_at_2',
    lambda x, y: losses.class_distillation(2 * x, 2 * y, temperature=2.0),
  ),
)


class ClassDistillationTest(chex.TestCase):
  """The logits of each image are those of a softmax: log p - log(1 - p)."""

  @chex.all_variants
  @parameterized.named_parameters(*_CLASS_DISTILLATIONS)
  def test_by_hand(self, loss):
    # p = (3/4, 1/4), then both agree.
    student = jnp.array([[LN3, -LN3], [-LN3, LN3]])
    teachers = jnp.array([[0.0, 0.0], [-LN3, LN3]])
    # 1/2 log(1/2 : 3/4) + 1/2 log(1/2 : 1/4) = 1/2 log(4/3), over two images.
    _close(self.variant(loss)(student, teachers), (LN4 - LN3) / 4)

  @chex.all_variants
  def test_gradient(self):
    grad_fn = jax.grad(losses.class_distillation, argnums=(0, 1))
    grad, target_grad = self.variant(grad_fn)(
      jnp.array([[LN3, -LN3], [-LN3, LN3]]),
      jnp.array([[0.0, 0.0], [-LN3, LN3]]),
    )
    # (p - q) (1 - p) / 2: nothing to learn where both agree.
    _close(grad, [[1 / 32, -3 / 32], [0.0, 0.0]])
    _close(target_grad, np.zeros((2, 2)))

  @chex.all_variants
  def test_extreme(self):
    value, grad = self.variant(jax.value_and_grad(losses.class_distillation))(
      jnp.array([[HUGE, -HUGE], [HUGE, -HUGE]]),
      jnp.array([[HUGE, -HUGE], [-HUGE, HUGE]]),
    )
    # Sure and right, then sure and wrong.
    _close(value, HUGE / 2)
    _close(grad, [[0.0, 0.0], [0.0, -1 / 2]])


class DisagreementTest(chex.TestCase):
  @chex.all_variants
  def test_by_hand(self):
    student = jnp.array([[LN3, 0.0, -LN3], [LN3, LN3, -LN3]])
    teachers = jnp.array([[-LN3, LN3, -LN3], [0.0, LN3, HUGE]])
    # |3/4 - 1/4| + |1/2 - 3/4| + 0 and |3/4 - 1/2| + 0 + |1/4 - 1|: a sum over
    # labels and a mean over images.
    loss = self.variant(losses.disagreement)
    _close(loss(student, teachers), (3 / 4 + 1) / 2)
    _close(loss(teachers, student), (3 / 4 + 1) / 2)
    _close(loss(student, student), 0.0)

  @chex.all_variants
  def test_gradient(self):
    student = jnp.array([[LN3, 0.0], [LN3, LN3]])
    teachers = jnp.array([[0.0, LN3], [LN3, -LN3]])
    grads = self.variant(jax.grad(losses.disagreement, argnums=(0, 1)))
    one, other = grads(student, teachers)
    # ± y (1 - y) / 2: apart for both. Where they agree, |x| has a kink, and any
    # slope between its two will do.
    agree = np.array([[False, False], [True, False]])
    _close(np.where(agree, 0, one), [[3 / 32, -1 / 8], [0, 3 / 32]])
    _close(np.where(agree, 0, other), [[-1 / 8, 3 / 32], [0, -3 / 32]])
    assert np.all(np.abs(one[1, 0]) <= 3 / 32 + 1e-6)

  @chex.all_variants
  def test_extreme(self):
    student = jnp.array([[HUGE, -HUGE, HUGE, -HUGE]])
    teachers = jnp.array([[HUGE, -HUGE, -HUGE, HUGE]])
    value, grads = self.variant(
      jax.value_and_grad(losses.disagreement, argnums=(0, 1))
    )(student, teachers)
    # At most 1 per label, and sure answers no longer move.
    _close(value, 2.0)
    _close(grads, np.zeros((2, 1, 4)))

  @chex.all_variants(with_pmap=False)
  def test_refuses_shapes_that_would_broadcast(self):
    with pytest.raises(AssertionError):
      self.variant(losses.disagreement)(jnp.zeros((2, 3)), jnp.zeros((1, 3)))
    with pytest.raises(AssertionError):
      self.variant(losses.disagreement)(jnp.zeros(3), jnp.zeros(3))


class JointTest(chex.TestCase):
  @chex.all_variants
  def test_by_hand(self):
    loss = self.variant(losses.joint)
    # B = 3: 1 + (2 + 4) / 2
    _close(loss(jnp.array(1.0), [jnp.array(2.0), jnp.array(4.0)]), 4.0)
    # B = 2: 1 + 2 / 1
    _close(loss(jnp.array(1.0), [jnp.array(2.0)]), 3.0)
    # Without groups, Eq. 8 is all.
    _close(loss(jnp.array(1.0), []), 1.0)

  @chex.all_variants
  def test_gradient(self):
    grads = self.variant(jax.grad(losses.joint, argnums=(0, 1)))(
      jnp.array(1.0), [jnp.array(2.0)] * 4
    )
    chex.assert_trees_all_close(grads, (jnp.array(1.0), [jnp.array(0.25)] * 4))
    without_groups = self.variant(jax.grad(lambda x: losses.joint(x, [])))
    _close(without_groups(jnp.array(3.0)), 1.0)

  @chex.all_variants
  def test_extreme(self):
    def loss(x):
      return losses.joint(losses.discrete(x), [losses.consistency(x, -x)] * 2)

    value, grad = self.variant(jax.value_and_grad(loss))(
      jnp.array([[HUGE, -HUGE]])
    )
    _close(value, 1 / 2 + HUGE)
    _close(grad, [[1 / 2, -1 / 2]])


class StatisticsPriorTest(chex.TestCase):
  @chex.all_variants
  def test_by_hand(self):
    # Variances 10 - 9 and 18 - 16 are met; ||(3, 4)|| = 5 is not.
    first = Moments(
      jnp.array([3.0, 4.0]),
      jnp.array([10.0, 18.0]),
      jnp.zeros(2),
      jnp.array([1.0, 2.0]),
    )
    # The mean is met; the variance 3 - 1 = 2 lacks 3.
    second = Moments(
      jnp.array([1.0]), jnp.array([3.0]), jnp.array([1.0]), jnp.array([5.0])
    )
    loss = self.variant(losses.statistics_prior)
    _close(loss([first]), 5.0, atol=1e-5)
    _close(loss([first, second]), 8.0, atol=1e-5)

  @chex.all_variants
  def test_gradient(self):
    layer = Moments(
      jnp.array([3.0, 4.0]),
      jnp.array([10.0, 18.0]),
      jnp.zeros(2),
      jnp.array([1.0, 5.0]),
    )
    grad = self.variant(jax.grad(lambda x: losses.statistics_prior([x])))(layer)
    # ||μ - μ̂|| = 5 has the slope (3, 4) / 5. The second variance is 2 and
    # should be 5: slope -1 in E[x²], and +2μ = 8 in μ through -E[x]².
    _close(grad.mean_square, [0.0, -1.0])
    _close(grad.mean, [0.6, 0.8 + 8.0])

  @chex.all_variants
  def test_exact_match(self):
    # The Euclidean norm has no slope at 0: it must be 0 and not NaN.
    layer = Moments(
      jnp.array([0.0, 2.0]),
      jnp.array([1.0, 7.0]),
      jnp.array([0.0, 2.0]),
      jnp.array([1.0, 3.0]),
    )
    value, grad = self.variant(
      jax.value_and_grad(lambda x: losses.statistics_prior([x]))
    )(layer)
    _close(value, 0.0, atol=1e-5)
    chex.assert_trees_all_close(grad, jax.tree.map(jnp.zeros_like, grad))

  @chex.all_variants
  def test_extreme(self):
    layer = Moments(
      jnp.array([HUGE]), jnp.array([0.0]), jnp.array([-HUGE]), jnp.array([0.0])
    )
    value, grad = self.variant(
      jax.value_and_grad(lambda x: losses.statistics_prior([x]))
    )(layer)
    _close(value, 2 * HUGE + HUGE**2)
    _close(grad.mean, [1 + 2 * HUGE])

  @chex.all_variants
  def test_teacher_without_batch_norm(self):
    def joint(l_gan):
      return l_gan + losses.statistics_prior([])

    _close(self.variant(joint)(jnp.array(3.0)), 3.0)


class DualTest(chex.TestCase):
  @chex.all_variants
  def test_by_hand(self):
    loss = self.variant(losses.dual)
    # A sum over teachers, not a mean.
    _close(loss([jnp.array(1.0), jnp.array(2.0), jnp.array(4.0)]), 7.0)

  @chex.all_variants
  def test_gradient(self):
    grads = self.variant(jax.grad(losses.dual))([jnp.array(5.0)] * 3)
    _close(grads, np.ones(3))

  @chex.all_variants
  def test_extreme(self):
    def loss(x):
      return losses.dual([losses.dual_block(x, -x), losses.dual_block(x, x)])

    value, grad = self.variant(jax.value_and_grad(loss))(
      jnp.array([[HUGE, -HUGE]])
    )
    # The second teacher agrees with the student.
    _close(value, HUGE)
    _close(grad, [[1 / 2, -1 / 2]])


class DualStreamsTest(chex.TestCase):
  loss = staticmethod(
    functools.partial(losses.dual_streams, lambda_own=2.0, lambda_generated=3.0)
  )

  @chex.all_variants
  def test_by_hand(self):
    # 2 · 1 + 3 · 10
    _close(self.variant(self.loss)(jnp.array(1.0), jnp.array(10.0)), 32.0)

  @chex.all_variants
  def test_gradient_is_the_weights(self):
    grads = self.variant(jax.grad(self.loss, argnums=(0, 1)))
    _close(grads(jnp.array(1.0), jnp.array(10.0)), (2.0, 3.0))

  @chex.all_variants
  def test_extreme(self):
    def loss(x):
      return self.loss(losses.dual_block(x, -x), losses.dual_block(x, x))

    value, grad = self.variant(jax.value_and_grad(loss))(jnp.array([[-HUGE]]))
    _close(value, 2 * HUGE)
    _close(grad, [[-2.0]])


class SharesTest(chex.TestCase):
  """The mean over devices' shares of a batch is the value on the whole."""

  @chex.all_variants
  @parameterized.named_parameters(
    ('one_hot', lambda x: losses.one_hot(x, losses.pseudo_labels(x))),
    ('discrete', losses.discrete),
    ('activation', losses.activation),
    ('label_mean', losses.label_mean),
    ('softmax_mean', lambda x: losses.label_mean(x, 'softmax')),
    ('consistency', lambda x: losses.consistency(x, x[:, ::-1])),
    ('disagreement', lambda x: losses.disagreement(x, x[:, ::-1])),
  )
  def test_is_linear_in_the_batch(self, loss):
    logits = jax.random.normal(jax.random.PRNGKey(0), (8, 3))

    @self.variant
    def by_shares(x):
      return jnp.mean(jax.vmap(loss)(jnp.reshape(x, (4, 2, 3))), axis=0)

    _close(by_shares(logits), loss(logits))
