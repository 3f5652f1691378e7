"""A linter has no complaint about the shell scripts."""

import pathlib
import subprocess
import sys

from tests.paths import ROOT


def test_the_linter_has_no_complaint():
  scripts = sorted((ROOT / 'experiments').glob('*.sh'))
  assert len(scripts) == 3
  shellcheck = pathlib.Path(sys.executable).with_name('shellcheck')
  process = subprocess.run(
    [shellcheck, '--external-sources', *scripts],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert process.returncode == 0, process.stdout
