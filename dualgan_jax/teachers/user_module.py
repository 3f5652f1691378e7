"""Teachers that a user's own Python file makes.

The file defines `get_teacher() -> Teacher`: any pure functions, cut into blocks
and a head, with their variables and labels (`experiments/flax_teacher.py` is an
example). It is the user's code and is executed, unlike weight files.
"""

import contextlib
import os
import pathlib
import runpy
import sys

from dualgan_jax.errors import UserError
from dualgan_jax.teachers import protocol
from dualgan_jax.teachers.teacher import Teacher

_FUNCTION = 'get_teacher'


def load(field: str, path: str) -> Teacher:
  """Executes a file and gives the teacher that it makes.

  Args:
    field: of the config, for the messages.
    path: of the Python file.

  Raises:
    UserError: there is no such file, it fails, or it makes something else.
  """
  file = pathlib.Path(os.path.expanduser(path)).absolute()
  if not file.is_file():
    raise UserError(f'{field}: there is no file {file}.')
  try:
    with _beside(file.parent):
      make = runpy.run_path(str(file)).get(_FUNCTION)
      made = make and make()
  except SystemExit as e:
    raise UserError(
      f'{field}: {path} ends the program; let it read no command line, and '
      'leave what trains the teacher out.'
    ) from e
  except Exception as e:  # whatever the user's code may raise
    raise UserError(f'{field}: {path} fails ({type(e).__name__}: {e}).') from e
  if make is None:
    raise UserError(
      f'{field}: {path} must define {_FUNCTION}(), which returns a '
      'dualgan_jax.Teacher.'
    )
  return protocol.normalized(field, made, f'what {_FUNCTION}() of {path} gives')


@contextlib.contextmanager
def _beside(folder):
  """Lets code import what lies in a folder, and other code something else."""
  before = set(sys.modules)
  sys.path.insert(0, str(folder))
  try:
    yield
  finally:
    sys.path.remove(str(folder))  # wherever it is now: the file may add its own
    new = set(sys.modules) - before
    # Another teacher's file may have a helper of the same name beside it.
    own = {x for x in new if '.' not in x and _lies_in(folder, sys.modules[x])}
    for name in new:
      if name.partition('.')[0] in own:
        del sys.modules[name]


def _lies_in(folder, module):
  """Whether a module, or a package, lies directly in a folder."""
  places = [*getattr(module, '__path__', ()), getattr(module, '__file__', None)]
  return any(x and pathlib.Path(x).parent == folder for x in places)
