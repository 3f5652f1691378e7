import types

import jax
import numpy as np
import pytest

from dualgan_jax import discriminators, results
from tests import tiny


@pytest.mark.parametrize('routed', [True, False])
def test_samples_are_of_teachers_who_are_asked(routed):
  run = types.SimpleNamespace(
    design=types.SimpleNamespace(label_map=tiny.LABEL_MAP),
    everyone=tiny.both_teachers(),
    source=tiny.source(routed=routed),
    key=lambda name: jax.random.PRNGKey(len(name)),
  )
  images, said = results.samples(run, ('a',))  # the teacher `one` has it
  assert images.shape == (512, *tiny.IMAGE)
  assert said.shape == (512, 1)
  # No image here is the other teacher's.
  z = jax.random.normal(run.key('samples'), (512, tiny.NOISE))
  if routed:
    z = np.concatenate([z, np.tile([1.0, 0.0], (512, 1))], axis=1)
  expected = run.source.module.apply(run.source.variables, z, train=False)[-1]
  np.testing.assert_allclose(images, expected, rtol=1e-4, atol=1e-6)
  assert np.all(said != discriminators.ABSENT)
  _, said = results.samples(run, tiny.LABEL_MAP.union)
  assert np.any(said[:, 0] == discriminators.ABSENT) == routed
