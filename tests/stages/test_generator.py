"""Stage `generator`: Eq. 2-11 in one step."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dualgan_jax import losses
from dualgan_jax.losses import added_terms
from dualgan_jax.method import discriminators, frozen_generator
from dualgan_jax.method.labels import LabelMap
from dualgan_jax.stages import generator_loss
from dualgan_jax.teachers import forward
from dualgan_jax.teachers.teacher import Teacher, from_classifier, single_label
from dualgan_jax.training import parallel
from tests import tiny

SGD = optax.sgd(0.1)


@pytest.fixture(scope='module')
def plain_step():
  return tiny.run(tiny.generator_phase(SGD))[0].params


@pytest.mark.parametrize(
  ('owner', 'name', 'replacement'),
  [
    (losses, 'discrete', lambda logits: jnp.zeros(())),  # Eq. 7
    (losses, 'one_hot', lambda logits, labels: jnp.zeros(())),  # Eq. 6
    (losses, 'activation', lambda features: jnp.zeros(())),
    (losses, 'information_entropy', lambda mean, form=None: jnp.zeros(())),
    (added_terms, 'statistics_prior', lambda moments: jnp.zeros(())),
    (losses, 'consistency', lambda group, image: jnp.zeros(())),  # Eq. 11
  ],
)
def test_each_loss_moves_the_step(
  monkeypatch, plain_step, owner, name, replacement
):
  monkeypatch.setattr(owner, name, replacement)
  other = tiny.run(tiny.generator_phase(SGD))[0].params
  assert tiny.moved(plain_step, other) > 1e-6


def test_the_filter_of_eq_9_moves_the_step(monkeypatch, plain_step):
  ours = discriminators.apply_filter

  def no_gate(params, features):
    if 'projection' in params:  # the identity does not fit there
      return ours(params, features)
    return features

  monkeypatch.setattr(discriminators, 'apply_filter', no_gate)
  other = tiny.run(tiny.generator_phase(SGD))[0].params
  assert tiny.moved(plain_step, other) > 1e-6


def test_the_never_empty_label_moves_the_step(plain_step):
  other = tiny.run(tiny.generator_phase(SGD, never_empty=False))[0].params
  assert tiny.moved(plain_step, other) > 1e-6


def test_the_loss_is_eq_11_put_together_by_hand():
  objective = tiny.objective()
  key = jax.random.PRNGKey(7)
  source, everyone = tiny.source(), tiny.both_teachers()
  z = jax.random.normal(key, (4, tiny.LATENT_DIM))
  f1, f2, image = source.module.apply(source.variables, z, train=False)

  # Without the ladder: each tail by itself, on what the filter gives it.
  def answers(x, group):
    return discriminators.combine_logits(
      [
        forward.tail(
          t,
          t.variables[3 - group :],
          x
          if group == 3
          else discriminators.apply_filter(
            source.filters[t.name][f'group_{group}'], x
          ),
          3 - group,
        )
        for t in everyone
      ],
      tiny.LABEL_MAP.owners(tiny.LABEL_MAP.union),
    )

  y = answers(image, 3)
  labels = losses.pseudo_labels(y, never_empty=True)
  ladders = [forward.ladder(t, image, {}) for t in everyone]
  l_a = sum(losses.activation(x.activations) for x in ladders) / 2
  prior = sum(losses.statistics_prior(x.moments) for x in ladders) / 2
  expected = (
    losses.one_hot(y, labels)
    + objective.alpha * l_a
    + objective.beta * losses.information_entropy(losses.label_mean(y))
    + objective.gamma * losses.discrete(y)
    + (
      losses.consistency(answers(f1, 1), y)
      + losses.consistency(answers(f2, 2), y)
    )
    / 2
    + objective.bn_prior_weight * prior
  )

  def loss(frozen, features):
    value, _ = generator_loss.l_joint(
      features, frozen['filters'], frozen['teachers'], tiny.LABEL_MAP, objective
    )
    return features, value

  devices = jax.local_devices()[:1]
  frozen = {'filters': source.filters, 'teachers': everyone}
  _, actual = parallel.compile_step(loss, devices)(
    parallel.replicate(frozen, devices),
    parallel.replicate((f1, f2, image), devices),
  )
  np.testing.assert_allclose(actual[0], expected, rtol=1e-4)


def test_generator_and_filters_learn_and_teachers_are_not_in_the_state():
  phase = tiny.generator_phase(SGD)
  first = jax.jit(phase.init)(jax.random.PRNGKey(0))
  state, _ = tiny.run(phase)
  assert tiny.all_moved(first.batch_stats, state.batch_stats)
  before, after = first.params, state.params
  assert set(after) == {'generator', 'filters'}
  assert set(after['filters']['one']) == {'group_1', 'group_2'}
  moved = jax.tree.map(lambda a, b: float(np.max(np.abs(a - b))), before, after)
  for group in ('group_1', 'group_2', 'group_3'):
    assert max(jax.tree.leaves(moved['generator'][group])) > 0
  for name in ('one', 'two'):
    for group in ('group_1', 'group_2'):
      assert max(jax.tree.leaves(moved['filters'][name][group])) > 0


def test_the_image_has_a_filter_only_if_asked():
  phase = tiny.generator_phase(SGD, image_filter=True)
  before = jax.jit(phase.init)(jax.random.PRNGKey(0)).params['filters']
  after = tiny.run(phase)[0].params['filters']
  for name in ('one', 'two'):  # ... and learns
    assert tiny.moved(before[name]['image'], after[name]['image']) > 1e-6
  image = jnp.ones((2, *tiny.IMAGE))
  np.testing.assert_array_equal(discriminators.filter_image({}, image), image)


def test_teachers_without_batch_norm_have_no_prior():
  everyone = tuple(
    tiny.teacher(name, 1, batch_norm=False) for name in ('one', 'two')
  )
  _, metrics = tiny.run(tiny.generator_phase(SGD, teachers=everyone))
  assert metrics['l_bn'] == 0
  assert np.isfinite(metrics['loss'])


def test_a_teacher_of_plain_functions_will_do():
  def flat(variables, x):
    return jnp.mean(x, axis=(1, 2)) @ variables

  def halve(variables, x):
    n, h, w, c = x.shape
    return jnp.tanh(
      x.reshape(n, h // 2, 2, w // 2, 2, c).mean((2, 4)) @ variables
    )

  def same(variables, x):
    return jnp.tanh(x @ variables)

  rng = np.random.default_rng(0)
  sizes = [(1, 4), (4, 5), (5, 6), (6, 3)]
  foreign = Teacher(
    'one',
    tiny.LABELS['one'],
    (halve, halve, same),
    flat,
    tuple(jnp.asarray(rng.normal(size=s), jnp.float32) for s in sizes),
  )
  everyone = (foreign, tiny.both_teachers()[1])
  _, metrics = tiny.run(tiny.generator_phase(SGD, teachers=everyone))
  assert np.isfinite(metrics['loss'])
  assert metrics['l_bn'] > 0  # of the other teacher


def test_without_groups_there_is_the_image_alone():
  state, metrics = tiny.run(tiny.generator_phase(SGD, groups=False))
  assert state.params['filters'] == {'one': {}, 'two': {}}
  assert 'consistency' not in metrics
  np.testing.assert_allclose(
    metrics['loss'], metrics['l_gan'] + 0.3 * metrics['l_bn'], rtol=1e-5
  )


def test_a_routed_image_is_judged_by_its_own_teacher_alone():
  everyone = tiny.both_teachers()
  source = tiny.source(routed=True)
  objective = tiny.objective()
  rng = np.random.default_rng(0)
  shapes = ((2, 2, 5), (4, 4, 4), tiny.IMAGE)
  features = tuple(
    rng.uniform(size=(4, *shape)).astype(np.float32) for shape in shapes
  )
  devices = jax.local_devices()[:1]

  def loss(frozen, x):
    _, (logits, metrics) = generator_loss.l_joint(
      x, *frozen, tiny.LABEL_MAP, objective, routed=True
    )
    return x, (logits, metrics['consistency'])

  _, ((logits,), (consistency,)) = parallel.compile_step(loss, devices)(
    parallel.replicate((source.filters, everyone), devices),
    parallel.replicate(features, devices),
  )
  a, b, c, d = range(4)  # the union: `c` is owned by both
  assert (logits[0::2, d] == discriminators.ABSENT).all()
  assert (logits[1::2, [a, b]] == discriminators.ABSENT).all()
  of_groups = [
    np.full((4, 4), discriminators.ABSENT, np.float32) for _ in range(2)
  ]
  for m, teacher in enumerate(everyone):
    answers = forward.tail(teacher, teacher.variables, features[-1][m::2], 0)
    mine = [(a, b, c), (c, d)][m]
    np.testing.assert_allclose(
      logits[m::2][:, mine], answers, rtol=1e-3, atol=1e-4
    )
    for j, group_logits in enumerate(of_groups, start=1):
      entry = discriminators.apply_filter(
        source.filters[teacher.name][f'group_{j}'], features[j - 1][m::2]
      )
      answers = forward.tail(teacher, teacher.variables[3 - j :], entry, 3 - j)
      group_logits[np.ix_(range(m, 4, 2), mine)] = answers
  expected = np.mean([losses.consistency(x, logits) for x in of_groups])
  np.testing.assert_allclose(consistency, expected, rtol=1e-4)


def test_a_latent_names_its_teacher():
  devices = jax.local_devices()[:1]
  draw = parallel.compile_step(
    lambda _, key: (
      key,
      frozen_generator.draw_latents(key, 4, tiny.LATENT_DIM, (1,), 2),
    ),
    devices,
  )
  key = parallel.replicate(jax.random.PRNGKey(0), devices)
  _, (z,) = draw(key, key)
  assert z.shape == (4, tiny.LATENT_DIM + 2)
  np.testing.assert_array_equal(z[:, -2:], [[0, 1]] * 4)


def _judged(everyone, label_map=tiny.LABEL_MAP, routed=False, **changes):
  """Four images, and the metrics of the loss of them."""
  objective = tiny.objective(groups=False, **changes)
  image = jax.random.uniform(jax.random.PRNGKey(5), (4, *tiny.IMAGE))
  devices = jax.local_devices()[:1]

  def loss(frozen, x):
    filters = {t.name: {} for t in frozen}
    _, (_, metrics) = generator_loss.l_joint(
      (x,), filters, frozen, label_map, objective, routed=routed
    )
    return x, metrics

  _, metrics = parallel.compile_step(loss, devices)(
    parallel.replicate(everyone, devices), parallel.replicate(image, devices)
  )
  return image, parallel.first_replica(metrics)


def _terms(everyone, label_map=tiny.LABEL_MAP, **changes):
  """L_oh and L_ie of four images, and the teachers' own answers to them."""
  image, metrics = _judged(everyone, label_map, **changes)
  answers = [
    jax.nn.sigmoid(forward.tail(t, t.variables, image, 0)) for t in everyone
  ]
  return metrics['l_oh'], metrics['l_ie'], answers


