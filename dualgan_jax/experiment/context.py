"""Holds config, nets, folder and devices, which all stages of a run share."""

import contextlib
import dataclasses
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import jax

from dualgan_jax import losses
from dualgan_jax.config import stage_fields, stage_table
from dualgan_jax.config.fields import Experiment
from dualgan_jax.display import format_seconds
from dualgan_jax.errors import TrainingError, first_line
from dualgan_jax.experiment.nets import Nets
from dualgan_jax.experiment.workdir import Workdir
from dualgan_jax.reporting import plots
from dualgan_jax.stages.distillation import DistillationLoss
from dualgan_jax.training import console, metrics_log, parallel, train_loop
from dualgan_jax.training.checkpoints import Checkpoints
from dualgan_jax.training.outlook import Outlook
from dualgan_jax.training.phase import Phase, TrainState

# The stages that `student_seed` varies with teachers and generator fixed.
_STUDENT_STAGES = {
  stage.name for stage in stage_table.STAGES if stage.is_of_student
}

_Outcome = TypeVar('_Outcome')


class LastStageDone(Exception):
  """The signal that ends a run after the last stage that was requested."""


@dataclasses.dataclass
class RunContext:
  """Config, nets, folder and devices, which all stages of a run share.

  Attributes:
    config: a checked config.
    nets: the nets that it describes.
    workdir: the run's folder.
    devices: devices to train on.
    last_stage: name of the stage that ends the run.
    on_metrics: called with each row of metrics.
    outlook: knows how long the stages that are left may take.
  """

  config: Experiment
  nets: Nets
  workdir: Workdir
  devices: list[jax.Device]
  last_stage: str = 'evaluate'
  on_metrics: metrics_log.OnMetrics | None = None
  outlook: Outlook | None = None
  _log: metrics_log.MetricsLog | None = None
  _seconds: float = 0.0

  def run_stage(
    self, stage: str, stage_runner: Callable[..., _Outcome], *inputs: Any
  ) -> _Outcome:
    """Runs a stage, or reads its outcome if it is finished.

    Args:
      stage: one of `stage_table.NAMES`.
      stage_runner: called with this context and `inputs`; its trainings go
        through `train`.
      *inputs: outcomes of earlier stages.

    Returns:
      What `stage_runner` returns.

    Raises:
      LastStageDone: this was the last stage that was requested.
      TrainingError: there is not enough memory.
    """
    is_finished = self.workdir.finished(stage)
    fields = stage_fields.by_stage(self.config)[stage]
    if not is_finished:
      number = stage_table.NAMES.index(stage) + 1
      console.say(f'stage {number} of {len(stage_table.NAMES)}: {stage}')
      aside_folder = self.workdir.begin(stage, fields)
      if aside_folder:
        console.say(
          f'{stage}: begun with other fields before; that attempt is kept as '
          f'{aside_folder.name}'
        )
    self._log = metrics_log.MetricsLog(
      self.workdir.stage(stage), self.on_metrics
    )
    self._seconds = 0.0
    # A finished stage runs, too: its trainings then read their last checkpoint.
    try:
      with explain_lack_of_memory(stage):
        outcome = stage_runner(self, *inputs)
    finally:
      self._log.close()
    if not is_finished:
      self.workdir.finish(stage, fields, self._seconds)
      # Of several processes, only the first one writes tables and pictures.
      if parallel.is_first():
        metrics_log.write_csv(self.workdir.stage(stage))
        plots.draw_curves(self.workdir.stage(stage))
      console.say(f'{stage}: done in {format_seconds(self._seconds)}')
    if stage == self.last_stage:
      raise LastStageDone
    return outcome

  def train(self, phase: Phase) -> TrainState:
    """Trains a phase to its end, or reads its last state.

    Args:
      phase: its name is that of the stage, or 'stage/part'.

    Returns:
      The state after the last step, as NumPy arrays.
    """
    stage, _, part_name = phase.name.partition('/')
    # The phases of a stage have checkpoints in folders of their names.
    folder = self.workdir.stage(stage) / 'checkpoints' / part_name
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
        save_minutes=self.config.save_minutes,
        steps_per_call=self.config.steps_per_call,
        outlook=self.outlook,
      )
    self.add_seconds(seconds)
    return state

  @property
  def distillation_loss(self) -> DistillationLoss:
    """Returns the loss of students that learn end to end."""
    if self.config.distillation == 'class' and self.nets.student.single_label:
      return losses.class_distillation
    return losses.distillation

  def add_seconds(self, seconds: float) -> None:
    """Adds to the seconds that the current stage has taken."""
    self._seconds += seconds

  def log_results(self, results: Mapping[str, Any]) -> None:
    """Logs config and final scores, for tables over many runs.

    Args:
      results: content of `results.json`.
    """
    scores = {
      f'{model_name}/{score}': row[score]
      for model_name, row in results['metrics'].items()
      for score in ('top1', 'mAP', 'agreement')
      if row.get(score) is not None
    }
    self._log.write_hyperparameters(results['config'], scores)

  def key(self, name: str) -> jax.Array:
    """Makes the PRNG key that belongs to a name.

    Args:
      name: of a phase, 'stage/part', or of anything else that draws.
    """
    seed, student_seed = self.config.seed, self.config.student_seed
    if student_seed is not None and name.partition('/')[0] in _STUDENT_STAGES:
      seed = student_seed
    # Names and not an order: another stage or teacher changes no other's draws.
    return jax.random.fold_in(
      jax.random.PRNGKey(seed), zlib.crc32(name.encode())
    )


@contextlib.contextmanager
def explain_lack_of_memory(stage: str) -> Iterator[None]:
  """Turns errors about memory into one sentence that names a cure.

  Args:
    stage: name of the stage that runs inside.

  Raises:
    TrainingError: the memory did not suffice.
  """
  try:
    yield
  except (MemoryError, jax.errors.JaxRuntimeError) as error:
    # Only the message of an XLA error tells what has failed.
    is_lack_of_memory = isinstance(error, MemoryError) or (
      'RESOURCE_EXHAUSTED' in str(error)
    )
    if not is_lack_of_memory:
      raise
    smaller_batch = '' if stage == 'evaluate' else f'lower {stage}.batch, or '
    raise TrainingError(
      f'{stage}: there is not enough memory ({first_line(error)}); '
      f'{smaller_batch}take more or larger devices. What is saved stays.'
    ) from error
