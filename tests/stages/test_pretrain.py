"""Stage `pretrain`, and what all phases share."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dualgan_jax.config import stage_table
from dualgan_jax.stages import pretrain
from dualgan_jax.teachers.preparation import Preparation
from dualgan_jax.training import parallel
from dualgan_jax.training import phase as phases
from dualgan_jax.training.image_batches import RealImages
from tests import tiny


def _phase(steps=40):
  # Bright images carry the label, dark ones don't.
  targets = (tiny.images().mean((1, 2, 3)) > 127)[:, None].astype(np.float32)
  return pretrain.phase(
    'pretrain/one',
    tiny.net((4, 6), 1, depths=(1, 1), strides=(2, 2)),
    Preparation(tiny.IMAGE),
    lambda: RealImages(tiny.images(), targets),
    stage_table.Pretrain(steps=steps, batch=32),
    phases.adam(3e-2, steps),
  )


def test_a_teacher_learns_its_labels():
  state, metrics = tiny.run(_phase(), steps=40)
  assert metrics['label_accuracy'] > 0.9
  first = jax.jit(_phase().init)(jax.random.PRNGKey(0))
  assert tiny.all_moved(first.batch_stats, state.batch_stats)


class _MeanPixel:
  """Answers one label by the mean of what it is given."""

  def init(self, key, image_shape):
    return ({'params': jnp.zeros(())},)

  def apply(self, variables, images, *, train):
    return images.mean((1, 2, 3))[:, None] + variables[0]['params'], variables


def test_a_teacher_sees_prepared_images():
  white = np.full((8, *tiny.IMAGE), 255, np.uint8)
  phase = pretrain.phase(
    'pretrain/one',
    _MeanPixel(),
    Preparation(tiny.IMAGE, mean=(0.5,), std=(0.25,)),
    lambda: RealImages(white, np.ones((8, 1), np.float32)),
    stage_table.Pretrain(steps=1, batch=32),
    optax.sgd(0.0),
  )
  _, metrics = tiny.run(phase, steps=1)
  # A logit of (1 - 0.5) / 0.25 = 2, of a label that is there.
  np.testing.assert_allclose(metrics['loss'], np.log1p(np.exp(-2)), rtol=1e-5)


def test_the_same_key_and_step_do_the_same():
  one, other = tiny.run(_phase(), steps=3)[0], tiny.run(_phase(), steps=3)[0]
  jax.tree.map(np.testing.assert_array_equal, one, other)
  assert one.step == 3


def test_each_step_has_randomness_of_its_own_and_the_averages_of_the_last():
  def loss_fn(params, batch_stats, key):
    return params * 0 + jax.random.uniform(key), (batch_stats + 1, {})

  optimiser, key = optax.sgd(1.0), jax.random.PRNGKey(4)
  devices = jax.local_devices()[:1]
  step = parallel.compile_step(
    lambda _, s: phases.train_step(loss_fn, optimiser, s), devices
  )
  nothing = parallel.replicate((), devices)
  first = phases.first_state(key, np.float32(1), np.float32(0), optimiser)
  state = parallel.replicate(first, devices)
  for i in range(3):
    state, metrics = step(nothing, state)
    expected = jax.random.uniform(jax.random.fold_in(key, i))
    np.testing.assert_allclose(metrics['loss'][0], expected, rtol=1e-6)
  np.testing.assert_array_equal(state.batch_stats, [3])


def test_the_learning_rate_falls_to_nothing():
  optimiser = phases.adam(0.1, 10)
  params, grads = np.zeros(1, np.float32), np.ones(1, np.float32)
  state, moves = optimiser.init(params), []
  for _ in range(11):
    updates, state = optimiser.update(grads, state)
    moves.append(float(-updates[0]))
  np.testing.assert_allclose(moves[0], 0.1, rtol=1e-3)
  np.testing.assert_allclose(moves[5], 0.05, rtol=1e-3)  # half a cosine
  np.testing.assert_allclose(moves[10], 0.0, atol=1e-6)


def test_a_step_averages_gradients_over_devices():
  def loss_fn(params, batch_stats, key):
    # Each device pulls by its own number, 0 or 1.
    return params * jax.lax.axis_index(parallel.AXIS), (batch_stats, {})

  devices = jax.local_devices()[:2]
  optimiser = optax.sgd(1.0)
  step = parallel.compile_step(
    lambda _, s: phases.train_step(loss_fn, optimiser, s), devices
  )
  first = phases.first_state(
    jax.random.PRNGKey(0), np.float32(1), (), optimiser
  )
  state, metrics = step(
    parallel.replicate((), devices), parallel.replicate(first, devices)
  )
  np.testing.assert_allclose(state.params, [0.5, 0.5])
  np.testing.assert_allclose(metrics['loss'], [0.5, 0.5])
