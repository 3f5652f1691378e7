"""Lists the versions of all code that a run's results depend on."""

import importlib.metadata
import pathlib
import platform
import shlex
import subprocess
import sys

from dualgan_jax.version import __version__

_PACKAGES = ('jax', 'flax', 'optax', 'orbax-checkpoint')


def list_versions() -> dict[str, str]:
  """Lists the versions of Python, of packages and of this code.

  Returns:
    By name; 'unknown' for a version that cannot be found.
  """
  return {
    'python': platform.python_version(),
    'dualgan_jax': __version__,
    **{name: _version(name) for name in _PACKAGES},
    'commit': commit(pathlib.Path(__file__)),
  }


def find_command() -> str | None:
  """Finds the command that this process was started with.

  Returns:
    The command; None if it is not `dualgan train`, as in a sweep or where
    Python code starts the run.
  """
  program, *arguments = sys.argv
  is_ours = pathlib.Path(program).name in ('dualgan', '__main__.py')
  if not is_ours or arguments[:1] != ['train']:
    return None
  return shlex.join(['dualgan', *arguments])


def _version(distribution: str) -> str:
  """Returns the version of an installed package."""
  try:
    return importlib.metadata.version(distribution)
  # It may lie on the path without being installed.
  except importlib.metadata.PackageNotFoundError:
    return 'unknown'


def commit(file: pathlib.Path) -> str:
  """Returns the commit that a file was checked out from.

  Args:
    file: a file of a checkout.

  Returns:
    The commit's hash, with 'and changes' if files of the checkout have changed;
    'unknown' if the file is in no repository.
  """

  def git(*arguments):
    process = subprocess.run(
      ['git', *arguments], cwd=file.parent, check=True, capture_output=True
    )
    return process.stdout.decode().strip()

  try:
    # An installed file may lie in a folder of another project's repository.
    git('ls-files', '--error-unmatch', file.name)
    # Of the whole repository, as configs count, too.
    changed_files = git('status', '--porcelain', '--', ':/')
    return git('rev-parse', 'HEAD') + (' and changes' if changed_files else '')
  except (OSError, subprocess.CalledProcessError):
    return 'unknown'
