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
_KEEP = 2
# Seconds until writes have ended that were under way when another failed.
_LAST_WRITES = 0.1


class Damaged(UserError):
  """A checkpoint that does not give back what was saved.

  Attributes:
    what: which one, and what is wrong with it.
  """

  def __init__(self, path: pathlib.Path, why: str):
    """Makes the message.

    Args:
      path: the checkpoint's folder.
      why: what was seen.
    """
    self.what = f'{path}: this checkpoint is damaged or of another net ({why})'
    super().__init__(
      f'{self.what}; delete {path.parent} to train that part again.'
    )


class Checkpoints:
  """The checkpoints of one phase, one folder per step.

  Arrays are saved unreplicated, so that any number of devices can go on from
  them.
  """

  def __init__(
    self,
    folder: pathlib.Path,
    check_place: Callable[[], None] = lambda: None,
  ):
    """Opens the folder; makes it only when there is something to save.

    Args:
      folder: of the phase.
      check_place: called before each save; raises if the folder is not where it
        was, since saving would make it anew.
    """
    self._folder = folder
    self._check_place = check_place
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
    self._check_place()
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
    progress = {'seconds': seconds, 'sha256': _sums(state, seconds)}
    try:
      with _silent():
        self._open().save(
          step,
          args=ocp.args.Composite(
            state=ocp.args.StandardSave(state),
            progress=ocp.args.JsonSave(progress),
          ),
        )
    # TensorStore wraps what the system says into a ValueError.
    except (OSError, ValueError) as e:
      full = getattr(e, 'errno', None) in DISK_FULL or 'No space left' in str(e)
      cause = 'the disk is full' if full else first_line(e)
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
      Damaged: the files are, or they hold something of another form.
    """
    as_numpy = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), abstract)
    try:
      with _silent():
        found = self._open().restore(
          step,
          args=ocp.args.Composite(
            state=ocp.args.StandardRestore(as_numpy),
            progress=ocp.args.JsonRestore(),
          ),
        )
      state, progress = found['state'], found['progress']
      seconds, wanted = progress['seconds'], progress['sha256']
      # Orbax restores another shape, or a flipped bit, without a word.
      forms = jax.tree.map(
        lambda x, y: (x.shape, x.dtype) == (y.shape, y.dtype), state, abstract
      )
      sums = _sums(state, seconds)
    except MemoryError:
      raise  # it says nothing about the files
    # Whatever Orbax trips over: damaged metadata fails in any way.
    except Exception as e:
      raise Damaged(self._folder / str(step), 'its files cannot be read') from e
    if not all(jax.tree.leaves(forms)):
      raise Damaged(self._folder / str(step), 'its arrays have other shapes')
    if other := sorted(k for k in sums if sums[k] != wanted.get(k)):
      raise Damaged(
        self._folder / str(step), f'{other[0]} is not what was saved'
      )
    return state, seconds

  def newest(self, form: Callable[[], Any]) -> tuple[int, Any, float]:
    """Reads the newest checkpoint that is not damaged.

    Damaged ones after it are set aside, so that nothing overwrites them.

    Args:
      form: makes the `abstract` of `restore`, if there is something to restore.

    Returns:
      Its step, state and seconds; (0, None, 0.0) if there are no checkpoints.

    Raises:
      UserError: there are, and all of them are damaged.
    """
    damaged = {}
    for step in reversed(self.steps()):
      error = None
      try:
        state, seconds = self.restore(step, form())
      except Damaged as e:
        error = e
      if parallel.anywhere(error is not None):
        damaged[step] = error or Damaged(
          self._folder / str(step), 'another process cannot read it'
        )
        continue
      for other, e in damaged.items():
        kept = self._set_aside(other)
        console.say(f'{e.what}; going on from step {step}, it is now {kept}')
      return step, state, seconds
    for e in damaged.values():
      raise e
    return 0, None, 0.0

  def close(self) -> None:
    """Waits for what is being written."""
    if self._manager is not None:
      self._manager.close()

  def _set_aside(self, step):
    new = self._folder.with_name(f'{self._folder.name}.damaged-{step}')
    while new.exists():
      new = new.with_name(f'{new.name}-again')
    parallel.wait('damaged')
    if parallel.is_first():
      (self._folder / str(step)).rename(new)
    parallel.wait('set aside')
    self._open().reload()
    return new

  def _open(self):
    if self._manager is None:
      self._manager = ocp.CheckpointManager(
        self._folder.absolute(),
        options=ocp.CheckpointManagerOptions(
          max_to_keep=_KEEP, enable_async_checkpointing=False
        ),
      )
    return self._manager


def _is_no_late_complaint(record: logging.LogRecord) -> bool:
  return 'exception was never retrieved' not in record.getMessage()


@contextlib.contextmanager
def _silent() -> Iterator[None]:
  """Keeps Orbax from printing what it raises as well: we say it in a sentence.

  Its threads log whole tracebacks, and TensorStore prints one for each write
  that ends after another has failed.
  """
  level, hook = logging.root.manager.disable, sys.unraisablehook
  logging.disable(logging.CRITICAL)
  sys.unraisablehook = lambda *_: None
  try:
    yield
  except BaseException:
    time.sleep(_LAST_WRITES)
    # Tasks that failed as well complain when the error that holds them goes.
    logging.getLogger('asyncio').addFilter(_is_no_late_complaint)
    raise
  finally:
    sys.unraisablehook = hook
    logging.disable(level)


def _sums(state: Any, seconds: float) -> dict[str, str]:
  """SHA-256 of everything in a checkpoint, by name.

  Of the numbers, not of the files: so the sums are written with them as one,
  and whatever happens between memory and memory is seen.
  """
  tree = {'state': state, 'seconds': seconds}
  return {
    jax.tree_util.keystr(path, simple=True, separator='/'): hashlib.sha256(
      f'{leaf.dtype} {leaf.shape}'.encode() + leaf.tobytes()
    ).hexdigest()
    for path, leaf in jax.tree_util.tree_leaves_with_path(
      jax.tree.map(np.asarray, tree)
    )
  }