@pytest.mark.parametrize('entropy', losses.ENTROPY_FORMS)
@pytest.mark.parametrize('one_hot', ['labels', 'class'])
def test_independent_labels_are_judged_in_the_asked_forms(entropy, one_hot):
  l_oh, l_ie, (p, q) = _terms(
    tiny.both_teachers(), entropy=entropy, one_hot=one_hot
  )
  y = discriminators.combine_logits(
    [jnp.log(x) - jnp.log1p(-x) for x in (p, q)],
    tiny.LABEL_MAP.owners(tiny.LABEL_MAP.union),
  )
  if one_hot == 'class':
    expected_losses = losses.one_class(y)
  else:
    expected_losses = losses.one_hot(
      y, losses.pseudo_labels(y, never_empty=True)
    )
  np.testing.assert_allclose(l_oh, expected_losses, rtol=1e-3)
  expected_losses = losses.information_entropy(
    losses.label_mean(y, entropy), entropy
  )
  np.testing.assert_allclose(l_ie, expected_losses, rtol=1e-3)


def test_the_prior_is_the_mean_over_teachers_that_have_batch_norm():
  one, plain = tiny.both_teachers()[0], tiny.teacher('two', 1, batch_norm=False)
  image, metrics = _judged((one, plain))
  moments = forward.ladder(one, image, {}).moments
  np.testing.assert_allclose(
    metrics['l_bn'], losses.statistics_prior(moments), rtol=1e-4
  )


