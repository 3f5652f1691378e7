"""What README, docs/ and notes say is so: commands run, links lead somewhere.

A block marked `bash` is run as it stands, in one folder for all pages, by one
rule: every experiment becomes `digits.py:smoke`. All blocks of a page that are
marked `python` are one program. A comment before a block that begins with `not
run:` or `command:` says why it isn't, or that .ci/run does it. Other languages
are not run: they need what no environment of the tests has, npm or IREE. A
service that needs an account is a module that takes any call.
"""

import os
import pathlib
import pkgutil
import re
import subprocess
import sys
import types
from unittest import mock

import numpy as np
import pytest

from tests.paths import ROOT

_PAGES = [
  ROOT / 'README.md',
  *sorted((ROOT / 'docs').glob('*.md')),
  *sorted((ROOT / 'experiments' / 'notes').glob('*.md')),
]
_SERVICES = ('wandb', 'mlflow')


def _blocks(page, language):
  """The blocks of a page that are run."""
  block = rf'(?:<!-- ([^\n]+) -->\n)?```{language}\n(.*?)```'
  return [
    text
    for comment, text in re.findall(block, page.read_text(), re.DOTALL)
    if not comment.startswith(('not run: ', 'command: '))
  ]


def _commands(page):
  return [
    re.sub(r'--config=digits\b(?!:)', '--config=digits:smoke', block)
    for block in _blocks(page, 'bash')
  ]


def _checkout(place):
  """Makes a folder from which programs find what a checkout has."""
  for name in ('experiments', 'tests'):
    (place / name).symlink_to(ROOT / name)
  return place


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  return _checkout(tmp_path_factory.mktemp('docs'))


@pytest.mark.slow
@pytest.mark.parametrize(
  'page', [p for p in _PAGES if _commands(p)], ids=lambda p: p.stem
)
def test_the_commands_of_a_page_run(page, folder):
  path = f'{pathlib.Path(sys.executable).parent}:{os.environ["PATH"]}'
  for block in _commands(page):
    done = subprocess.run(
      ['bash', '-euo', 'pipefail', '-c', block],
      cwd=folder,
      env={**os.environ, 'PATH': path},
      capture_output=True,
      text=True,
    )
    assert done.returncode == 0, f'{block}\n{done.stderr}'
    assert 'Traceback' not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
  'page', [p for p in _PAGES if _blocks(p, 'python')], ids=lambda p: p.stem
)
def test_the_python_of_a_page_runs(page, tmp_path):
  program = _checkout(tmp_path) / 'page.py'
  program.write_text('\n'.join(_blocks(page, 'python')))
  for service in _SERVICES:
    (tmp_path / f'{service}.py').write_text(
      'from unittest import mock\n\n\n'
      'def __getattr__(name):\n  return mock.MagicMock()\n'
    )
  done = subprocess.run(
    [sys.executable, program.name], cwd=tmp_path, capture_output=True, text=True
  )
  assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('service', _SERVICES)
def test_metrics_reach_a_service_as_the_docs_have_it(service, monkeypatch):
  (block,) = [
    block
    for block in _blocks(ROOT / 'docs' / 'api.md', 'python')
    if block.startswith(f'import {service}\n')
  ]
  # The service's module takes any call, and remembers it.
  fake_service = mock.MagicMock()
  monkeypatch.setitem(sys.modules, service, fake_service)
  row = {'loss': 0.5, 'firing_rate': np.zeros(2)}
  fake_package = types.SimpleNamespace(
    run=lambda config, workdir, teachers, on_metrics: on_metrics(
      'refine', 20, row
    )
  )
  config = mock.MagicMock()
  exec(block, {'dualgan_jax': fake_package, 'config': config, 'teachers': []})
  if service == 'wandb':
    wandb_run = fake_service.init.return_value.__enter__.return_value
    (logged_row,) = wandb_run.log.call_args.args
    assert logged_row['refine/loss'] == 0.5
    assert logged_row['refine/step'] == 20
  else:
    fake_service.log_metrics.assert_called_once_with(
      {'refine/loss': 0.5}, step=20
    )


def test_there_are_blocks_that_run():
  assert len(_commands(ROOT / 'docs' / 'quickstart.md')) == 5
  assert len(_blocks(ROOT / 'docs' / 'api.md', 'python')) == 7


def test_docs_say_why_other_languages_are_not_run():
  for page in (ROOT / 'docs').glob('*.md'):
    # The first line of a block has a language; the last one has none.
    for line, start in re.findall(
      r'^(.*)\n(```\w+)$', page.read_text(), re.MULTILINE
    ):
      is_run = start in ('```bash', '```python')
      assert is_run or line.startswith('<!-- not run: '), (page, start)


@pytest.mark.parametrize('page', _PAGES, ids=lambda p: p.stem)
def test_links_lead_somewhere(page):
  for link in re.findall(r'\]\(([^)\s]+)\)', page.read_text()):
    file, _, anchor = link.partition('#')
    if '://' in link:
      continue
    target = page.parent / file if file else page
    assert target.exists(), link
    assert not anchor or anchor in _anchors(target), link


def _anchors(page):
  headings = re.findall(r'^#+ (.+)$', page.read_text(), re.MULTILINE)
  return [re.sub(r'[^\w -]', '', x).lower().replace(' ', '-') for x in headings]


def test_all_of_the_papers_equations_are_listed():
  listed = {
    x for row in _EQUATIONS for x in re.findall(r'\d+', row.split('|')[1])
  }
  # Eq. 3 has no function of its own.
  assert listed >= {str(i) for i in (2, *range(4, 17))}


def _row(line):
  return [re.findall(r'`([\w./]+)`', cell) for cell in line.split('|')[2:4]]


# Behind the table's head and its rule.
_EQUATIONS = [
  line
  for line in (ROOT / 'docs' / 'equations.md').read_text().splitlines()
  if line.startswith('| ')
][1:]


@pytest.mark.parametrize('line', _EQUATIONS)
def test_equations_are_where_they_are_said_to_be(line):
  names, tests = _row(line)
  assert names
  assert tests
  module = ''
  for name in names:
    # A bare name is of the module before it.
    owner, _, attribute = name.rpartition('.')
    module = owner or module
    # It raises where there is no such module or attribute.
    pkgutil.resolve_name(f'dualgan_jax.{module}.{attribute}')
  for test in tests:
    assert (ROOT / 'tests' / test).exists(), test
