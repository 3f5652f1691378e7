"""Stage `targetnet`: where each teacher's branch leaves the trunk."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dualgan_jax.stages import branch_points, dual
from tests import tiny


def test_the_branch_point_is_the_argmin():
  losses = {'low': [0.5, 0.2, 0.3], 'high': [0.1, 0.4, 0.2]}
  assert branch_points.choose_branch_points(losses, 0.0) == {
    'low': 2,
    'high': 1,
  }


@pytest.mark.parametrize(
  ('tolerance', 'point'), [(0.0, 1), (0.05, 1), (0.11, 3), (0.4, 3)]
)
def test_tolerance_takes_the_deepest_within_it(tolerance, point):
  losses = {'high': [0.1, 0.4, 0.2]}
  assert branch_points.choose_branch_points(losses, tolerance) == {
    'high': point
  }


def test_equal_losses_branch_as_deep_as_they_can():
  assert branch_points.choose_branch_points({'low': [0.3, 0.3]}, 0.0) == {
    'low': 2
  }


def test_branch_losses_are_means_over_fresh_batches():
  student, source = tiny.student(), tiny.source()
  variables = tiny.variables_of(student)
  frozen = dual.BlockInputs(tiny.both_teachers(), source, variables)
  filters = {
    f'block_{b}': {
      name: x[f'group_{3 - b}'] for name, x in source.filters.items()
    }
    for b in (1, 2)
  }
  phase = branch_points.branch_phase(
    student,
    tiny.LABEL_MAP,
    branch_points.BranchPointInputs(frozen, filters),
    num_batches=2,
    batch_size=tiny.BATCH,
  )
  first, metrics = tiny.run(phase, steps=1)
  both, second_metrics = tiny.run(phase, steps=2)
  # Each batch is new, and the state is the sum of what was measured.
  assert metrics['l_d/block_1/one'] != second_metrics['l_d/block_1/one']
  losses = branch_points.branch_losses(both)
  assert set(losses) == {'one', 'two'}
  np.testing.assert_allclose(
    losses['one'][1],
    (metrics['l_d/block_2/one'] + second_metrics['l_d/block_2/one']) / 2,
    rtol=1e-6,
  )

  # Eq. 13 by hand, on the noise of step 0.
  key = jax.random.fold_in(first.key, 0)
  keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(tiny.BATCH))
  z = jax.vmap(
    lambda sample_key: jax.random.normal(sample_key, (tiny.LATENT_DIM,))
  )(keys)
  image = source.module.apply(source.variables, z, train=False)[-1]
  x = image
  for b in (1, 2):
    x = student.blocks[b - 1].apply(variables[b - 1], x, train=False)
    terms = dual.block_losses(
      b,
      x,
      image,
      {'filters': filters[f'block_{b}']},
      student,
      tiny.LABEL_MAP,
      frozen,
    )
    np.testing.assert_allclose(
      terms[0][0], metrics[f'l_d/block_{b}/one'], rtol=1e-4
    )
