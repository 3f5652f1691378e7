"""Every stage's step is a function that any transformation takes."""

import functools

import chex
import jax
import pytest
from absl.testing import parameterized

from tests import tiny
from tests.phases import PHASES

# Each is compiled five times.
pytestmark = pytest.mark.slow

_ONE_OF_EACH_STAGE = (
  'pretrain',
  'generator',
  'routing probe',
  'dual, block 2',
  'branch losses',
  'compact on generated images',
  'refine',
)


@functools.cache
def _on_one_device(name):
  return tiny.run(PHASES[name]())


class StepTest(chex.TestCase):
  @chex.all_variants
  @parameterized.parameters(*_ONE_OF_EACH_STAGE)
  def test_a_step_needs_no_device_axis(self, name):
    # In double precision, so that only what is wrong can differ, not what is
    # summed in another order.
    with jax.enable_x64(True):
      phase = PHASES[name]()
      step = self.variant(phase.step, n_devices=2)
      chex.assert_trees_all_close(
        step(*tiny.step_inputs(phase)),
        _on_one_device(name),
        rtol=1e-6,
        atol=1e-9,
      )
