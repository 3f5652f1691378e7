"""Data-free by construction: who imports what."""

import ast
import pathlib

import pytest

_PACKAGE = pathlib.Path(__file__).parents[1] / 'dualgan_jax'


def _imports(path, *, lazy=True):
  """Names that a module imports; without those inside functions if not lazy.

  What is imported for type annotations only is never run, and left out.
  """
  waiting, names = list(ast.parse(path.read_text()).body), set()
  while waiting:
    node = waiting.pop()
    if isinstance(node, ast.If) and 'TYPE_CHECKING' in ast.unparse(node.test):
      continue
    if isinstance(node, ast.Import):
      names |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      names |= {f'{node.module}.{alias.name}' for alias in node.names}
    if lazy or not isinstance(node, ast.FunctionDef):
      waiting.extend(ast.iter_child_nodes(node))
  return names


def _reaching(module):
  """Files that import a module, or something from it."""
  return {
    path.name
    for path in _PACKAGE.rglob('*.py')
    if any(f'{name}.'.startswith(f'{module}.') for name in _imports(path))
  }


def test_only_the_pipeline_reaches_data_and_only_when_a_stage_asks():
  assert _reaching('dualgan_jax.real') == {'pipeline.py', 'results.py'}
  assert _reaching('dualgan_jax.results') == {'experiment.py', 'pipeline.py'}
  assert _reaching('dualgan_jax.data') == {'real.py'}
  at_import = _imports(_PACKAGE / 'real.py', lazy=False)
  assert not any(name.startswith('dualgan_jax.data') for name in at_import)


def test_only_data_reads_data_sets():
  for module in ('sklearn.datasets', 'overlay', 'voc', 'image_folder', 'hub'):
    name = module if '.' in module else f'dualgan_jax.{module}'
    assert _reaching(name) == {'data.py'}, name
  assert _reaching('datasets') == {'hub.py', 'label_columns.py'}
  assert _reaching('dualgan_jax.label_columns') == {'hub.py'}


def test_losses_import_nothing_of_ours():
  ours = [x for x in _imports(_PACKAGE / 'losses.py') if 'dualgan_jax' in x]
  assert ours == []


@pytest.mark.parametrize('room', ['networks', 'stages'])
def test_rooms_below_know_of_no_config_and_no_disk(room):
  for path in (_PACKAGE / room).glob('*.py'):
    names = ' '.join(_imports(path))
    for other in ('ml_collections', 'orbax', 'pathlib', 'checkpoint', 'absl'):
      assert other not in names, path


def test_only_one_file_knows_of_pmap_and_one_of_orbax():
  for word, owner in (('pmap', 'parallel.py'), ('orbax', 'checkpoint.py')):
    users = {
      path.name
      for path in _PACKAGE.rglob('*.py')
      if any(
        isinstance(node, ast.Attribute) and node.attr == word
        for node in ast.walk(ast.parse(path.read_text()))
      )
      or any(x.startswith(word) for x in _imports(path))
    }
    assert users == {owner}
