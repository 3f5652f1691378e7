"""README is short, its code runs, and its figures are those of the code."""

import re
import subprocess
import sys

import PIL.Image
import pytest

from experiments import figures
from tests.paths import ROOT

_README = (ROOT / 'README.md').read_text(encoding='utf-8')


def test_readme_is_one_that_people_read():
  prose = re.sub(
    r'```.*?```|<!--.*?-->|\]\(.*?\)', '', _README, flags=re.DOTALL
  )
  assert len(re.findall(r'\w[\w.’±-]*', prose)) <= 700


@pytest.mark.parametrize('name', sorted(figures.draw_all()))
def test_a_figure_is_the_one_that_the_code_draws(name):
  figure = (figures.FOLDER / name).read_text(encoding='utf-8')
  assert figure == figures.draw_all()[name], (
    'python -m experiments.figures draws all of them'
  )


# What readers have: trained models; and what they lack: no time.
_READERS_CODE = """
import functools

import dualgan_jax
import flax.linen as nn
import jax
import numpy as np


class Net(nn.Module):
  @nn.compact
  def __call__(self, x, train=True):
    for _ in range(2):
      x = nn.Conv(8, (3, 3), strides=4)(x)
      x = nn.relu(nn.BatchNorm(use_running_average=not train)(x))
    return nn.Dense(2)(x.mean(axis=(1, 2)))


pets_model = farm_model = Net()
pets_variables = farm_variables = pets_model.init(
  jax.random.key(0), np.zeros((1, 32, 32, 3)), train=False
)
fields = ('generator.probe', 'targetnet.compact', 'targetnet.branched')
steps = {f'{name}_steps': 1 for name in (*fields, 'refine.branched')}
steps |= {f'{name}.steps': 1 for name in ('generator', 'dual', 'refine')}
dualgan_jax.amalgamate = functools.partial(dualgan_jax.amalgamate, **steps)
"""


@pytest.mark.slow
def test_its_python_runs(tmp_path):
  block = re.search(r'```python\n(.*?)```', _README, re.DOTALL)[1]
  PIL.Image.new('RGB', (32, 32)).save(tmp_path / 'photo.png')
  program = tmp_path / 'program.py'
  program.write_text(_READERS_CODE + block)
  done = subprocess.run(
    [sys.executable, program.name], cwd=tmp_path, capture_output=True, text=True
  )
  assert done.returncode == 0, done.stderr
  assert "('cat', 'dog', 'cow', 'hen')" in done.stdout


def test_its_citations_are_those_of_the_citation_file():
  citation = (ROOT / 'CITATION.cff').read_text(encoding='utf-8')
  for name in ('title', 'url', 'version'):
    for value in re.findall(rf'^ *-? *{name}: (.+)$', citation, re.MULTILINE):
      assert f'{{{value}}}' in _README, value
  for family in re.findall(r'family-names: (.+)', citation):
    assert f'{family}, ' in _README


def test_the_site_has_every_page():
  settings = (ROOT / 'mkdocs.yml').read_text(encoding='utf-8')
  pages = {path.name for path in (ROOT / 'docs').glob('*.md')}
  linked = set(re.findall(r': ([\w/]+\.md)$', settings, re.MULTILINE))
  assert pages <= linked
