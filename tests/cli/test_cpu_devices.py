"""On a CPU, each core is a device of its own."""

import os
import subprocess
import sys

import pytest

from tests.paths import ROOT

_PROGRAM = """
import os, sys
import jax
from dualgan_jax.cli import cpu_devices
from dualgan_jax.presets import digits

os.sched_getaffinity = lambda pid: range(5)
if os.environ.get('STARTED'):
  jax.devices()
config = digits.get_config()
config.devices = int(sys.argv[2])
cpu_devices.use_cores(config, sys.argv[1])
print(len(jax.devices()))
"""


@pytest.mark.parametrize(
  ('environment', 'devices', 'expected'),
  [
    ({}, 0, 4),
    ({}, 3, 3),  # config.devices
    ({'JAX_NUM_CPU_DEVICES': '3'}, 0, 3),
    ({'XLA_FLAGS': '--xla_force_host_platform_device_count=2'}, 0, 2),
    ({'STARTED': '1'}, 0, 1),  # as by a config's file that makes arrays
  ],
)
def test_cores_are_devices(tmp_path, environment, devices, expected):
  inherited = {
    name: value
    for name, value in os.environ.items()
    if name != 'JAX_NUM_CPU_DEVICES'
  }
  done = subprocess.run(
    [sys.executable, '-c', _PROGRAM, tmp_path / 'run', str(devices)],
    env=inherited | environment,
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
  )
  assert done.stdout.strip() == str(expected), done.stderr
