"""The versions that a run's results come from."""

import importlib.metadata
import pathlib
import platform
import subprocess

from dualgan_jax.version import __version__

_PACKAGES = ('jax', 'flax', 'optax', 'orbax-checkpoint')


def list_versions() -> dict[str, str]:
  """Lists the versions of Python, of packages and of this code."""
  return {
    'python': platform.python_version(),
    'dualgan_jax': __version__,
    **{name: _version(name) for name in _PACKAGES},
    'commit': commit(pathlib.Path(__file__)),
  }


def _version(distribution: str) -> str:
  try:
    return importlib.metadata.version(distribution)
  except importlib.metadata.PackageNotFoundError:
    return 'unknown'  # it lies on the path, and nobody has installed it


def commit(file: pathlib.Path) -> str:
  """Names the commit that a file was checked out from, as far as known."""

  def git(*args):
    done = subprocess.run(
      ['git', *args], cwd=file.parent, check=True, capture_output=True
    )
    return done.stdout.decode().strip()

  try:
    # Installed, it may lie in a folder of somebody else's repository.
    git('ls-files', '--error-unmatch', file.name)
    changed = git('status', '--porcelain', '--', ':/')  # configs, too
    return git('rev-parse', 'HEAD') + (' and changes' if changed else '')
  except (OSError, subprocess.CalledProcessError):
    return 'unknown'
