"""Stage `refine`: generator and student in turn, and the pool between them."""

import jax
import numpy as np
import optax
import pytest

from dualgan_jax import losses, parallel
from dualgan_jax.networks.classifier import join
from dualgan_jax.stages import refine
from dualgan_jax.stages.phase import adam
from tests import tiny

_POOL = 2 * tiny.BATCH


def phase(
  *,
  disagreement=1.0,
  replays=1,
  rate=0.1,
  optimiser=None,
  routed=False,
  absent=True,
):
  """The stage on the tiny nets."""
  student = tiny.student()
  optimiser = optimiser or optax.sgd(rate)
  return refine.phase(
    student,
    tiny.variables_of(student),
    tiny.source(routed=routed).replace(absent=routed and absent),
    tiny.both_teachers(),
    tiny.LABEL_MAP,
    tiny.objective(routed=routed),
    image=tiny.IMAGE,
    temperature=2.0,
    disagreement=disagreement,
    pool=_POOL,
    replays=replays,
    steps=4,
    batch=tiny.BATCH,
    optimisers={'generator': optimiser, 'student': optimiser},
  )


@pytest.fixture(scope='module')
def one_step():
  return tiny.run(phase())


def _first(of):
  return jax.jit(of.init)(jax.random.PRNGKey(0))


def test_both_nets_move_and_the_step_counts(one_step):
  state, _ = one_step
  first = _first(phase())
  assert state.step == 1
  for name in ('generator', 'student'):
    assert tiny.moved(first.params[name], state.params[name]) > 1e-6
    assert tiny.moved(first.batch_stats[name], state.batch_stats[name]) > 1e-6


def test_the_reward_is_taken_from_the_generators_loss(one_step):
  _, metrics = one_step
  _, without = tiny.run(phase(disagreement=0.0))
  assert 0 < metrics['disagreement'] < len(tiny.ASKED)
  np.testing.assert_allclose(
    metrics['generator_loss'],
    without['generator_loss'] - metrics['disagreement'],
    rtol=1e-5,
  )


def test_the_reward_moves_the_generator_towards_disagreement():
  def after(weight):
    return tiny.run(phase(disagreement=weight), steps=4)[1]['disagreement']

  assert after(20.0) > after(0.0)


def test_the_reward_does_not_reach_the_students_own_step(one_step):
  _, without = tiny.run(phase(disagreement=0.0))
  _, metrics = one_step
  # The first batch was made before the generator learned anything.
  np.testing.assert_allclose(metrics['loss'], without['loss'], rtol=1e-6)


def test_the_student_learns_what_the_teachers_say():
  of = phase(optimiser=adam(1e-2, 100), disagreement=0.0)
  first, last = tiny.run(of)[1], tiny.run(of, steps=40)[1]
  assert last['loss'] < first['loss']
  assert last['replay_loss'] < first['replay_loss']


@pytest.mark.parametrize('replays', [1, 3])
def test_the_student_steps_once_and_for_each_replay(replays):
  state, _ = tiny.run(phase(optimiser=adam(1e-3, 9), replays=replays))
  counts = {name: own[0].count for name, own in state.opt_state.items()}
  assert counts == {'generator': 1, 'student': 1 + replays}


@pytest.mark.slow
def test_replays_of_one_step_are_draws_of_their_own():
  # At a rate of 0 only what is drawn can change the loss.
  once, twice = (
    tiny.run(phase(rate=0.0, replays=n), steps=2)[1] for n in (1, 2)
  )
  assert once['replay_loss'] != twice['replay_loss']


def test_the_pool_takes_each_batch_at_its_samples_numbers():
  one, two, three = (tiny.run(phase(), steps=n)[0].pool for n in (1, 2, 3))
  half = tiny.BATCH
  assert one.images.dtype == np.uint8
  assert one.images[:half].any()
  assert not one.images[half:].any()
  # The second batch stands behind the first, the third where the first stood.
  np.testing.assert_array_equal(two.images[:half], one.images[:half])
  assert two.images[half:].any()
  np.testing.assert_array_equal(three.images[half:], two.images[half:])
  assert (three.images[:half] != two.images[:half]).any()


def test_the_pool_keeps_the_teachers_soft_answers_on_y_cst():
  state, _ = tiny.run(phase())
  own = tiny.source()
  frozen = tiny.both_teachers()
  x = state.pool.images[: tiny.BATCH] / np.float32(255)
  expected = jax.nn.sigmoid(own.told(frozen, x, tiny.LABEL_MAP) / 2)
  np.testing.assert_allclose(
    state.pool.answers[: tiny.BATCH], expected, atol=0.02
  )


def test_the_loss_is_against_the_teachers_soft_answers(one_step):
  state, metrics = one_step
  devices = jax.local_devices()[:1]
  student = tiny.student()

  def by_hand(pool, key):
    x = pool.images[: tiny.BATCH] / np.float32(255)
    logits, _ = student.apply(tiny.variables_of(student), x, train=True)
    answers = pool.answers[: tiny.BATCH].astype(np.float32)
    return key, losses.cross_entropy(logits / 2, answers)

  _, expected = parallel.compile_step(by_hand, devices)(
    parallel.replicate(state.pool, devices),
    parallel.replicate(state.key, devices),
  )
  # The pool's images are rounded to 256 steps.
  np.testing.assert_allclose(metrics['loss'], expected[0], rtol=1e-2)


def test_nothing_is_replayed_that_was_not_made():
  # The first step has only its own batch to replay, so an empty place of the
  # pool, a black image without labels, changes nothing.
  of = phase()
  first = _first(of)
  state, metrics = tiny.run(of)
  black = first.pool.replace(images=first.pool.images + 255)
  changed = refine.Phase(
    of.name,
    of.steps,
    lambda key: of.init(key).replace(pool=black),
    of.step,
    of.frozen,
  )
  _, again = tiny.run(changed)
  np.testing.assert_allclose(
    metrics['replay_loss'], again['replay_loss'], rtol=1e-6
  )
  assert tiny.moved(first.pool.images, state.pool.images) > 0


def test_the_refined_student_is_a_whole_net():
  state, _ = tiny.run(phase())
  student = tiny.student()
  variables = join(state.params['student'], state.batch_stats['student'])
  x = np.zeros((2, *tiny.IMAGE), np.float32)
  logits, _ = student.apply(variables, x, train=False)
  assert logits.shape == (2, len(tiny.ASKED))


def test_routed_images_teach_what_their_teacher_says():
  state, metrics = tiny.run(phase(routed=True))
  assert np.isfinite(metrics['loss'])
  # `a` is the first teacher's alone: absent from the second's images.
  answers = state.pool.answers[: tiny.BATCH, tiny.ASKED.index('a')]
  assert (answers[1::2] < 1e-6).all()
  assert (answers[0::2] > 1e-6).all()


def test_routed_images_teach_what_all_say_if_nothing_is_absent():
  state, _ = tiny.run(phase(routed=True, absent=False))
  assert (state.pool.answers[: tiny.BATCH] > 1e-6).all()
