"""Checkpoints on disk: the only file that knows of Orbax."""

import contextlib
import hashlib
import logging
import pathlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from dualgan_jax.errors import DISK_FULL, TrainingError, UserError, first_line
from dualgan_jax.training import console, parallel

# Two, so that one damaged checkpoint is not the end of a training.
_MAX_TO_KEEP = 2
# How long writes may go on that were under way when another one failed.
_WRITE_GRACE_SECONDS = 0.1


class DamagedCheckpoint(UserError):
  """A checkpoint that does not restore the state that was saved.

  Attributes:
    problem: the checkpoint's path and the damage, without the cure.
  """

  def __init__(self, path: pathlib.Path, damage: str):
    """Makes the message.

    Args:
      path: the checkpoint's folder.
      damage: how the damage shows.
    """
    self.problem = (
      f'{path}: this checkpoint is damaged or of another net ({damage})'
    )
    super().__init__(
      f'{self.problem}; delete {path.parent} to train that part again.'
    )


class Checkpoints:
  """The checkpoints of one phase, one folder per step.

  Arrays are saved unreplicated, so that a phase can resume on any number of
  devices.
  """

  def __init__(
    self,
    phase_folder: pathlib.Path,
    check_place: Callable[[], None] = lambda: None,
  ):
    """Opens the folder; makes it only when there is something to save.

    Args:
      phase_folder: holds a folder per step.
      check_place: called before each save; raises if the folder is not where it
        was, since saving would make it anew.
    """
    self._phase_folder = phase_folder
    self._check_place = check_place
    self._orbax_manager = None

  def steps(self) -> list[int]:
    """Lists the steps that have a checkpoint, in ascending order."""
    if not self._phase_folder.exists():
      return []
    return sorted(self._manager().all_steps())

  def save(self, step: int, state: Any, seconds: float) -> None:
    """Writes a checkpoint, whole or not at all.

    Args:
      step: number of steps done, which names the checkpoint.
      state: a pytree of NumPy arrays, all finite.
      seconds: training time so far.

    Raises:
      TrainingError: a value is not finite, or the disk does not take it; the
        checkpoints before stay as they are.
    """
    self._check_place()
    saved_steps = self.steps()
    fallback = (
      f'the last good checkpoint is that of step {saved_steps[-1]}'
      if saved_steps
      else 'there is no checkpoint before it'
    )
    # A checkpoint with NaN would replace one that can still be resumed from.
    for leaf_path, leaf in jax.tree_util.tree_leaves_with_path(state):
      if not np.all(np.isfinite(leaf)):
        raise TrainingError(
          f'{self._phase_folder}: {jax.tree_util.keystr(leaf_path)} is not '
          f'finite at step {step}; {fallback}. Lower the learning rate.'
        )
    progress = {'seconds': seconds, 'sha256': _digests(state, seconds)}
    try:
      with _silence_orbax():
        self._manager().save(
          step,
          args=ocp.args.Composite(
            state=ocp.args.StandardSave(state),
            progress=ocp.args.JsonSave(progress),
          ),
        )
    # TensorStore wraps the system's error into a ValueError.
    except (OSError, ValueError) as error:
      error_number = getattr(error, 'errno', None)
      is_disk_full = error_number in DISK_FULL or 'No space left' in str(error)
      cause = 'the disk is full' if is_disk_full else first_line(error)
      raise TrainingError(
        f'{self._phase_folder}: {cause}; step {step} is not saved, {fallback}. '
        'Make room and start the same command again.'
      ) from error

  def restore(self, step: int, abstract_state: Any) -> tuple[Any, float]:
    """Reads a checkpoint.

    Args:
      step: an entry of `steps()`.
      abstract_state: a tree of `jax.ShapeDtypeStruct`, the form of the state.

    Returns:
      The state as NumPy arrays, and its training time in seconds.

    Raises:
      DamagedCheckpoint: its files are damaged, or hold a state of another form.
    """
    checkpoint_path = self._phase_folder / str(step)
    template = jax.tree.map(
      lambda leaf: np.empty(leaf.shape, leaf.dtype), abstract_state
    )
    try:
      with _silence_orbax():
        restored = self._manager().restore(
          step,
          args=ocp.args.Composite(
            state=ocp.args.StandardRestore(template),
            progress=ocp.args.JsonRestore(),
          ),
        )
      state, progress = restored['state'], restored['progress']
      seconds, saved_digests = progress['seconds'], progress['sha256']
      # Orbax restores another shape, or a flipped bit, without a word.
      has_same_form = jax.tree.map(
        lambda leaf, abstract_leaf: (
          (leaf.shape, leaf.dtype) == (abstract_leaf.shape, abstract_leaf.dtype)
        ),
        state,
        abstract_state,
      )
      digests = _digests(state, seconds)
    except MemoryError:
      raise  # it is no sign of damaged files
    # Damaged metadata makes Orbax fail with any exception.
    except Exception as error:
      raise DamagedCheckpoint(
        checkpoint_path, 'its files cannot be read'
      ) from error
    if not all(jax.tree.leaves(has_same_form)):
      raise DamagedCheckpoint(checkpoint_path, 'its arrays have other shapes')
    if changed := sorted(
      name for name in digests if digests[name] != saved_digests.get(name)
    ):
      raise DamagedCheckpoint(
        checkpoint_path, f'{changed[0]} is not what was saved'
      )
    return state, seconds

  def restore_newest(
    self, make_abstract_state: Callable[[], Any]
  ) -> tuple[int, Any, float]:
    """Reads the newest checkpoint that is not damaged.

    Damaged ones after it are set aside, so that nothing overwrites them.

    Args:
      make_abstract_state: makes the `abstract_state` of `restore`; called only
        if there is a checkpoint.

    Returns:
      Its step, state and seconds; (0, None, 0.0) if there are no checkpoints.

    Raises:
      UserError: there are checkpoints, and all of them are damaged.
    """
    # From the newest; the first that every process can read is taken.
    damaged_steps = {}
    for step in reversed(self.steps()):
      damage = None
      try:
        state, seconds = self.restore(step, make_abstract_state())
      except DamagedCheckpoint as error:
        damage = error
      if parallel.any_process(damage is not None):
        damaged_steps[step] = damage or DamagedCheckpoint(
          self._phase_folder / str(step), 'another process cannot read it'
        )
        continue
      for damaged_step, damage in damaged_steps.items():
        new_path = self._set_aside(damaged_step)
        console.say(
          f'{damage.problem}; going on from step {step}, it is now {new_path}'
        )
      return step, state, seconds
    for damage in damaged_steps.values():
      raise damage
    return 0, None, 0.0

  def close(self) -> None:
    """Waits for writes under way, and closes the folder."""
    if self._orbax_manager is not None:
      self._orbax_manager.close()

  def _set_aside(self, step: int) -> pathlib.Path:
    """Moves a step's checkpoint out of the phase's folder, beside it."""
    new_path = self._phase_folder.with_name(
      f'{self._phase_folder.name}.damaged-{step}'
    )
    while new_path.exists():
      new_path = new_path.with_name(f'{new_path.name}-again')
    # Between the two barriers no process reads the folder.
    parallel.wait_for_all('damaged')
    if parallel.is_first():
      (self._phase_folder / str(step)).rename(new_path)
    parallel.wait_for_all('set aside')
    self._manager().reload()
    return new_path

  def _manager(self) -> ocp.CheckpointManager:
    """Gives Orbax's manager; making one makes the folder, too."""
    if self._orbax_manager is None:
      self._orbax_manager = ocp.CheckpointManager(
        self._phase_folder.absolute(),
        options=ocp.CheckpointManagerOptions(
          max_to_keep=_MAX_TO_KEEP, enable_async_checkpointing=False
        ),
      )
    return self._orbax_manager


