"""The commit that code was checked out from."""

import shutil
import subprocess

import pytest

from dualgan_jax.experiment import versions


@pytest.mark.skipif(not shutil.which('git'), reason='needs git')
def test_the_commit_and_whether_there_are_changes(tmp_path):
  def git(*arguments):
    identity = ('-c', 'user.name=a', '-c', 'user.email=a@b')
    process = subprocess.run(
      ['git', *identity, *arguments],
      cwd=tmp_path,
      check=True,
      capture_output=True,
    )
    return process.stdout.decode().strip()

  (tmp_path / 'package').mkdir()
  file = tmp_path / 'package' / 'module.py'
  file.write_text('')
  assert versions.commit(file) == 'unknown'
  git('init')
  assert versions.commit(file) == 'unknown'  # installed into the repository
  git('add', '.')
  git('commit', '-m', 'Begin')
  assert versions.commit(file) == git('rev-parse', 'HEAD')
  (tmp_path / 'config.py').write_text('1')  # beside the package
  assert versions.commit(file) == git('rev-parse', 'HEAD') + ' and changes'
