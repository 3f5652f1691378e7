"""One student, end to end, against the teachers."""

import jax
import numpy as np
import optax

from dualgan_jax import discriminators, losses, parallel
from dualgan_jax.stages import distil
from tests import tiny


def _phase(draw, origin, optimiser):
  student = tiny.student()
  return distil.phase(
    'targetnet/compact',
    student.apply,
    lambda key: tiny.variables_of(student),
    draw,
    tiny.LABEL_MAP,
    lambda: distil.Frozen(tiny.both_teachers(), origin),
    steps=30,
    batch=tiny.BATCH,
    optimiser=optimiser,
  )


def test_the_loss_is_against_the_teachers_answers_on_y_cst():
  devices = jax.local_devices()[:1]
  source, student = tiny.source(), tiny.student()
  phase = _phase(distil.generated, source, optax.sgd(0.1))
  state, metrics = tiny.run(phase)

  def by_hand(everyone, key):
    x = source.features(jax.random.fold_in(key, 0), tiny.BATCH)[-1]
    logits, _ = student.apply(tiny.variables_of(student), x, train=True)
    targets = discriminators.combine(
      [discriminators.tail(t, t.variables, x, 0) for t in everyone],
      tiny.LABEL_MAP.owners(tiny.ASKED),
    )
    return key, losses.distillation(logits, targets)

  _, expected = parallel.compile_step(by_hand, devices)(
    parallel.replicate(tiny.both_teachers(), devices),
    parallel.replicate(state.key, devices),
  )
  np.testing.assert_allclose(metrics['loss'], expected[0], rtol=1e-5)


def test_the_student_learns():
  phase = _phase(distil.generated, tiny.source(), optax.adam(1e-2))
  first, last = tiny.run(phase)[1], tiny.run(phase, steps=30)[1]
  assert last['loss'] < first['loss']


def test_the_image_filter_stands_before_the_teachers_only():
  with_filter = tiny.source(image_filter=True)
  assert 'image' in with_filter.filters['one']
  plain = tiny.run(_phase(distil.generated, tiny.source(), optax.sgd(0.1)))
  dimmed = tiny.run(_phase(distil.generated, with_filter, optax.sgd(0.1)))
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
    lambda image, key: (key, distil.noise(image, key, 64)), devices
  )
  image = parallel.replicate(np.zeros(tiny.IMAGE, np.float32), devices)

  def images(seed):
    key = parallel.replicate(jax.random.PRNGKey(seed), devices)
    return np.asarray(draw(image, key)[1]).reshape(64, *tiny.IMAGE)

  x = images(0)
  assert x.min() >= 0
  assert x.max() < 1
  assert abs(x.mean() - 0.5) < 0.02
  assert abs(x.var() - 1 / 12) < 0.01
  assert not np.array_equal(x, images(1))
