"""Sums by which a run knows the teachers that a user's own code makes."""

import hashlib
import os
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dualgan_jax.teachers.protocol import blamed
from dualgan_jax.teachers.teacher import Teacher

_ROWS = 2  # images that the functions are lowered for
# A run may go on where there is another kind of device.
_PLATFORM = 'cpu'


def of_file(field: str, path: str, teacher: Teacher) -> str:
  """Sums up a Python file and the variables that it made.

  Args:
    field: of the config, for the messages.
    path: of the file.
    teacher: that it made.

  Returns:
    SHA-256, as hexadecimal digits.

  Raises:
    UserError: some of the variables are no arrays.
  """
  found = hashlib.sha256(pathlib.Path(os.path.expanduser(path)).read_bytes())
  _add_variables(found, field, teacher)
  return found.hexdigest()


def of_functions(
  field: str, teacher: Teacher, image_shape: tuple[int, int, int]
) -> str:
  """Sums up a teacher in memory: what its functions compute, and variables.

  Functions count by the program (StableHLO) that this version of JAX makes of
  them, not by their text.

  Args:
    field: of the config, for the messages.
    teacher: checked (`protocol.check`).
    image_shape: (height, width, channels) that it is shown.

  Returns:
    SHA-256, as hexadecimal digits.

  Raises:
    UserError: some of the variables are no arrays.
  """
  described = (teacher.labels, teacher.single_label)
  found = hashlib.sha256(repr(described).encode())
  _add_variables(found, field, teacher)
  x = jax.ShapeDtypeStruct((_ROWS, *image_shape), jnp.float32)
  functions = (*teacher.blocks, teacher.head)
  for function, variables in zip(functions, teacher.variables, strict=True):
    # Its name would be part of the program.
    def part(variables, x, function=function):
      return function(variables, x)

    lowered = jax.jit(part).trace(variables, x)
    program = lowered.lower(lowering_platforms=(_PLATFORM,)).as_text()
    found.update(program.encode())
    x = jax.eval_shape(part, variables, x)
  return found.hexdigest()


def _add_variables(found: Any, field: str, teacher: Teacher) -> None:
  for place, leaf in jax.tree_util.tree_leaves_with_path(teacher.variables):
    where = jax.tree_util.keystr(place)
    with blamed(f'{field}: variables{where} is no array'):
      array = np.ascontiguousarray(jnp.asarray(leaf))
    found.update(where.encode())
    found.update(array.tobytes())
