"""One run: what its stages share, and what each hands on to those after it."""

import contextlib
import dataclasses
import zlib
from typing import Any

import jax
import ml_collections

from dualgan_jax.experiment import workdir
from dualgan_jax.experiment.nets import Nets
from dualgan_jax.method import frozen_generator
from dualgan_jax.method.labels import LabelMap
from dualgan_jax.teachers.teacher import Teacher
from dualgan_jax.training import metrics_log, train_loop
from dualgan_jax.training.checkpoints import Checkpoints
from dualgan_jax.training.phase import Phase, TrainState

# The stages that `student_seed` varies with teachers and generator fixed.
_OF_THE_STUDENT = ('dual', 'targetnet', 'refine', 'baselines')


@dataclasses.dataclass
class Run:
  """What all stages share, and what they hand on.

  Attributes:
    config: checked.
    design: the nets.
    folder: the run's.
    devices: to train on.
    stages: those that are to be finished, in order.
    log: of the stage that runs.
    seconds: that stage's training time so far.
    asked: the teachers of whom Y_cst asks something, in `label_map`'s order.
    label_map: of these teachers only.
    everyone: all teachers.
    source: the trained generator.
    student: variables of T after stage `dual`, B + 1 of them.
    filters: {'block_b': {teacher's name: parameters of f_m^b}}.
    models: by the name in `results.json`: apply and variables.
    branch_losses: L_d^{b,m} by teacher's name.
    points: branch points p_m by teacher's name.
    misfits: by teacher's name, what the choice of routing was made by.
  """

  config: ml_collections.FrozenConfigDict
  design: Nets
  folder: workdir.Workdir
  devices: list[jax.Device]
  stages: tuple[str, ...]
  log: metrics_log.MetricsLog | None = None
  seconds: float = 0.0
  label_map: LabelMap | None = None
  everyone: tuple[Teacher, ...] = ()
  asked: tuple[Teacher, ...] = ()
  source: frozen_generator.FrozenGenerator | None = None
  student: tuple[Any, ...] = ()
  filters: dict[str, Any] = dataclasses.field(default_factory=dict)
  models: dict[str, tuple] = dataclasses.field(default_factory=dict)
  branch_losses: dict[str, list[float]] = dataclasses.field(
    default_factory=dict
  )
  points: dict[str, int] = dataclasses.field(default_factory=dict)
  misfits: dict[str, float] = dataclasses.field(default_factory=dict)

  def train(self, phase: Phase) -> TrainState:
    """Brings a phase to its end, or reads the end it has come to."""
    stage, _, part = phase.name.partition('/')
    folder = self.folder.stage(stage) / 'checkpoints' / part
    checkpoints = Checkpoints(folder, self.folder.check_in_place)
    with contextlib.closing(checkpoints):
      state, seconds = train_loop.train(
        phase,
        self.key(phase.name),
        self.devices,
        checkpoints,
        self.log,
        log_every=self.config.log_every,
        save_every=self.config.save_every,
        steps_per_call=self.config.steps_per_call,
      )
    self.seconds += seconds
    return state

  def key(self, name: str) -> jax.Array:
    """Makes the PRNG key for everything that bears this name.

    Args:
      name: of a phase, 'stage/part', or of something else.
    """
    seed, student_seed = self.config.seed, self.config.student_seed
    if student_seed is not None and name.partition('/')[0] in _OF_THE_STUDENT:
      seed = student_seed
    base = jax.random.PRNGKey(seed)
    return jax.random.fold_in(base, zlib.crc32(name.encode()))
