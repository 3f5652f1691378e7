"""Configs of ours run as they are written."""

import pytest

from dualgan_jax.experiment import batch_sizes
from tests.experiments.all_configs import checked_configs


@pytest.mark.parametrize('num_devices', [1, 2])
def test_devices_can_share_the_batches_of_every_config(num_devices):
  for config in checked_configs():
    num_parts = batch_sizes.equal_parts(
      config, num_devices, len(config.teachers)
    )
    config = batch_sizes.fill_in(config, num_parts)
    batch_sizes.check(config, num_parts, list(num_parts), num_devices)
