import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dualgan_jax.training import health
from dualgan_jax.training.health import PATIENCE, Watch


def _health(images, logits):
  images = jnp.array(images)[:, None, None, :]  # one pixel, some channels
  return health.health(health.batch_means(images, jnp.array(logits)))


def _row(*, labels=1.0, diversity=0.2, entropy=0.9):
  return {
    'labels_per_image': np.float32(labels),
    'diversity': np.float32(diversity),
    'entropy': np.float32(entropy),
  }


def test_health_by_hand():
  measures = _health([[0.0, 0.5], [1.0, 0.5]], [[1.0, -1.0], [2.0, 0.1]])
  # Label 0 fires in both images, label 1 in one.
  np.testing.assert_allclose(measures['firing_rate'], [1.0, 0.5])
  np.testing.assert_allclose(measures['labels_per_image'], 1.5)
  # Of three firings 2/3 and 1/3: -(2/3 log2 2/3 + 1/3 log2 1/3)
  entropy = math.log2(3) - 2 / 3
  np.testing.assert_allclose(measures['entropy'], entropy, rtol=1e-5)
  # Channel 0 has the variance 1/4, channel 1 none.
  np.testing.assert_allclose(measures['diversity'], math.sqrt(1 / 8), rtol=1e-5)


def test_a_label_at_the_border_does_not_fire():
  assert _health([[0.0]], [[0.0, -1.0]])['labels_per_image'] == 0


def test_health_of_black_and_white_is_the_most_diverse():
  measures = _health([[0.0], [1.0], [1.0], [0.0]], [[1.0, 1.0]] * 4)
  np.testing.assert_allclose(measures['diversity'], 0.5)
  np.testing.assert_allclose(measures['entropy'], 1.0, rtol=1e-5)


def test_health_of_one_image_for_all_noise():
  measures = _health([[0.3]] * 4, [[1.0, -1.0]] * 4)
  np.testing.assert_allclose(measures['diversity'], 0.0, atol=1e-3)
  np.testing.assert_allclose(measures['entropy'], 0.0, atol=1e-4)


def test_one_label_alone_is_to_fire_and_not_to_fire():
  measures = _health([[0.0], [1.0]], [[1.0], [-1.0]])
  np.testing.assert_allclose(measures['entropy'], 1.0, rtol=1e-6)
  for always in ([[1.0], [1.0]], [[-1.0], [-1.0]]):
    measures = _health([[0.0], [1.0]], always)
    np.testing.assert_allclose(measures['entropy'], 0.0, atol=1e-6)


def test_health_judges_without_teaching():
  def total(images):
    measures = _health(images, [[1.0, -1.0]] * 2)
    return sum(jnp.sum(x) for x in measures.values())

  # Without diversity its square root would have an infinite slope.
  grad = jax.grad(total)(jnp.zeros((2, 1)))
  np.testing.assert_array_equal(grad, np.zeros((2, 1)))


def test_means_of_shares_give_the_health_of_the_whole():
  images = jax.random.uniform(jax.random.PRNGKey(0), (4, 2, 2, 1))
  logits = jax.random.normal(jax.random.PRNGKey(1), (4, 3))
  shares = [
    health.batch_means(images[i : i + 2], logits[i : i + 2]) for i in (0, 2)
  ]
  reduced = jax.tree.map(lambda a, b: (a + b) / 2, *shares)
  whole = health.health(health.batch_means(images, logits))
  for name, value in health.health(reduced).items():
    np.testing.assert_allclose(value, whole[name], rtol=1e-5, err_msg=name)


@pytest.mark.parametrize(
  ('row', 'words'),
  [
    (_row(labels=0.04), ('empty', '0.04', 'objective.never_empty')),
    (_row(diversity=0.01), ('collapsed', '0.010', 'objective.beta')),
    (_row(entropy=0.3), ('few of the labels', '0.30', 'objective.beta')),
  ],
)
def test_lasting_trouble_is_told_once_in_one_line(row, words):
  watch = Watch()
  warnings = [watch.look(5 + step, row) for step in range(3 * PATIENCE)]
  assert not any(warnings[:PATIENCE])
  assert not any(warnings[PATIENCE + 1 :])
  (line,) = warnings[PATIENCE]
  assert '\n' not in line
  for word in (f'step {5 + PATIENCE} ', *words):
    assert word in line


def test_patience_counts_steps_not_rows():
  watch = Watch()
  assert not watch.look(0, _row(labels=0))
  assert watch.look(PATIENCE, _row(labels=0))


def test_healthy_rows_say_nothing():
  watch = Watch()
  border = _row(
    labels=health.MIN_LABELS + 1e-3,
    diversity=health.MIN_DIVERSITY + 1e-3,
    entropy=health.MIN_ENTROPY + 1e-3,
  )
  assert not any(watch.look(step, border) for step in range(3 * PATIENCE))


def test_recovery_starts_the_clock_anew():
  watch = Watch()
  assert not watch.look(0, _row(diversity=0))
  assert not watch.look(PATIENCE - 1, _row())
  assert not watch.look(PATIENCE, _row(diversity=0))
  assert not watch.look(2 * PATIENCE - 1, _row(diversity=0))
  assert watch.look(2 * PATIENCE, _row(diversity=0))


def test_a_trouble_that_comes_back_is_not_told_again():
  watch = Watch()
  watch.look(0, _row(diversity=0))
  assert watch.look(PATIENCE, _row(diversity=0))
  watch.look(PATIENCE + 1, _row())
  watch.look(PATIENCE + 2, _row(diversity=0))
  assert not watch.look(3 * PATIENCE, _row(diversity=0))


def test_each_trouble_has_a_clock_of_its_own():
  watch = Watch()
  watch.look(0, _row(diversity=0))
  watch.look(50, _row(diversity=0, entropy=0))
  (line,) = watch.look(PATIENCE, _row(diversity=0, entropy=0))
  assert 'collapsed' in line
  (line,) = watch.look(PATIENCE + 50, _row(diversity=0, entropy=0))
  assert 'few of the labels' in line


def test_empty_images_are_not_also_called_one_sided():
  watch = Watch()
  watch.look(0, _row(labels=0, entropy=0))
  (line,) = watch.look(PATIENCE, _row(labels=0, entropy=0))
  assert 'empty' in line


def test_rows_of_other_stages_are_passed_over():
  watch = Watch()
  watch.look(0, _row(labels=0))
  assert not watch.look(PATIENCE, {'l_d_own': np.float32(0.1)})
  assert watch.look(PATIENCE + 1, _row(labels=0))


def test_a_teacher_that_is_never_sure_is_named():
  watch = Watch({'good': [0, 1], 'odd': [1, 2]})
  row = {**_row(), 'firing_rate': np.float32([0.9, 0.004, 0.0])}
  assert watch.look(0, row) == []
  (line,) = watch.look(PATIENCE, row)
  assert 'make teacher odd sure of no label' in line
  # Of images that are empty altogether another line tells.
  watch = Watch({'odd': [0]})
  row = {**_row(labels=0), 'firing_rate': np.float32([0.0])}
  assert watch.look(0, row) == []
  (line,) = watch.look(PATIENCE, row)
  assert 'empty' in line