def _dafl(p):
  """DAFL's two terms of one teacher, from softmax probabilities."""
  mean = p.mean(axis=0)
  entropy = jnp.sum(mean * jnp.log(mean)) / jnp.log(mean.size)
  return -jnp.mean(jnp.log(p.max(axis=1))), entropy


def test_teachers_of_one_label_are_judged_as_dafl_does_each():
  everyone = tuple(map(single_label, tiny.both_teachers()))
  l_oh, l_ie, answers = _terms(everyone)
  expected_losses = np.mean([_dafl(p) for p in answers], axis=0)
  np.testing.assert_allclose((l_oh, l_ie), expected_losses, rtol=1e-4)


def _independent(p):
  """Both terms of several independent labels, from their probabilities."""
  logits = jnp.log(p) - jnp.log1p(-p)
  labels = losses.pseudo_labels(logits, never_empty=True)
  return (
    losses.one_hot(logits, labels),
    losses.information_entropy(p.mean(axis=0)),
  )


@pytest.mark.parametrize('routed', [False, True])
def test_of_mixed_teachers_each_kind_is_judged_its_way(routed):
  one, two = tiny.both_teachers()
  l_oh, l_ie, (p, q) = _terms((one, single_label(two)), routed=routed)
  if routed:  # the others' rows are the other's
    p, q = p[0::2], q[1::2]
    several = p
  else:  # `c` is owned by both
    shared = discriminators.combine_logits(
      [jnp.log(x) - jnp.log1p(-x) for x in (p[:, 2:], q[:, :1])],
      np.array([[0, 1]]),
    )
    several = jnp.concatenate([p[:, :2], jax.nn.sigmoid(shared)], axis=1)
  expected_losses = np.mean([_independent(several), _dafl(q)], axis=0)
  np.testing.assert_allclose((l_oh, l_ie), expected_losses, rtol=1e-3)


