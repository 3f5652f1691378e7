"""Stage `dual`: Eq. 12-16, block by block."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dualgan_jax import losses
from dualgan_jax.method import discriminators
from dualgan_jax.method.discriminators import filter_image
from dualgan_jax.networks.classifier import apply_block, join, split
from dualgan_jax.stages import dual
from dualgan_jax.teachers import forward
from dualgan_jax.training import parallel
from tests import tiny

_phase = functools.partial(tiny.dual_phase, optimiser=optax.sgd(0.1))


@pytest.fixture(scope='module')
def second_block():
  return tiny.run(_phase(2))[0]


def test_eq_15_moves_the_step(monkeypatch, second_block):
  ours = dual.input_streams

  def no_generated(student, before, features):
    own_path, generated = ours(student, before, features)
    return own_path, jnp.zeros_like(generated)

  monkeypatch.setattr(dual, 'input_streams', no_generated)
  assert tiny.moved(second_block.params, tiny.run(_phase(2))[0].params) > 1e-6


@pytest.mark.parametrize('stream', ['own', 'generated'])
def test_eq_16_moves_the_step(monkeypatch, second_block, stream):
  monkeypatch.setattr(
    losses,
    'dual_streams',
    lambda *terms, **_: terms[('own', 'generated').index(stream)],
  )
  assert tiny.moved(second_block.params, tiny.run(_phase(2))[0].params) > 1e-6


def test_eq_9_moves_the_step(monkeypatch):
  plain = tiny.run(_phase(1))[0]
  ours = discriminators.apply_filter
  monkeypatch.setattr(
    discriminators,
    'apply_filter',
    lambda params, x: ours(params, x) if 'projection' in params else x,
  )
  assert tiny.moved(plain.params, tiny.run(_phase(1))[0].params) > 1e-6


def test_the_inputs_are_the_students_path_and_the_generators_feature():
  student, source = tiny.student(), tiny.source()
  variables = tiny.variables_of(student)
  features = source.module.apply(
    source.variables, jnp.ones((2, tiny.LATENT_DIM)), train=False
  )
  own_path, generated = dual.input_streams(student, (), features)
  assert own_path is features[-1]  # b = 1: both are the image
  assert generated is features[-1]

  own_path, generated = dual.input_streams(student, variables[:1], features)
  expected = student.blocks[0].apply(variables[0], features[-1], train=False)
  np.testing.assert_array_equal(own_path, expected)
  assert generated is features[1]  # b = 2: F_g^{B+1-b} = F_g^2
  assert own_path.shape == generated.shape

  _, generated = dual.input_streams(student, variables[:2], features)
  assert generated is features[0]  # b = 3: F_g^1


def test_running_averages_follow_the_students_own_path_only(second_block):
  student, source = tiny.student(), tiny.source()
  first = jax.jit(_phase(2).init)(second_block.key)
  devices = jax.local_devices()[:1]

  def by_hand(frozen, key):
    del frozen
    features = source.features(jax.random.fold_in(key, 0), tiny.BATCH)
    before = tiny.variables_of(student)[:1]
    own_path, _ = dual.input_streams(student, before, features)
    variables = join(first.params['block'], first.batch_stats)
    _, updated = apply_block(student.blocks[1], variables, own_path, train=True)
    return key, split(updated)[1]

  _, expected = parallel.compile_step(by_hand, devices)(
    parallel.replicate((), devices),
    parallel.replicate(second_block.key, devices),
  )
  assert tiny.all_moved(first.batch_stats, second_block.batch_stats)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b[0], rtol=1e-5, atol=1e-6),
    second_block.batch_stats,
    expected,
  )


def test_each_stream_has_its_weight_or_is_left_out():
  both, only_own = (
    tiny.run(_phase(2, channels=(5, 7, 1), lambda_own=2.0, lambda_generated=x))
    for x in (3.0, 0.0)
  )
  assert 'adapter' in both[0].params
  assert 'l_d_generated' in both[1]
  assert 'adapter' not in only_own[0].params
  assert 'l_d_generated' not in only_own[1]
  of_own, of_generated = both[1]['l_d_own'], both[1]['l_d_generated']
  np.testing.assert_allclose(
    both[1]['loss'], 2 * of_own + 3 * of_generated, rtol=1e-6
  )
  np.testing.assert_allclose(only_own[1]['l_d_own'], of_own, rtol=1e-5)
  np.testing.assert_allclose(only_own[1]['loss'], 2 * of_own, rtol=1e-5)
  assert abs(of_own - of_generated) > 1e-3


def test_filters_start_where_stage_1_left_them_or_fresh():
  key = jax.random.PRNGKey(0)
  stage1 = _phase(1).init(key).params['filters']['one']
  np.testing.assert_array_equal(
    stage1['Dense_0']['kernel'],
    tiny.source().filters['one']['group_2']['Dense_0']['kernel'],
  )
  fresh = _phase(1, filter_start='fresh').init(key).params['filters']['one']
  assert tiny.moved(stage1, fresh) > 1e-3
  assert jax.tree.map(np.shape, stage1) == jax.tree.map(np.shape, fresh)


def test_a_student_of_another_width_gets_fresh_filters_and_an_adapter():
  first = jax.eval_shape(_phase(1, channels=(5, 3, 1)).init, jax.random.key(0))
  assert first.params['filters']['one']['Dense_0']['kernel'].shape == (4, 4)
  assert 'adapter' not in first.params
  second = jax.eval_shape(_phase(2, channels=(5, 3, 1)).init, jax.random.key(0))
  kernel = second.params['adapter']['params']['kernel']
  assert kernel.shape == (1, 1, 3, 4)  # F_g^2's width to that of T^1


def test_the_last_block_answers_through_its_own_head(monkeypatch):
  state = jax.eval_shape(_phase(3).init, jax.random.key(0))
  assert set(state.params) == {'block', 'head'}
  assert state.params['head']['Dense_0']['kernel'].shape == (2 * 2 * 6, 3)


def _of_first_block(source, image):
  """L_d^{1,m} per teacher, and each teacher's answers to F_u^1."""
  student, everyone = tiny.student(), tiny.both_teachers()
  out = student.blocks[0].apply(
    tiny.variables_of(student)[0], image, train=False
  )
  filters = {name: x['group_2'] for name, x in source.filters.items()}
  frozen = dual.BlockInputs(everyone, source, ())
  terms = dual.block_losses(
    1, out, image, {'filters': filters}, student, tiny.LABEL_MAP, frozen
  )
  answers = [
    forward.tail(
      t, t.variables[1:], discriminators.apply_filter(filters[t.name], out), 1
    )
    for t in everyone
  ]
  return terms, answers


