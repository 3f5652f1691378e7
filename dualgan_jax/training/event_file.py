"""Events for TensorBoard, which never block or stop a run."""

import contextlib
import io
import pathlib
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from PIL import Image

from dualgan_jax.training import console


class EventFile:
  """The TensorBoard events of one phase, on disk as soon as they are written.

  TensorBoard is optional. Where events cannot be written, a line reports it,
  and the run goes on without them.
  """

  def __init__(
    self, stage_folder: pathlib.Path, phase_name: str, first_step: int
  ):
    """Opens a new file in `tensorboard/<phase>`.

    Args:
      stage_folder: folder of the stage.
      phase_name: like 'dual/block_1'.
      first_step: TensorBoard drops the events of earlier files from this step
        on: an interrupted run may have written beyond its last checkpoint.
    """
    self._folder = stage_folder
    self._record_writer = None
    with self._give_up_on_failure():
      # Imported here, since it brings PyTorch where that is installed; and its
      # own writer has a thread, which blocks the run when it dies.
      from tensorboardX import RecordWriter
      from tensorboardX.proto import event_pb2, summary_pb2

      self._event_class, self._summary_class = (
        event_pb2.Event,
        summary_pb2.Summary,
      )
      # Not with its parents: a run that was moved away is not begun anew here.
      for folder_name in ('tensorboard', *phase_name.split('/')):
        self._folder /= folder_name
        self._folder.mkdir(exist_ok=True)
      file_name = f'events.out.tfevents.{time.time_ns()}.dualgan_jax'
      self._record_writer = RecordWriter(str(self._folder / file_name))
      self._write(file_version='brain.Event:2')
      self._write(
        step=first_step,
        session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START),
      )

  def write(self, step: int, scalars: Iterable[tuple[str, float]]) -> None:
    """Writes the scalars of one step.

    Args:
      step: number of steps done.
      scalars: pairs of tag and value; tags may be any text.
    """
    if self._record_writer is None:
      return
    summary_values = [
      self._summary_class.Value(tag=tag, simple_value=value)
      for tag, value in scalars
    ]
    with self._give_up_on_failure():
      self._write(step=step, summary=self._summary_class(value=summary_values))

  def write_image(self, step: int, tag: str, image: np.ndarray) -> None:
    """Writes a picture of one step.

    Args:
      step: number of steps done.
      tag: name of the picture.
      image: uint8 [height, width, 1 or 3].
    """
    if self._record_writer is None:
      return
    height, width, channels = image.shape
    png = io.BytesIO()
    with self._give_up_on_failure():
      Image.fromarray(image[..., 0] if channels == 1 else image).save(
        png, format='png'
      )
      encoded_image = self._summary_class.Image(
        height=height,
        width=width,
        colorspace=channels,
        encoded_image_string=png.getvalue(),
      )
      value = self._summary_class.Value(tag=tag, image=encoded_image)
      self._write(step=step, summary=self._summary_class(value=[value]))

  def write_hyperparameters(
    self, fields: Mapping[str, Any], scores: Mapping[str, float]
  ) -> None:
    """Writes a run's row of TensorBoard's table of hyperparameters.

    Args:
      fields: by name, the fields of the config; others than numbers, texts and
        truth values are shown as text.
      scores: by name, the final scores.
    """
    if self._record_writer is None:
      return
    with self._give_up_on_failure():
      from tensorboardX.summary import hparams

      shown_fields = {
        name: value
        if isinstance(value, bool | int | float | str)
        else str(value)
        for name, value in fields.items()
      }
      for summary in hparams(shown_fields, dict(scores)):
        self._write(summary=summary)
      self.write(0, scores.items())

  def close(self) -> None:
    """Closes the file."""
    if self._record_writer is not None:
      with self._give_up_on_failure():
        self._record_writer.close()

  def _write(self, **fields: Any) -> None:
    """Appends an event with this time; `fields` are those of its protobuf."""
    event = self._event_class(wall_time=time.time(), **fields)
    self._record_writer.write(event.SerializeToString())
    self._record_writer.flush()

  @contextlib.contextmanager
  def _give_up_on_failure(self) -> Iterator[None]:
    """Closes the file for good, with one line, if the block inside fails."""
    try:
      yield
    # The disk may be full, or the installed protobuf of another version.
    except Exception as error:
      console.say(f'{self._folder}: no more TensorBoard events ({error})')
      record_writer, self._record_writer = self._record_writer, None
      if record_writer is not None:
        with contextlib.suppress(OSError):
          record_writer.close()
