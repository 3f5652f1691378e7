"""What all stages of a run share: config, nets, folder, devices, the loop."""

import contextlib
import dataclasses
import zlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import ml_collections

from dualgan_jax.config import stage_fields, stage_table
from dualgan_jax.errors import TrainingError, first_line
from dualgan_jax.experiment.nets import Nets
from dualgan_jax.experiment.workdir import Workdir
from dualgan_jax.reporting import plots
from dualgan_jax.training import console, metrics_log, parallel, train_loop
from dualgan_jax.training.checkpoints import Checkpoints
from dualgan_jax.training.phase import Phase, TrainState

# The stages that `student_seed` varies with teachers and generator fixed.
_OF_STUDENT = {x.name for x in stage_table.STAGES if x.is_of_student}

_Value = TypeVar('_Value')


class LastStageDone(Exception):
  """Ends a run after the last stage that is asked for."""


@dataclasses.dataclass
class RunContext:
  """What all stages of a run share.

  Attributes:
    config: checked.
    nets: that it describes.
    workdir: the run's folder.
    devices: to train on.
    last_stage: the stage to end with.
    on_metrics: called with each row of metrics.
  """

  config: ml_collections.FrozenConfigDict
  nets: Nets
  workdir: Workdir
  devices: list[jax.Device]
  last_stage: str = 'evaluate'
  on_metrics: metrics_log.OnMetrics | None = None
  _log: metrics_log.MetricsLog | None = None
  _seconds: float = 0.0

  def run_stage(
    self, stage: str, work: Callable[..., _Value], *inputs: Any
  ) -> _Value:
    """Runs a stage, or reads what it has come to if it is finished.

    Args:
      stage: one of `stage_table.NAMES`.
      work: called with this context and `inputs`; its trainings go through
        `train`.
      *inputs: what earlier stages returned.

    Returns:
      What `work` returns.

    Raises:
      LastStageDone: it was the last stage that is asked for.
      TrainingError: there is not enough memory.
    """
    is_finished = self.workdir.finished(stage)
    fields = stage_fields.by_stage(self.config)[stage]
    if not is_finished:
      aside = self.workdir.begin(stage, fields)
      if aside:
        console.say(
          f'{stage}: begun with other fields before; that attempt is kept as '
          f'{aside.name}'
        )
    self._log = metrics_log.MetricsLog(
      self.workdir.stage(stage), self.on_metrics
    )
    self._seconds = 0.0
    try:
      with _explain_lack_of_memory(stage):
        value = work(self, *inputs)
    finally:
      self._log.close()
    if not is_finished:
      self.workdir.finish(stage, fields, self._seconds)
      if parallel.is_first():
        plots.draw_curves(self.workdir.stage(stage))
      console.say(f'{stage}: done in {self._seconds:.0f} s')
    if stage == self.last_stage:
      raise LastStageDone
    return value

  def train(self, phase: Phase) -> TrainState:
    """Brings a phase to its end, or reads the end it has come to."""
    stage, _, part = phase.name.partition('/')
    folder = self.workdir.stage(stage) / 'checkpoints' / part
    checkpoints = Checkpoints(folder, self.workdir.check_in_place)
    with contextlib.closing(checkpoints):
      state, seconds = train_loop.train(
        phase,
        self.key(phase.name),
        self.devices,
        checkpoints,
        self._log,
        log_every=self.config.log_every,
        save_every=self.config.save_every,
        steps_per_call=self.config.steps_per_call,
      )
    self.add_seconds(seconds)
    return state

  def add_seconds(self, seconds: float) -> None:
    """Counts what the stage that runs has taken."""
    self._seconds += seconds

  def key(self, name: str) -> jax.Array:
    """Makes the PRNG key for everything that bears this name.

    Args:
      name: of a phase, 'stage/part', or of something else.
    """
    seed, student_seed = self.config.seed, self.config.student_seed
    if student_seed is not None and name.partition('/')[0] in _OF_STUDENT:
      seed = student_seed
    base = jax.random.PRNGKey(seed)
    return jax.random.fold_in(base, zlib.crc32(name.encode()))


@contextlib.contextmanager
def _explain_lack_of_memory(stage: str) -> Iterator[None]:
  try:
    yield
  except (MemoryError, jax.errors.JaxRuntimeError) as e:
    if not isinstance(e, MemoryError) and 'RESOURCE_EXHAUSTED' not in str(e):
      raise
    smaller = '' if stage == 'evaluate' else f'lower {stage}.batch, or '
    raise TrainingError(
      f'{stage}: there is not enough memory ({first_line(e)}); {smaller}take '
      'more or larger devices. What is saved stays.'
    ) from e