@pytest.mark.parametrize('image_filter', [False, True])
def test_each_term_is_eq_13_worked_out_without_the_ladder(image_filter):
  source = tiny.source(image_filter=image_filter)
  image = source.module.apply(
    source.variables, jnp.ones((2, tiny.LATENT_DIM)), train=False
  )[-1]
  terms, answers = _of_first_block(source, image)
  # Of `one` Y_cst asks a and c, its labels 0 and 2, of `two` d and c.
  for teacher, task_filter, (term,), answer in zip(
    tiny.both_teachers(), ([0, 2], [0, 1]), terms, answers, strict=True
  ):
    shown = filter_image(source.filters[teacher.name], image)
    target = forward.tail(teacher, teacher.variables, shown, 0)
    np.testing.assert_allclose(
      term,
      losses.dual_block(answer[:, task_filter], target[:, task_filter]),
      rtol=1e-5,
    )


def test_the_target_of_a_routed_image_is_its_own_teachers():
  source = tiny.source(routed=True)
  image = jax.random.uniform(jax.random.PRNGKey(5), (4, *tiny.IMAGE))
  terms, answers = _of_first_block(source, image)
  targets = source.ensemble_logits(tiny.both_teachers(), image, tiny.LABEL_MAP)
  d, a, c = range(3)
  # What Y_cst asks of each, as its own labels and as those of Y_cst.
  teacher_columns = (([0, 2], [a, c]), ([0, 1], [c, d]))
  for (task_filter, columns), (term,), answer in zip(
    teacher_columns, terms, answers, strict=True
  ):
    np.testing.assert_allclose(
      term,
      losses.dual_block(answer[:, task_filter], targets[:, columns]),
      rtol=1e-5,
    )


def test_a_shared_label_has_the_mean_probability_as_the_heads_target():
  student, everyone = tiny.student(), tiny.both_teachers()
  frozen = dual.BlockInputs(everyone, tiny.source(), ())
  image = jnp.ones((2, *tiny.IMAGE)) / 2
  out = jnp.ones((2, 2, 2, 6))
  head = tiny.variables_of(student)[-1]['params']
  one, two = dual.block_losses(
    3, out, image, {'head': head}, student, tiny.LABEL_MAP, frozen
  )
  y = student.head.apply({'params': head}, out)  # answers d, a, c
  p1, p2 = (
    jax.nn.sigmoid(forward.tail(t, t.variables, image, 0)) for t in everyone
  )
  c = (p1[:, 2] + p2[:, 0]) / 2

  def loss(columns, targets):
    p = jax.nn.sigmoid(y[:, columns])
    t = jnp.stack(targets, axis=1)
    return -jnp.mean(t * jnp.log(p) + (1 - t) * jnp.log(1 - p))

  np.testing.assert_allclose(one[0], loss([1, 2], [p1[:, 0], c]), rtol=1e-4)
  np.testing.assert_allclose(two[0], loss([2, 0], [c, p2[:, 1]]), rtol=1e-4)


def test_the_teachers_answers_to_routed_images():
  everyone, source = tiny.both_teachers(), tiny.source(routed=True)
  images = tiny.images(4) / np.float32(255)
  logits = source.ensemble_logits(everyone, images, tiny.LABEL_MAP)
  a, d = tiny.ASKED.index('a'), tiny.ASKED.index('d')
  # Images 0 and 2 are the first teacher's, who does not answer `d`.
  assert (logits[0::2, d] == discriminators.ABSENT).all()
  assert (logits[1::2, a] == discriminators.ABSENT).all()
  # If nothing is absent, all answer for every image.
  all_answer = source.replace(foreign_labels_absent=False)
  of_all = all_answer.ensemble_logits(everyone, images, tiny.LABEL_MAP)
  plain = tiny.source().ensemble_logits(everyone, images, tiny.LABEL_MAP)
  np.testing.assert_allclose(of_all, plain, atol=1e-5)
  np.testing.assert_allclose(logits[0::2, a], plain[0::2, a], atol=1e-5)
