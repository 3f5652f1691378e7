import types

import jax
import numpy as np
import pytest

from dualgan_jax.experiment import evaluation
from dualgan_jax.method import discriminators
from tests import tiny


@pytest.mark.parametrize('routed', [True, False])
def test_samples_are_of_teachers_who_are_asked(routed):
  context = types.SimpleNamespace(
    nets=types.SimpleNamespace(label_map=tiny.LABEL_MAP),
    key=lambda name: jax.random.PRNGKey(len(name)),
  )
  everyone, source = tiny.both_teachers(), tiny.source(routed=routed)

  def samples(labels):
    return evaluation.samples(context, everyone, source, labels)

  images, logits = samples(('a',))  # the teacher `one` has it
  assert images.shape == (512, *tiny.IMAGE)
  assert logits.shape == (512, 1)
  # No image here is the other teacher's.
  z = jax.random.normal(context.key('samples'), (512, tiny.LATENT_DIM))
  if routed:
    z = np.concatenate([z, np.tile([1.0, 0.0], (512, 1))], axis=1)
  expected = source.module.apply(source.variables, z, train=False)[-1]
  np.testing.assert_allclose(images, expected, rtol=1e-4, atol=1e-6)
  assert np.all(logits != discriminators.ABSENT)
  _, logits = samples(tiny.LABEL_MAP.union)
  assert np.any(logits[:, 0] == discriminators.ABSENT) == routed
