"""Do the teachers share one world? Measured on routed images."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dualgan_jax.losses import Moments
from dualgan_jax.stages import routing_probe
from dualgan_jax.training.phase import TrainState
from tests import tiny


def _moments(mean, square, steps=1):
  """Sums over `steps` batches of one layer of one channel, that has 0 and 1."""
  of_one = Moments(*(jnp.array([x]) for x in (mean, square, 0.0, 1.0)))
  return [Moments(*(x * steps for x in of_one))]


def _state(params, steps=1):
  return TrainState(jnp.int32(steps), None, params, (), ())


def test_one_world_has_a_misfit_of_one():
  images = _moments(0.5, 1.25)  # mean off by 0.5, variance right
  ratios = routing_probe.statistics_gaps(
    ('a', 'b'), _state([[images, images]] * 2)
  )
  np.testing.assert_allclose([ratios['a'], ratios['b']], 1.0, rtol=1e-5)
  assert not routing_probe.needs_routing(ratios)


def test_each_teacher_is_measured_by_its_own_images():
  near, far = _moments(0.1, 1.01), _moments(2.1, 5.41)  # as below
  ratios = routing_probe.statistics_gaps(
    ('a', 'b'), _state([[near, far], [far, near]])
  )
  np.testing.assert_allclose([ratios['a'], ratios['b']], 21.0, rtol=1e-4)


@pytest.mark.parametrize('steps', [1, 4])
def test_two_worlds_worked_by_hand(steps):
  near, far = _moments(0.1, 1.01, steps), _moments(2.1, 5.41, steps)
  # Together: mean 1.1, E[x²] 3.21, variance 2.0: L_bn = 1.1 + 1.0, and the
  # teacher's own have 0.1 + 0.
  ratios = routing_probe.statistics_gaps(('a',), _state([[near, far]], steps))
  np.testing.assert_allclose(ratios['a'], 21.0, rtol=1e-4)
  assert routing_probe.needs_routing(ratios)


def test_without_batch_norm_nothing_is_known():
  assert (
    routing_probe.statistics_gaps(('a', 'b'), _state([[[], []], [[], []]]))
    == {}
  )
  assert not routing_probe.needs_routing({})


def test_the_mean_decides():
  assert routing_probe.needs_routing(
    {'a': routing_probe.ROUTE_ABOVE + 0.2, 'b': routing_probe.ROUTE_ABOVE}
  )
  assert not routing_probe.needs_routing(
    {'a': routing_probe.ROUTE_ABOVE, 'b': 1.0}
  )


def _trained(**changes):
  phase = tiny.generator_phase(optax.sgd(0.1), routed=True, **changes)
  return tiny.run(phase)[0]


def _phase(batches, trained):
  return routing_probe.phase(
    'generator/misfit',
    tiny.generator(),
    tiny.LATENT_DIM,
    tiny.both_teachers(),
    trained,
    num_batches=batches,
    batch_size=tiny.BATCH,
  )


def test_moments_are_summed_by_teacher_and_by_whose_images_they_are():
  phase = _phase(3, _trained())
  one, _ = tiny.run(phase)
  three, _ = tiny.run(phase, steps=3)
  assert three.step == 3
  assert len(three.params) == len(three.params[0]) == 2
  layers = three.params[0][0]
  assert len(layers) == 3  # one batch norm per block
  # What the teacher remembers adds up like everything else.
  np.testing.assert_allclose(
    layers[0].running_mean, 3 * one.params[0][0][0].running_mean, rtol=1e-5
  )
  assert tiny.moved(one.params[0][0][0].mean, one.params[0][1][0].mean) > 1e-6
  assert set(routing_probe.statistics_gaps(('one', 'two'), three)) == {
    'one',
    'two',
  }


def test_a_teacher_sees_the_image_behind_its_filter():
  trained = _trained(image_filter=True)
  filtered, _ = tiny.run(_phase(1, trained))
  for filters in trained.params['filters'].values():
    del filters['image']
  bare, _ = tiny.run(_phase(1, trained))
  for m in range(2):
    first = filtered.params[m][0][0], bare.params[m][0][0]
    assert tiny.moved(first[0].mean, first[1].mean) > 1e-3
