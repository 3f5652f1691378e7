"""Errors that stop a run, each with the exit code that the launcher gives it.

Every message is one sentence for the user: the thing and the cure.
"""

import errno

# Error numbers of the system for a full disk, and for a used-up quota.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


class UserError(ValueError):
  """A mistake that the user can correct.

  Wherever possible it is raised before any training. Where that is impossible,
  as for a damaged test image or checkpoint, everything trained is still there.
  """

  exit_code = 2


class TrainingError(RuntimeError):
  """A training that cannot go on; what was saved before stays good."""

  exit_code = 3


class PeerError(TrainingError):
  """Another process of the same run cannot go on, and reports why itself."""


class InterruptedRun(RuntimeError):
  """A run that a signal stopped once it was saved; the same command resumes."""

  # EX_TEMPFAIL of sysexits.h: schedulers may start the command again.
  exit_code = 75


def first_line(error: BaseException) -> str:
  """Returns the first line of a message; the error's type if it is empty."""
  return str(error).strip().partition('\n')[0] or type(error).__name__
