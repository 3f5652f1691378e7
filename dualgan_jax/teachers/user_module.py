"""Teachers that a user's Python file makes.

The file defines `get_teacher() -> Teacher`: any pure functions, cut into blocks
and a head, with their variables and labels (`experiments/flax_teacher.py` is an
example). It is the user's code and is executed, unlike weight files.
"""

import contextlib
import os
import pathlib
import runpy
import sys
import types
from collections.abc import Iterator

from dualgan_jax.errors import UserError
from dualgan_jax.teachers import protocol
from dualgan_jax.teachers.teacher import Teacher

_FUNCTION = 'get_teacher'


def load(field: str, path: str) -> Teacher:
  """Executes a file and returns the teacher that it makes.

  Args:
    field: of the config, for the messages.
    path: of the Python file.

  Raises:
    UserError: there is no such file, it fails, or it makes no teacher.
  """
  file_path = pathlib.Path(os.path.expanduser(path)).absolute()
  if not file_path.is_file():
    raise UserError(f'{field}: there is no file {file_path}.')
  # Both the file and its function may import what lies beside it.
  try:
    with _neighbours_importable(file_path.parent):
      get_teacher = runpy.run_path(str(file_path)).get(_FUNCTION)
      teacher = get_teacher and get_teacher()
  except SystemExit as error:
    raise UserError(
      f'{field}: {path} ends the program; let it read no command line, and '
      'leave what trains the teacher out.'
    ) from error
  except Exception as error:  # whatever the user's code may raise
    raise UserError(
      f'{field}: {path} fails ({type(error).__name__}: {error}).'
    ) from error
  if get_teacher is None:
    raise UserError(
      f'{field}: {path} must define {_FUNCTION}(), which returns a '
      'dualgan_jax.Teacher.'
    )
  return protocol.normalize_teacher(
    field, teacher, f'what {_FUNCTION}() of {path} gives'
  )


@contextlib.contextmanager
def _neighbours_importable(folder: pathlib.Path) -> Iterator[None]:
  """Lets a user's file import its neighbours, and unloads them afterwards.

  Two teachers' files in different folders may each have a `utils.py`.
  """
  modules_before = set(sys.modules)
  sys.path.insert(0, str(folder))
  try:
    yield
  finally:
    sys.path.remove(str(folder))  # wherever it is now: the file may add its own
    new_modules = set(sys.modules) - modules_before
    # Installed packages stay loaded: some cannot be imported twice.
    neighbours = {
      name
      for name in new_modules
      if '.' not in name and _lies_in(folder, sys.modules[name])
    }
    for name in new_modules:
      if name.partition('.')[0] in neighbours:
        del sys.modules[name]


def _lies_in(folder: pathlib.Path, module: types.ModuleType) -> bool:
  """Returns whether a module, or a package, lies directly in a folder."""
  paths = [*getattr(module, '__path__', ()), getattr(module, '__file__', None)]
  return any(path and pathlib.Path(path).parent == folder for path in paths)
