"""L_joint as a function of its own: two teachers of plain functions.

To the first a pixel x has its label with logit k x, to the second with -k x;
σ(ln 3) = 3/4.
"""

import math
import re

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from dualgan_jax import losses
from dualgan_jax.config.objective_group import Objective
from dualgan_jax.method import discriminators
from dualgan_jax.method.labels import LabelMap
from dualgan_jax.stages.generator_loss import l_joint
from dualgan_jax.teachers.teacher import Teacher
from tests.paths import ROOT

LN2, LN3, LN4 = math.log(2), math.log(3), math.log(4)
HUGE = 1e4
OBJECTIVE = Objective(alpha=0.1, beta=2.0, gamma=0.3, bn_prior_weight=5.0)
LABEL_MAP = LabelMap.create({'up': ('x',), 'down': ('y',)}, ('x',))
# It remembers the mean 3, and gives what it takes: (x - 3) / 1 + 3.
NORM = nn.BatchNorm(use_running_average=True, epsilon=0.0)
NORM_VARIABLES = {
  'params': {'scale': jnp.ones(1), 'bias': jnp.full(1, 3.0)},
  'batch_stats': {'mean': jnp.full(1, 3.0), 'var': jnp.ones(1)},
}
# Eq. 9 with a gate of 1/2.
FILTER = {
  name: {'kernel': jnp.zeros((1, 1)), 'bias': jnp.zeros(1)}
  for name in ('Dense_0', 'Dense_1')
}
FILTERS = {name: {'group_1': FILTER} for name in ('up', 'down')}


def _teachers(num_teachers):
  """Two blocks that leave x as it is, and a head; only `up` has batch norm."""

  def head(factor, x):
    return factor * x[:, 0, 0]

  def same(variables, x):
    return x

  return (
    Teacher(
      'up', ('x',), (NORM.apply, same), head, (NORM_VARIABLES, (), num_teachers)
    ),
    Teacher('down', ('y',), (same, same), head, ((), (), -num_teachers)),
  )


def _pixels(*values):
  """Images, or features, of one pixel each."""
  return jnp.array(values, jnp.float32).reshape(-1, 1, 1, 1)


def _loss(teachers, label_map=LABEL_MAP, objective=OBJECTIVE, *, routed=False):
  def loss(features, filters):
    return l_joint(
      features, filters, teachers, label_map, objective, routed=routed
    )

  return jax.value_and_grad(loss, has_aux=True)


def _close(actual, expected):
  np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


class JointLossTest(chex.TestCase):
  @chex.all_variants
  def test_by_hand(self):
    features = (_pixels(0, 0), _pixels(1, -1))
    (loss, (logits, metrics)), (group_grad, image_grad) = self.variant(
      _loss(_teachers(LN3))
    )(features, FILTERS)
    _close(logits, [[LN3, -LN3], [-LN3, LN3]])
    # Of each image one label has probability 3/4, the other 1/4.
    _close(metrics['l_oh'], LN4 - LN3)
    _close(metrics['l_a'], -1)
    _close(metrics['l_ie'], -1)  # both labels are as frequent
    _close(metrics['l_dis'], 1 / 2)
    _close(metrics['consistency'], LN2)  # the group's answers are 1/2
    # Of `up` alone: its mean is 3 and the batch's 0, its variance is met.
    _close(metrics['l_bn'], 3)
    _close(loss, (LN4 - LN3) - 0.1 - 2 + 0.15 + LN2 + 15)
    # Eq. 11 per group logit: (1/2 - 3/4) / 4, and twice as much the other way
    # round; its gate halves it. The image is a target without gradient.
    _close(group_grad.ravel(), [-LN3 / 16, LN3 / 16])
    # L_oh ∓k/8, L_a ∓1/2, and L_bn -1/2 towards the mean of 3; both means of
    # sigmoids, in L_ie and L_dis, stand still.
    expected = [-LN3 / 8 - 0.05 - 2.5, LN3 / 8 + 0.05 - 2.5]
    _close(image_grad.ravel(), expected)

  @chex.all_variants
  def test_extreme(self):
    # The group says the opposite of the image, and both are sure.
    features = (_pixels(-2, 2), _pixels(1, -1))
    (loss, (_, metrics)), (group_grad, image_grad) = self.variant(
      _loss(_teachers(HUGE))
    )(features, FILTERS)
    chex.assert_tree_all_finite(metrics)
    _close(loss, 0 - 0.1 - 2 + 0.15 + HUGE + 15)
    _close(group_grad.ravel(), [-HUGE / 4, HUGE / 4])
    _close(image_grad.ravel(), [-0.05 - 2.5, 0.05 - 2.5])

  @chex.all_variants
  def test_the_image_alone_has_no_term_of_groups(self):
    filters = {'up': {}, 'down': {}}
    (loss, (_, metrics)), _ = self.variant(_loss(_teachers(LN3)))(
      (_pixels(1, -1),), filters
    )
    assert 'consistency' not in metrics
    _close(loss, (LN4 - LN3) - 0.1 - 2 + 0.15 + 15)

  @chex.all_variants
  def test_routed(self):
    objective = OBJECTIVE.model_copy(update={'bn_prior_weight': 0.0})
    # Image 0 is of `up`, image 1 of `down`, and each fires its only label.
    features = (_pixels(0, 0), _pixels(1, -1))
    (_, (logits, metrics)), _ = self.variant(
      _loss(_teachers(LN3), objective=objective, routed=True)
    )(features, FILTERS)
    _close(jnp.diag(logits), [LN3, LN3])
    assert logits[0, 1] == logits[1, 0] == discriminators.ABSENT
    _close(metrics['l_oh'], LN4 - LN3)


def test_under_vmap_each_batch_has_a_loss_of_its_own():
  loss = _loss(_teachers(LN3))
  batches = [
    (_pixels(0, 0), _pixels(1, -1)),
    (_pixels(1, 2), _pixels(-3, 0.5)),
  ]
  stacked = jax.tree.map(lambda *x: jnp.stack(x), *batches)
  batched = jax.vmap(loss, in_axes=(0, None))(stacked, FILTERS)
  one_by_one = jax.tree.map(
    lambda *x: jnp.stack(x), *(loss(x, FILTERS) for x in batches)
  )
  chex.assert_trees_all_close(batched, one_by_one, rtol=1e-5, atol=1e-6)


def test_each_weight_belongs_to_a_term():
  weights = {
    name
    for name, field in Objective.model_fields.items()
    if field.annotation is float
  }
  # Those of Eq. 8 are written out in `losses.gan`.
  assert weights == {'alpha', 'beta', 'gamma', *losses.ADDED_TERMS}


def test_the_example_of_the_equations_page_runs():
  page = (ROOT / 'docs' / 'equations.md').read_text()
  (example,) = re.findall(r'```python\n(.*?)```', page, re.DOTALL)
  names = {}
  exec(example, names)
  assert names['logits'].shape == (8, 4)
  chex.assert_tree_all_finite(names['gradients'])
  for gradient in names['gradients']:
    assert np.any(gradient != 0)
