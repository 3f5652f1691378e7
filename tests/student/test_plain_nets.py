"""The code in docs/student.md rebuilds every kind of net without us."""

import re
import subprocess
import sys

import numpy as np
import pytest

from dualgan_jax.student import student
from tests.paths import ROOT
from tests.student import nets

_NUM_IMAGES = 3
# Answers all folders, in a process in which the package cannot be imported.
_PROGRAM = """
import sys
sys.modules['dualgan_jax'] = None
import numpy as np
{code}
for name in sys.argv[1:]:
  images = np.load(f'{{name}}.npy')
  np.save(f'{{name}}_answers.npy', np.asarray(load_student(name)(images)))
"""


def _code(framework):
  """The block of code that follows a line such as 'In Flax:'."""
  page = (ROOT / 'docs' / 'student.md').read_text()
  return re.search(rf'\nIn {framework}:\n.*?```python\n(.*?)```', page, re.S)[1]


@pytest.mark.parametrize(
  'framework', ['Flax', pytest.param('PyTorch', marks=pytest.mark.torch)]
)
def test_the_code_answers_as_the_student(framework, tmp_path):
  for name in nets.NETS:
    nets.write(tmp_path / name, name)
    np.save(tmp_path / f'{name}.npy', nets.draw_images(name, _NUM_IMAGES))
  program = _PROGRAM.format(code=_code(framework))
  subprocess.run(
    [sys.executable, '-c', program, *nets.NETS], cwd=tmp_path, check=True
  )
  for name in nets.NETS:
    images = nets.draw_images(name, _NUM_IMAGES)
    np.testing.assert_allclose(
      np.load(tmp_path / f'{name}_answers.npy'),
      student.load(tmp_path / name).predict(images),
      atol=1e-5,
      err_msg=name,
    )
