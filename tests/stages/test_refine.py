"""Stage `refine`: generator and student in turn, and the pool between them."""

import jax
import numpy as np
import optax
import pytest

from dualgan_jax import losses
from dualgan_jax.config import stage_table
from dualgan_jax.config.augmentation_group import Augmentation
from dualgan_jax.method import frozen_generator
from dualgan_jax.networks.classifier import join
from dualgan_jax.stages import generator_loss, refine
from dualgan_jax.stages.augmentation import draw_augmented
from dualgan_jax.stages.replay_buffer import insert_batch
from dualgan_jax.training import parallel
from dualgan_jax.training.phase import adam
from tests import tiny

_ALL = Augmentation(shift=1, flip=True, mixup=0.5)


def phase(
  *,
  disagreement=1.0,
  replays=1,
  shift=1,
  flip=True,
  mixup=0.5,
  rate=0.1,
  optimiser=None,
  routed=False,
  absent=True,
  **options,
):
  """The stage on the tiny nets."""
  student = tiny.student()
  optimiser = optimiser or optax.sgd(rate)
  return refine.phase(
    student,
    tiny.variables_of(student),
    tiny.source(routed=routed).replace(foreign_labels_absent=routed and absent),
    tiny.both_teachers(),
    tiny.LABEL_MAP,
    tiny.objective(),
    stage_table.Refine(
      steps=4,
      batch=tiny.BATCH,
      adversarial_weight=disagreement,
      replay_steps=replays,
      replay_buffer_batches=2,
    ),
    Augmentation(shift=shift, flip=flip, mixup=mixup),
    image_shape=tiny.IMAGE,
    temperature=2.0,
    optimisers={'generator': optimiser, 'student': optimiser},
    **options,
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


def test_the_generator_is_judged_by_its_image_alone():
  state, metrics = tiny.run(phase())
  assert 'consistency' not in metrics
  student, source = tiny.student(), tiny.source()
  draw_key = jax.random.split(jax.random.fold_in(state.key, 0))[0]
  devices = jax.local_devices()[:1]

  def by_hand(frozen, key):
    z = frozen_generator.draw_latents(key, tiny.BATCH, tiny.LATENT_DIM)
    features, _ = source.module.apply(
      source.variables, z, train=True, mutable=['batch_stats']
    )
    x = features[-1]
    loss, _ = generator_loss.l_joint(
      (x,), source.filters, frozen, tiny.LABEL_MAP, tiny.objective()
    )
    student_logits, _ = student.apply(
      tiny.variables_of(student), x, train=False
    )
    targets = source.ensemble_logits(frozen, x, tiny.LABEL_MAP)
    return key, loss - losses.disagreement(student_logits, targets)

  _, expected = parallel.compile_step(by_hand, devices)(
    parallel.replicate(tiny.both_teachers(), devices),
    parallel.replicate(draw_key, devices),
  )
  np.testing.assert_allclose(metrics['generator_loss'], expected[0], rtol=1e-4)


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


def test_without_replays_both_nets_learn_from_each_batch_once():
  # As in DAFL's code, with its loss of the student.
  without_reward = phase(
    disagreement=0.0,
    replays=0,
    distillation_loss=losses.class_distillation,
    optimiser=adam(1e-2, 100),
  )
  state, metrics = tiny.run(without_reward)
  assert 'replay_loss' not in metrics
  assert {name: x[0].count for name, x in state.opt_state.items()} == {
    'generator': 1,
    'student': 1,
  }
  student = tiny.student()
  images = state.pool[: tiny.BATCH] / 255.0
  logits, _ = student.apply(tiny.variables_of(student), images, train=True)
  targets = tiny.source().ensemble_logits(
    tiny.both_teachers(), images, tiny.LABEL_MAP
  )
  expected = losses.class_distillation(logits, targets, temperature=2.0)
  # The pool's images are rounded to 256 steps.
  np.testing.assert_allclose(metrics['loss'], expected, rtol=2e-2)
  assert tiny.run(without_reward, steps=30)[1]['loss'] < metrics['loss']


@pytest.mark.parametrize('replays', [1, 3])
def test_the_student_steps_once_and_for_each_replay(replays):
  state, _ = tiny.run(phase(optimiser=adam(1e-3, 9), replays=replays))
  counts = {name: x[0].count for name, x in state.opt_state.items()}
  assert counts == {'generator': 1, 'student': 1 + replays}


@pytest.mark.slow
def test_replays_of_one_step_are_draws_of_their_own():
  # At a rate of 0 only what is drawn can change the loss.
  once, twice = (
    tiny.run(phase(rate=0.0, replays=n), steps=2)[1] for n in (1, 2)
  )
  assert once['replay_loss'] != twice['replay_loss']


def test_the_pool_takes_each_batch_at_its_samples_numbers():
  # At a rate of 0 batches differ by their noise alone.
  one, two, three = (
    tiny.run(phase(rate=0.0), steps=n)[0].pool for n in (1, 2, 3)
  )
  half = tiny.BATCH
  assert one.dtype == np.uint8
  assert one[:half].any()
  assert not one[half:].any()
  # The second batch stands behind the first, the third where the first stood.
  np.testing.assert_array_equal(two[:half], one[:half])
  assert (two[half:] != two[:half]).any()
  np.testing.assert_array_equal(three[half:], two[half:])
  assert (three[:half] != two[:half]).any()


@pytest.mark.parametrize(
  ('routed', 'absent'), [(False, False), (True, True), (True, False)]
)
def test_the_losses_are_against_the_teachers_soft_answers(routed, absent):
  # At a rate of 0 the student is the first one always.
  state, metrics = tiny.run(
    phase(rate=0.0, routed=routed, absent=absent), steps=2
  )
  student, num_teachers = tiny.student(), 2 if routed else 1
  source = tiny.source(routed=routed).replace(foreign_labels_absent=absent)
  replay_key = jax.random.split(jax.random.fold_in(state.key, 1))[1]

  def by_hand(frozen, pool):
    def loss(x):
      logits, _ = student.apply(tiny.variables_of(student), x, train=True)
      targets = source.ensemble_logits(frozen, x, tiny.LABEL_MAP)
      return losses.cross_entropy(logits / 2, jax.nn.sigmoid(targets / 2))

    # Of both batches that were made.
    replayed = draw_augmented(
      pool, 2 * tiny.BATCH, replay_key, tiny.BATCH, _ALL, num_teachers
    )
    return pool, (loss(pool[tiny.BATCH :] / 255.0), loss(replayed))

  devices = jax.local_devices()[:1]
  _, (fresh, replay) = parallel.compile_step(by_hand, devices)(
    parallel.replicate(tiny.both_teachers(), devices),
    parallel.replicate(state.pool, devices),
  )
  # The pool's images are rounded to 256 steps.
  np.testing.assert_allclose(metrics['loss'], fresh[0], rtol=1e-2)
  np.testing.assert_allclose(metrics['replay_loss'], replay[0], rtol=1e-4)


def test_images_beyond_0_and_1_are_clipped_in_the_pool():
  images = np.array([-0.3, 0.0, 1.0, 1.7]).reshape(4, 1, 1, 1)
  pool = insert_batch(np.ones((5, 1, 1, 1), np.uint8), 0, images)
  np.testing.assert_array_equal(pool.ravel(), [0, 0, 255, 255, 1])


def test_nothing_is_replayed_that_was_not_made():
  # The first step has only its own batch to replay, so a white image in an
  # empty place of the pool changes nothing.
  of = phase()
  first = _first(of)
  _, metrics = tiny.run(of)
  changed = refine.Phase(
    of.name,
    of.steps,
    lambda key: of.init(key).replace(pool=first.pool + 255),
    of.step,
    of.frozen,
  )
  _, again = tiny.run(changed)
  np.testing.assert_allclose(
    metrics['replay_loss'], again['replay_loss'], rtol=1e-6
  )


def test_the_refined_student_is_a_whole_net():
  state, _ = tiny.run(phase())
  student = tiny.student()
  variables = join(state.params['student'], state.batch_stats['student'])
  x = np.zeros((2, *tiny.IMAGE), np.float32)
  logits, _ = student.apply(variables, x, train=False)
  assert logits.shape == (2, len(tiny.ASKED))
