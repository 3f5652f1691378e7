"""Mean and standard deviation as tables show them."""

from dualgan_jax.reporting.spread import mean_and_std


def test_mean_and_std_by_hand():
  # The sample's: ((1 + 0 + 1) / 2)^(1/2).
  assert mean_and_std([1, 2, 3]) == '2.0000 ± 1.0000'
  assert mean_and_std([0.98765], digits=3) == '0.988'
  assert mean_and_std([None, None]) == '–'
