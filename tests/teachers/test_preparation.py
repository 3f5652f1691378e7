"""Images are prepared as a teacher expects them."""

import jax.numpy as jnp
import numpy as np
import pytest

from dualgan_jax.errors import UserError
from dualgan_jax.teachers.teacher import Preparation


def test_size_channels_and_scale_become_the_teachers():
  images = jnp.array([[[[0.0, 0.5, 1.0]], [[1.0, 1.0, 1.0]]]])  # [1, 2, 1, 3]
  grey = Preparation((2, 1, 1), mean=(0.5,), std=(0.25,))
  # 0.587 · 0.5 + 0.114 · 1 = 0.4075; white stays white.
  np.testing.assert_allclose(grey(images)[0, :, 0], [[-0.37], [2]], rtol=1e-5)
  colours = Preparation((2, 1, 3), mean=(0.0, 0.5, 1.0), std=(1.0, 2.0, 4.0))
  np.testing.assert_allclose(
    colours(images)[0, :, 0], [[0, 0, 0], [1, 0.25, 0]], atol=1e-6
  )
  # One channel becomes three alike; twice the size, bilinearly.
  wide = Preparation((4, 1, 3))(images[..., :1])
  np.testing.assert_allclose(
    wide[0, :, 0], np.repeat([[0], [0.25], [0.75], [1]], 3, axis=1)
  )


def test_arguments_of_version_0_1_are_taken_with_a_warning():
  with pytest.warns(DeprecationWarning, match='is now std'):
    former = Preparation((2, 1, 1), deviation=(0.25,))
  assert former == Preparation((2, 1, 1), std=(0.25,))


@pytest.mark.parametrize(
  'changes', [{'std': (0.0,)}, {'std': (-1.0,)}, {'mean': (float('nan'),)}]
)
def test_odd_statistics_are_refused(changes):
  with pytest.raises(UserError, match='give finite numbers, and a std above 0'):
    Preparation((2, 1, 1), **changes)
