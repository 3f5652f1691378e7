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
def test_a_notebook_shows_what_a_whole_run_printed_and_plotted(notebook):
  """`nox -s notebooks` stores it."""
  cells = [cell for cell in _cells(notebook) if cell['cell_type'] == 'code']
  order = [cell['execution_count'] for cell in cells]
  assert order == list(range(1, len(cells) + 1))
  outputs = [output for cell in cells for output in cell['outputs']]
  kinds = {output['output_type'] for output in outputs}
  assert kinds == {'stream', 'display_data'}, kinds
  assert any('image/png' in output.get('data', ()) for output in outputs)
  printed = ''.join(
    ''.join(output['text']) for output in outputs if 'text' in output
  )
  assert 'mean nothing' not in printed


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
