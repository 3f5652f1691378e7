"""The notebooks run from their first cell to their last one."""

import json
import os
import subprocess
import sys

import pytest

from tests.paths import ROOT

_NOTEBOOKS = sorted((ROOT / 'docs' / 'notebooks').glob('*.ipynb'))


def _cells(notebook):
  return json.loads(notebook.read_text(encoding='utf-8'))['cells']


@pytest.mark.parametrize('notebook', _NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_what_it_printed(notebook):
  cells = [cell for cell in _cells(notebook) if cell['cell_type'] == 'code']
  assert cells
  assert not any(cell['outputs'] for cell in cells)


@pytest.mark.slow
@pytest.mark.parametrize('notebook', _NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(notebook, tmp_path):
  program = tmp_path / 'program.py'
  program.write_text(
    '\n'.join(
      ''.join(cell['source'])
      for cell in _cells(notebook)
      if cell['cell_type'] == 'code'
    )
  )
  done = subprocess.run(
    [sys.executable, program.name],
    cwd=tmp_path,
    env={**os.environ, 'NOTEBOOK_TEST': '1', 'MPLBACKEND': 'agg'},
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
