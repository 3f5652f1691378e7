"""Checksums by which a run recognises teachers of a user's own code."""

import hashlib
import os
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dualgan_jax.teachers.teacher import Teacher
from dualgan_jax.teachers.user_errors import user_errors

_NUM_IMAGES = 2  # images that the functions are lowered for
# A run may resume on another kind of device.
_PLATFORM = 'cpu'


def of_file(field: str, path: str, teacher: Teacher) -> str:
  """Computes the checksum of a Python file and of its teacher's variables.

  Args:
    field: of the config, for the messages.
    path: of the file.
    teacher: made by the file.

  Returns:
    SHA-256, as hexadecimal digits.

  Raises:
    UserError: some of the variables are no arrays.
  """
  checksum = hashlib.sha256(pathlib.Path(os.path.expanduser(path)).read_bytes())
  _add_variables(checksum, field, teacher)
  return checksum.hexdigest()


def of_functions(
  field: str, teacher: Teacher, image_shape: tuple[int, int, int]
) -> str:
  """Computes the checksum of a teacher in memory: its functions and variables.

  Functions count by the program (StableHLO) that this version of JAX makes of
  them, not by their text.

  Args:
    field: of the config, for the messages.
    teacher: checked (`protocol.check_teacher`).
    image_shape: (height, width, channels) of the images that it takes.

  Returns:
    SHA-256, as hexadecimal digits.

  Raises:
    UserError: some of the variables are no arrays.
  """
  answer_meaning = (teacher.labels, teacher.single_label)
  checksum = hashlib.sha256(repr(answer_meaning).encode())
  _add_variables(checksum, field, teacher)
  features = jax.ShapeDtypeStruct((_NUM_IMAGES, *image_shape), jnp.float32)
  functions = (*teacher.blocks, teacher.head)
  for function, variables in zip(functions, teacher.variables, strict=True):
    # The name of a user's function would be part of the program.
    def part(variables, x, function=function):
      return function(variables, x)

    lowered = jax.jit(part).trace(variables, features)
    program = lowered.lower(lowering_platforms=(_PLATFORM,)).as_text()
    checksum.update(program.encode())
    features = jax.eval_shape(part, variables, features)
  return checksum.hexdigest()


def _add_variables(checksum: Any, field: str, teacher: Teacher) -> None:
  """Adds the paths and values of a teacher's arrays to a checksum."""
  trees = (teacher.variables, teacher.statistics)
  for path, leaf in (
    path_and_leaf
    for tree in trees
    for path_and_leaf in jax.tree_util.tree_leaves_with_path(tree)
  ):
    variable_path = jax.tree_util.keystr(path)
    with user_errors(f'{field}: variables{variable_path} is no array'):
      array = np.ascontiguousarray(jnp.asarray(leaf))
    checksum.update(variable_path.encode())
    checksum.update(array.tobytes())
