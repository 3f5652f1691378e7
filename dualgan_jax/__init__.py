"""Data-free knowledge amalgamation with a group-stack dual GAN.

Names are imported when they are first used: a student can be loaded without
what trains one.
"""

import importlib
from typing import TYPE_CHECKING, Any

from dualgan_jax.version import __version__

if TYPE_CHECKING:
  from dualgan_jax.errors import InterruptedRun, TrainingError, UserError
  from dualgan_jax.experiment.amalgamation import amalgamate
  from dualgan_jax.experiment.run import dry_run, run
  from dualgan_jax.student.student import Student, load
  from dualgan_jax.student.student_teacher import load_teacher
  from dualgan_jax.teachers.preparation import Preparation
  from dualgan_jax.teachers.teacher import Teacher, prepared, single_label
  from dualgan_jax.teachers.tensor_names import name_tensor

_MODULES = {
  'InterruptedRun': 'errors',
  'Preparation': 'teachers.preparation',
  'Student': 'student.student',
  'Teacher': 'teachers.teacher',
  'TrainingError': 'errors',
  'UserError': 'errors',
  'amalgamate': 'experiment.amalgamation',
  'dry_run': 'experiment.run',
  'load': 'student.student',
  'load_teacher': 'student.student_teacher',
  'name_tensor': 'teachers.tensor_names',
  'prepared': 'teachers.teacher',
  'run': 'experiment.run',
  'single_label': 'teachers.teacher',
}

__all__ = [
  'InterruptedRun',
  'Preparation',
  'Student',
  'Teacher',
  'TrainingError',
  'UserError',
  '__version__',
  'amalgamate',
  'dry_run',
  'load',
  'load_teacher',
  'name_tensor',
  'prepared',
  'run',
  'single_label',
]


def __getattr__(name: str) -> Any:
  if name not in _MODULES:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  module = importlib.import_module(f'{__name__}.{_MODULES[name]}')
  # Python looks here first: it asks only once for each name.
  globals()[name] = getattr(module, name)
  return globals()[name]


def __dir__() -> list[str]:
  return sorted({*globals(), *__all__})
