"""Makes a teacher of a student's folder: what was learned is taught again."""

import dataclasses
import hashlib
import json
import os
import pathlib

from dualgan_jax.display import printable
from dualgan_jax.errors import UserError
from dualgan_jax.student import student_folder, student_net
from dualgan_jax.student.student_folder import PROGRAM
from dualgan_jax.teachers.preparation import Preparation
from dualgan_jax.teachers.teacher import Teacher, from_classifier, prepared


def load_teacher(
  folder: str | os.PathLike[str], name: str = 'teacher'
) -> Teacher:
  """Makes a teacher of the compact student in a folder.

  Args:
    folder: `DIR/student` of a run, or a copy of it.
    name: of the teacher.

  Returns:
    A teacher of the student's blocks and labels, which takes images of any
    size. If the student's labels exclude one another, so do the teacher's.

  Raises:
    UserError: it is no such folder, it is damaged, or it is a branched net,
      whose program cannot be cut into blocks.
  """
  folder = pathlib.Path(os.path.expanduser(folder))
  config, tensors = student_folder.read(folder)
  if PROGRAM in tensors:
    raise UserError(
      f'{printable(folder)}: a branched net, whose program cannot be cut into '
      'the blocks of a teacher; give the folder `student` beside it.'
    )
  net, variables = student_net.read(folder, config, tensors)
  image_shape = tuple(config['image'])
  teacher = from_classifier(name, tuple(config['labels']), net, variables)
  teacher = dataclasses.replace(teacher, image_shape=image_shape)
  return prepared(teacher, Preparation(image_shape))


def digest(folder: str | os.PathLike[str]) -> str:
  """Computes the SHA-256 sum of a student's config and variables.

  Args:
    folder: as `load_teacher` takes it.

  Returns:
    Hexadecimal digits.
  """
  folder = pathlib.Path(os.path.expanduser(folder))
  config = json.loads((folder / student_folder.CONFIG).read_bytes())
  # An export that is added later changes the config's digests, not the teacher.
  config.pop('sha256', None)
  config_bytes = json.dumps(config, sort_keys=True).encode()
  model_bytes = (folder / student_folder.MODEL).read_bytes()
  return hashlib.sha256(config_bytes + model_bytes).hexdigest()