def _is_no_late_complaint(record: logging.LogRecord) -> bool:
  """Returns whether a log record is not of a task that failed unobserved."""
  return 'exception was never retrieved' not in record.getMessage()


@contextlib.contextmanager
def _silence_orbax() -> Iterator[None]:
  """Keeps Orbax from printing the errors that it raises as well.

  Its threads log whole tracebacks, and TensorStore prints one for each write
  that ends after another has failed; users get one sentence instead.
  """
  log_level, hook = logging.root.manager.disable, sys.unraisablehook
  logging.disable(logging.CRITICAL)
  sys.unraisablehook = lambda *_: None
  try:
    yield
  except BaseException:
    time.sleep(_WRITE_GRACE_SECONDS)
    # Tasks that failed as well complain when the error that holds them goes.
    logging.getLogger('asyncio').addFilter(_is_no_late_complaint)
    raise
  finally:
    sys.unraisablehook = hook
    logging.disable(log_level)


def _digests(state: Any, seconds: float) -> dict[str, str]:
  """Computes the SHA-256 of every leaf of a checkpoint, by its path.

  Of the numbers, not of the files: so the digests are written together with
  them, and any change between saving and restoring shows.
  """
  # By path, so that a message can name the leaf that has changed.
  checkpoint_tree = {'state': state, 'seconds': seconds}
  return {
    jax.tree_util.keystr(leaf_path, simple=True, separator='/'): _digest(leaf)
    for leaf_path, leaf in jax.tree_util.tree_leaves_with_path(
      jax.tree.map(np.asarray, checkpoint_tree)
    )
  }


def _digest(leaf: np.ndarray) -> str:
  """Computes the SHA-256 of an array with its type and shape."""
  digest = hashlib.sha256(f'{leaf.dtype} {leaf.shape}'.encode())
  # A view: copies of large leaves took three times as long as the sum.
  digest.update(np.ascontiguousarray(leaf).reshape(-1).view(np.uint8))
  return digest.hexdigest()
