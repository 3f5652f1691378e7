"""The package's public names are imported when they are first used."""

import subprocess
import sys

import pytest

import dualgan_jax


@pytest.mark.parametrize('name', dualgan_jax.__all__)
def test_each_name_is_there(name):
  assert getattr(dualgan_jax, name) is not None
  assert name in dir(dualgan_jax)


def test_another_name_is_an_attribute_error():
  with pytest.raises(AttributeError, match="'dualgan_jax' has no .*'rum'"):
    dualgan_jax.rum  # noqa: B018


def test_importing_the_package_imports_its_version_only():
  program = (
    'import sys, dualgan_jax; '
    'print([x for x in sys.modules if x.startswith("dualgan_jax.")], '
    '"jax" in sys.modules)'
  )
  done = subprocess.run(
    [sys.executable, '-c', program], capture_output=True, text=True, check=True
  )
  assert done.stdout == "['dualgan_jax.version'] False\n"
