"""What can stop a run, each with the exit code that the launcher gives it.

Every message is one sentence for the user: the thing and the cure.
"""

import errno

# What the system says when there is no room left.
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


class UserError(ValueError):
  """Something that the user can put right.

  It is found before any training wherever that can be; what is behind it, a
  damaged test image or checkpoint, leaves all that was trained as it is.
  """

  exit_code = 2


class TrainingError(RuntimeError):
  """A training that cannot go on; what was saved before stays good."""

  exit_code = 3


class PeerError(TrainingError):
  """Another process of the same run cannot go on, and says why itself."""


class InterruptedRun(RuntimeError):
  """Stopped by a signal, saved; the same command goes on."""

  exit_code = 75


def first_line(error: BaseException) -> str:
  """What an error of others says, in one line; its type if it says nothing."""
  return str(error).strip().partition('\n')[0] or type(error).__name__
