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


def _code(notebook):
  return '\n'.join(
    ''.join(cell['source'])
    for cell in _cells(notebook)
    if cell['cell_type'] == 'code'
  )


def _mark(notebook):
  """Runs a notebook where what it needs is installed."""
  needs_torch = 'import torch' in _code(notebook)
  return pytest.mark.torch if needs_torch else pytest.mark.slow


@pytest.mark.parametrize('notebook', _NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_what_it_printed(notebook):
  cells = [cell for cell in _cells(notebook) if cell['cell_type'] == 'code']
  assert cells
  assert not any(cell['outputs'] for cell in cells)


@pytest.mark.parametrize(
  'notebook',
  [pytest.param(path, marks=_mark(path), id=path.stem) for path in _NOTEBOOKS],
)
def test_a_notebook_runs(notebook, tmp_path):
  program = tmp_path / 'program.py'
  program.write_text(_code(notebook))
  done = subprocess.run(
    [sys.executable, program.name],
    cwd=tmp_path,
    env={**os.environ, 'NOTEBOOK_TEST': '1', 'MPLBACKEND': 'agg'},
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
