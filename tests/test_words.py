"""Names say what kind of thing they are."""

import ast

import pytest

from tests.paths import ROOT

# Participles and the like, which could be anything.
_VAGUE = {'own', 'told', 'asked', 'many', 'kept', 'said'}


def _bound_names(tree):
  for node in ast.walk(tree):
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
      yield node.id
    elif isinstance(node, ast.arg):
      yield node.arg
    elif isinstance(node, ast.FunctionDef | ast.ClassDef):
      yield node.name


def _names(folder):
  return [
    name
    for path in (ROOT / folder).rglob('*.py')
    for name in _bound_names(ast.parse(path.read_text(encoding='utf-8')))
  ]


@pytest.mark.parametrize('folder', ['dualgan_jax', 'experiments', 'tests'])
def test_no_name_is_vague(folder):
  assert not _VAGUE.intersection(_names(folder))


def test_names_are_noun_phrases():
  names = [name.strip('_') for name in _names('dualgan_jax')]
  assert sum(map(len, names)) / len(names) >= 6.5
  assert sum('_' in name for name in names) / len(names) >= 0.25


def test_docstrings_of_functions_begin_with_a_verb():
  for path in (ROOT / 'dualgan_jax').rglob('*.py'):
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
      docstring = isinstance(node, ast.FunctionDef) and ast.get_docstring(node)
      # A property is named, and described, as a value is.
      if docstring and not node.decorator_list:
        verb = docstring.split()[0].strip('.,:;')
        assert verb.endswith('s'), f'{path}: {node.name}: {docstring}'


def test_files_are_short():
  for path in (ROOT / 'dualgan_jax').rglob('*.py'):
    assert len(path.read_text(encoding='utf-8').splitlines()) <= 350, path


def test_functions_are_short():
  for path in (ROOT / 'dualgan_jax').rglob('*.py'):
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
      if isinstance(node, ast.FunctionDef):
        code = node.body[1 if ast.get_docstring(node) else 0 :]
        lines = code[-1].end_lineno - code[0].lineno + 1 if code else 0
        assert lines <= 60, f'{path}: {node.name}'
