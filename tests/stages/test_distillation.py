"""One student, end to end, against the teachers."""

import jax
import numpy as np
import optax
import pytest

from dualgan_jax import losses
from dualgan_jax.config.augmentation_group import Augmentation
from dualgan_jax.method import discriminators
from dualgan_jax.networks.classifier import split
from dualgan_jax.stages import distillation
from dualgan_jax.teachers import forward
from dualgan_jax.training import parallel
from dualgan_jax.training.image_batches import RealImages
from tests import tiny


def _phase(draw, origin, optimiser):
  student = tiny.student()
  return distillation.phase(
    'targetnet/compact',
    student.apply,
    lambda key: tiny.variables_of(student),
    draw,
    tiny.LABEL_MAP,
    lambda: distillation.DistillationInputs(tiny.both_teachers(), origin),
    Augmentation(),
    temperature=2.0,
    steps=30,
    batch_size=tiny.BATCH,
    optimiser=optimiser,
  )


@pytest.mark.parametrize('routed', [False, True])
def test_the_loss_is_against_the_teachers_answers_on_y_cst(routed):
  devices = jax.local_devices()[:1]
  source, student = tiny.source(routed=routed), tiny.student()
  answer_mask = None
  if routed:  # every other image belongs to the other teacher
    answer_mask = np.tile(np.eye(2, dtype=bool), (tiny.BATCH // 2, 1))
  phase = _phase(distillation.draw_generated, source, optax.sgd(0.1))
  state, metrics = tiny.run(phase)

  def by_hand(everyone, key):
    x = source.features(jax.random.fold_in(key, 0), tiny.BATCH)[-1]
    logits, updated = student.apply(tiny.variables_of(student), x, train=True)
    targets = discriminators.combine_logits(
      [forward.tail(t, t.variables, x, 0) for t in everyone],
      tiny.LABEL_MAP.owners(tiny.ASKED),
      answer_mask,
    )
    loss = losses.distillation(logits, targets, temperature=2.0)
    return key, (loss, split(updated)[1])

  _, (expected, averages) = parallel.compile_step(by_hand, devices)(
    parallel.replicate(tiny.both_teachers(), devices),
    parallel.replicate(state.key, devices),
  )
  np.testing.assert_allclose(metrics['loss'], expected[0], rtol=1e-5)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b[0], rtol=1e-5, atol=1e-6),
    state.batch_stats,
    averages,
  )


def test_agreement_is_on_the_most_probable_label():
  logits = np.float32([[18, 25], [17, 30], [20, 19]])
  # The sigmoids of all of these are 1 in single precision.
  assert distillation.agreement(logits, logits + 1) == 1
  assert distillation.agreement(logits, logits[:, ::-1]) == 0


def test_one_label_alone_is_agreed_on_where_both_say_it_is_there():
  logits = np.float32([[-5], [3], [1], [-1]])
  others = np.float32([[2], [-2], [0.4], [0]])
  assert distillation.agreement(logits, others) == 2 / 4


def test_the_student_learns():
  phase = _phase(distillation.draw_generated, tiny.source(), optax.adam(1e-2))
  first, last = tiny.run(phase)[1], tiny.run(phase, steps=30)[1]
  assert last['loss'] < first['loss']


def test_the_image_filter_stands_before_the_teachers_only():
  with_filter = tiny.source(image_filter=True)
  assert 'image' in with_filter.filters['one']
  plain = tiny.run(
    _phase(distillation.draw_generated, tiny.source(), optax.sgd(0.1))
  )
  dimmed = tiny.run(
    _phase(distillation.draw_generated, with_filter, optax.sgd(0.1))
  )
  # The same images, other answers to them.
  assert plain[1]['loss'] != dimmed[1]['loss']
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6),
    plain[0].batch_stats,
    dimmed[0].batch_stats,
  )


def test_noise_is_uniform_and_new_each_time():
  devices = jax.local_devices()[:2]
  draw = parallel.compile_step(
    lambda frozen, key: (
      key,
      distillation.draw_noise(*frozen, tiny.LABEL_MAP, key, 64, Augmentation()),
    ),
    devices,
  )
  image = np.zeros(tiny.IMAGE, np.float32)
  frozen = parallel.replicate((image, tiny.both_teachers()), devices)

  def images(seed):
    key = parallel.replicate(jax.random.PRNGKey(seed), devices)
    x, logits = draw(frozen, key)[1]
    assert logits.shape == (2, 32, len(tiny.ASKED))
    return np.asarray(x).reshape(64, *tiny.IMAGE)

  x = images(0)
  assert x.min() >= 0
  assert x.max() < 1
  assert abs(x.mean() - 0.5) < 0.02
  assert abs(x.var() - 1 / 12) < 0.01
  assert not np.array_equal(x, images(1))


def _real(answer_mask):
  sets = (RealImages(tiny.images(), np.tile(answer_mask, (40, 1))),)
  return distillation.RealImageSets(sets, tiny.IMAGE[:2])


def test_real_images_have_the_answers_of_the_teachers_that_count():
  devices = jax.local_devices()[:1]
  everyone = tiny.both_teachers()
  owners = tiny.LABEL_MAP.owners(tiny.ASKED)

  def answers(answer_mask):
    def share(frozen, key):
      return key, distillation.draw_real(
        *frozen, tiny.LABEL_MAP, key, tiny.BATCH, Augmentation()
      )

    _, (x, logits) = parallel.compile_step(share, devices)(
      parallel.replicate((_real(answer_mask), everyone), devices),
      parallel.replicate(jax.random.PRNGKey(0), devices),
    )
    by_teacher = [forward.tail(t, t.variables, x[0], 0) for t in everyone]
    return logits[0], discriminators.combine_logits(by_teacher, owners)

  of_both, combined = answers([True, True])
  np.testing.assert_allclose(of_both, combined, rtol=1e-4, atol=1e-4)
  of_second, _ = answers([False, True])
  d, a, c = range(3)
  # `a` is the first teacher's, who does not count; `c` is now the second's.
  assert (of_second[:, a] == discriminators.ABSENT).all()
  np.testing.assert_allclose(
    of_second[:, d], combined[:, d], rtol=1e-4, atol=1e-4
  )
  assert np.abs(of_second[:, c] - combined[:, c]).max() > 1e-3