@pytest.mark.parametrize('one_hot', ['labels', 'class'])
def test_a_routed_image_is_to_carry_a_label_of_its_own_teacher(one_hot):
  everyone = jax.tree.map(jnp.copy, tiny.both_teachers())
  for teacher in everyone:  # less probable, all of them, than an absent label
    teacher.variables[-1]['params']['Dense_0']['bias'] -= 50
  l_oh, _, answers = _terms(everyone, routed=True, one_hot=one_hot)
  num_labels = len(tiny.LABEL_MAP.union)
  expected_losses = []
  for m, p in enumerate(answers):
    row_logits = jnp.log(p[m::2])  # of such small p the logit, too
    if one_hot == 'class':
      expected_losses.append(losses.one_class(row_logits))
    else:
      expected_losses.append(jnp.mean(-row_logits.max(axis=1)) / num_labels)
  np.testing.assert_allclose(l_oh, np.mean(expected_losses), rtol=1e-3)


def _of_one_label(seed):
  """A teacher of one label, which some of four images carry."""
  net = tiny.net((4, 6, 8), 1)
  *blocks, head = tiny.variables_of(net, seed)
  only_one = from_classifier('two', ('e',), net, (*blocks, head))
  image = jax.random.uniform(jax.random.PRNGKey(5), (4, *tiny.IMAGE))
  logits = forward.tail(only_one, only_one.variables, image, 0)
  middle = jnp.sort(logits[:, 0])[1:3].mean()
  head['params']['Dense_0']['bias'] -= middle
  return only_one


def _printed(p):
  """Eq. 6 of one label, which may be empty, and minus its own entropy."""
  q = p.mean()
  return (
    -jnp.mean(jnp.log(jnp.maximum(p, 1 - p))),
    q * jnp.log(q) + (1 - q) * jnp.log(1 - q),
  )


@pytest.mark.parametrize('one_hot', ['labels', 'class'])
def test_the_only_label_is_wanted_on_half_of_the_images(one_hot):
  only_one = _of_one_label(3)
  label_map = LabelMap.create({'two': only_one.labels}, only_one.labels)
  l_oh, l_ie, (p,) = _terms((only_one,), label_map, one_hot=one_hot)
  assert p.min() < 0.5 < p.max()  # not on all, though never_empty
  np.testing.assert_allclose((l_oh, l_ie), _printed(p), rtol=1e-4)


def test_a_routed_teacher_of_one_label_judges_by_itself():
  one, only_one = tiny.both_teachers()[0], _of_one_label(3)
  labels = {'one': one.labels, 'two': only_one.labels}
  label_map = LabelMap.create(labels, ('a', 'e'))
  l_oh, l_ie, (p, q) = _terms((one, only_one), label_map, routed=True)
  expected_losses = np.mean([_independent(p[0::2]), _printed(q[1::2])], axis=0)
  np.testing.assert_allclose((l_oh, l_ie), expected_losses, rtol=1e-3)
