"""Scalars for TensorBoard, which never block or stop a run."""

import contextlib
import pathlib
import time
from collections.abc import Iterable
from typing import Any

from dualgan_jax.training import console


class EventFile:
  """One phase's scalars, on disk as soon as they are written.

  TensorBoard is a nicety. Where events cannot be written, a line says so, and
  the run goes on without them.
  """

  def __init__(self, stage_folder: pathlib.Path, phase: str, first_step: int):
    """Opens a new file in `tensorboard/<phase>`.

    Args:
      stage_folder: of the stage.
      phase: its name, like 'dual/block_1'.
      first_step: what earlier files have from this step on is dropped: an
        interrupted run may have written beyond its last checkpoint.
    """
    self._folder = stage_folder
    self._records = None
    with self._given_up_on_failure():
      # Imported here, since it brings PyTorch where that is installed; and its
      # own writer has a thread, which blocks the run when it dies.
      from tensorboardX import RecordWriter
      from tensorboardX.proto import event_pb2, summary_pb2

      self._event, self._summary = event_pb2.Event, summary_pb2.Summary
      # Not with its parents: a run that was moved away is not begun anew here.
      for part in ('tensorboard', *phase.split('/')):
        self._folder /= part
        self._folder.mkdir(exist_ok=True)
      name = f'events.out.tfevents.{time.time_ns()}.dualgan_jax'
      self._records = RecordWriter(str(self._folder / name))
      self._write(file_version='brain.Event:2')
      self._write(
        step=first_step,
        session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START),
      )

  def write(self, step: int, scalars: Iterable[tuple[str, float]]) -> None:
    """Writes the scalars of one step.

    Args:
      step: steps done.
      scalars: pairs of tag and value; tags may be any text.
    """
    if self._records is None:
      return
    values = [
      self._summary.Value(tag=tag, simple_value=value) for tag, value in scalars
    ]
    with self._given_up_on_failure():
      self._write(step=step, summary=self._summary(value=values))

  def close(self) -> None:
    """Closes the file."""
    if self._records is not None:
      with self._given_up_on_failure():
        self._records.close()

  def _write(self, **fields: Any) -> None:
    event = self._event(wall_time=time.time(), **fields)
    self._records.write(event.SerializeToString())
    self._records.flush()

  @contextlib.contextmanager
  def _given_up_on_failure(self):
    try:
      yield
    # A disk may be full, and an installed protobuf of an unfit version.
    except Exception as e:
      console.say(f'{self._folder}: no more TensorBoard events ({e})')
      records, self._records = self._records, None
      if records is not None:
        with contextlib.suppress(OSError):
          records.close()
