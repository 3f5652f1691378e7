"""Checkpoints on disk: the only file that knows of Orbax."""

import errno
import pathlib
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from dualgan_jax.errors import TrainingError, UserError

# Two, so that one damaged checkpoint is not the end of a training.
_KEEP = 2
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Checkpoints:
  """The checkpoints of one phase, one folder per step.

  Arrays are saved unreplicated, so that any number of devices can go on from
  them.
  """

  def __init__(self, folder: pathlib.Path):
    """Opens the folder; makes it only when there is something to save."""
    self._folder = folder
    self._manager = None

  def steps(self) -> list[int]:
    """The steps that there are checkpoints of, in ascending order."""
    return sorted(self._open().all_steps()) if self._folder.exists() else []

  def save(self, step: int, state: Any, seconds: float) -> None:
    """Writes a checkpoint, whole or not at all.

    Args:
      step: its name.
      state: a pytree of NumPy arrays, all finite.
      seconds: training time so far.

    Raises:
      TrainingError: a value is not finite, or the disk does not take it; the
        checkpoints before stay as they are.
    """
    kept = self.steps()
    before = (
      f'the last good checkpoint is that of step {kept[-1]}'
      if kept
      else 'there is no checkpoint before it'
    )
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
      if not np.all(np.isfinite(leaf)):
        raise TrainingError(
          f'{self._folder}: {jax.tree_util.keystr(path)} is not finite at step '
          f'{step}; {before}. Lower the learning rate.'
        )
    try:
      self._open().save(
        step,
        args=ocp.args.Composite(
          state=ocp.args.StandardSave(state),
          progress=ocp.args.JsonSave({'seconds': seconds}),
        ),
      )
    # TensorStore wraps what the system says into a ValueError.
    except (OSError, ValueError) as e:
      full = getattr(e, 'errno', None) in _FULL or 'No space left' in str(e)
      cause = 'the disk is full' if full else str(e).splitlines()[0]
      raise TrainingError(
        f'{self._folder}: {cause}; step {step} is not saved, {before}. Make '
        'room and start the same command again.'
      ) from e

  def restore(self, step: int, abstract: Any) -> tuple[Any, float]:
    """Reads a checkpoint.

    Args:
      step: one of `steps()`.
      abstract: a tree of `jax.ShapeDtypeStruct`, the form of the state.

    Returns:
      The state as NumPy arrays, and its training time in seconds.

    Raises:
      UserError: the files are damaged, or hold something of another form.
    """
    as_numpy = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), abstract)
    try:
      found = self._open().restore(
        step,
        args=ocp.args.Composite(
          state=ocp.args.StandardRestore(as_numpy),
          progress=ocp.args.JsonRestore(),
        ),
      )
      forms = jax.tree.map(
        lambda x, y: (x.shape, x.dtype) == (y.shape, y.dtype),
        found['state'],
        abstract,
      )
    except (ValueError, KeyError, TypeError, OSError) as e:
      raise self._damaged(step) from e
    if not all(jax.tree.leaves(forms)):
      raise self._damaged(step)
    return found['state'], found['progress']['seconds']

  def close(self) -> None:
    """Waits for what is being written."""
    if self._manager is not None:
      self._manager.close()

  def _damaged(self, step):
    return UserError(
      f'{self._folder / str(step)}: this checkpoint is damaged or of another '
      'net; delete that folder, and the same command goes on from the one '
      'before.'
    )

  def _open(self):
    if self._manager is None:
      self._manager = ocp.CheckpointManager(
        self._folder.absolute(),
        options=ocp.CheckpointManagerOptions(
          max_to_keep=_KEEP, enable_async_checkpointing=False
        ),
      )
    return self._manager
