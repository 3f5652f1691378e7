"""Data-free knowledge amalgamation with a group-stack dual GAN."""

from dualgan_jax.errors import InterruptedRun, TrainingError, UserError
from dualgan_jax.experiment import dry_run, run
from dualgan_jax.student import Student, load
from dualgan_jax.teachers import (
  Preparation,
  Teacher,
  prepared,
  single_label,
)

__all__ = [
  'InterruptedRun',
  'Preparation',
  'Student',
  'Teacher',
  'TrainingError',
  'UserError',
  'dry_run',
  'load',
  'prepared',
  'run',
  'single_label',
]
