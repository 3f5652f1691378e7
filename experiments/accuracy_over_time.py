"""Follows a student's accuracy over the minutes of its training.

    python -m experiments.accuracy_over_time --config=lenet \\
        --workdir=runs/lenet_curve --curve=experiments/curves/lenet.json \\
        [--teachers_from=DIR] [--points=12]

Trains as `dualgan train` does, and measures the compact TargetNet on the real
test images with about `--points` checkpoints of each training. Nothing in the
training depends on that, and its seconds do not count. `python -m
experiments.figures` draws what lies in `experiments/curves`.
"""

from dualgan_jax.cli import signals

if __name__ == '__main__':
  signals.exit_on_signals()

import dataclasses
import json
import pathlib
import sys
import time
from collections.abc import Sequence
from typing import Any

import ml_collections
import numpy as np
from absl import flags

from dualgan_jax.cli import experiment_flags, launch
from dualgan_jax.config import stage_table
from dualgan_jax.errors import UserError
from dualgan_jax.experiment import real_data, stage_runners, workdir
from dualgan_jax.experiment.context import RunContext
from dualgan_jax.experiment.run import prepare, run
from dualgan_jax.experiment.scorer import Scorer
from dualgan_jax.networks.classifier import join
from dualgan_jax.training.phase import Phase, TrainState

_CURVE = flags.DEFINE_string(
  'curve', None, 'File that the points are written to.'
)
_TEACHERS_FROM = flags.DEFINE_string(
  'teachers_from', None, "Take teachers from this run's folder."
)
_POINTS = flags.DEFINE_integer(
  'points', 12, 'Measurements in each training.', lower_bound=1
)
_USAGE = f'{__doc__}\nFlags of `dualgan train --help` hold here, too.\n'
# The trainings of the whole compact TargetNet.
_FOLLOWED_PHASES = ('targetnet/compact', 'refine')
_NO_PICTURE = np.zeros((1, 1, 1), np.uint8)


@dataclasses.dataclass
class _FollowedContext(RunContext):
  """Measures the compact TargetNet with each checkpoint of its training.

  Attributes:
    points: per measurement, its stage, steps done in it, seconds since the
      teachers were there, and top-1 accuracy.
  """

  scorer: Scorer | None = None
  points: list[dict[str, Any]] = dataclasses.field(default_factory=list)

  def train(self, phase: Phase) -> TrainState:
    """Trains a phase, and measures what it trains if that is the student."""
    if phase.name not in _FOLLOWED_PHASES:
      return super().train(phase)
    stage = phase.name.partition('/')[0]
    # Of the stages since the teachers were there.
    earlier_stages = stage_table.NAMES[1 : stage_table.NAMES.index(stage)]
    earlier_seconds = self._seconds + sum(
      self.workdir.seconds(name) for name in earlier_stages
    )
    start_time = time.monotonic()
    measuring_seconds = 0.0

    def measure(state: TrainState) -> np.ndarray:
      nonlocal measuring_seconds
      measuring_start = time.monotonic()
      self.points.append(
        {
          'stage': stage,
          'step': int(state.step),
          'seconds': round(
            earlier_seconds + measuring_start - start_time - measuring_seconds,
            1,
          ),
          'top1': self._measure_student(stage, state),
        }
      )
      measuring_seconds += time.monotonic() - measuring_start
      return _NO_PICTURE

    # What a phase draws, it draws with each checkpoint.
    return super().train(dataclasses.replace(phase, draw=measure))

  def _measure_student(self, stage: str, state: TrainState) -> float:
    """Measures top-1 accuracy on the real test images."""
    params, batch_stats = state.params, state.batch_stats
    if stage == 'refine':
      params, batch_stats = params['student'], batch_stats['student']
    row = self.scorer.measure(
      'compact',
      lambda variables, images: self.nets.student.apply(
        variables, images, train=False
      )[0],
      join(params, batch_stats),
      self.config.labels,
    )
    return row['top1']


def follow(
  config: ml_collections.ConfigDict,
  workdir_path: str,
  num_points: int,
  init_from: str | None = None,
) -> dict[str, Any]:
  """Trains an experiment, and measures its compact TargetNet on the way.

  Args:
    config: of an experiment with real test images of one label each.
    workdir_path: a new folder for the run: a resumed one has lost its points.
    num_points: measurements in each training of the TargetNet.
    init_from: folder of a run to take the teachers from.

  Returns:
    `experiment`, `objective`, `seed`, and `points`.

  Raises:
    UserError: there are no real images, or the folder is not new.
  """
  if not config.data:
    raise UserError('data: accuracy needs real test images; name some.')
  if pathlib.Path(workdir_path).exists():
    raise UserError(f'workdir: {workdir_path} is there; name a new folder.')
  for stage in ('pretrain', 'generator', 'dual'):
    run(config, workdir_path, stage=stage, init_from=init_from)
  longest_training = max(config.targetnet.compact_steps, config.refine.steps)
  with config.unlocked():
    config.save_every = max(1, longest_training // num_points)
  checked_config, nets, devices = prepare(config, workdir_path, {}, init_from)
  splits = [
    real_data.load(checked_config, name, 'test') for name in config.data
  ]
  with workdir.Workdir(workdir_path) as run_folder:
    context = _FollowedContext(
      checked_config,
      nets,
      run_folder,
      devices,
      last_stage='refine',
      scorer=Scorer(checked_config, splits),
    )
    stage_runners.run_stages(context)
  return {
    'experiment': config.experiment,
    'objective': config.objective.name,
    'seed': config.seed,
    'points': context.points,
  }


def main(argv: Sequence[str]) -> None:
  """Follows the experiment that the flags name.

  Args:
    argv: the program's name and its arguments.
  """
  launch.launch(argv, _follow, _USAGE)


def _follow() -> str:
  """Follows an experiment as the flags say; returns its curve as JSON."""
  # After the training it would be too late for an error.
  if _CURVE.value:
    pathlib.Path(_CURVE.value).absolute().parent.mkdir(
      parents=True, exist_ok=True
    )
  curve = follow(
    experiment_flags.CONFIG.value,
    experiment_flags.WORKDIR.value,
    _POINTS.value,
    _TEACHERS_FROM.value,
  )
  text = json.dumps(curve, indent=1)
  if _CURVE.value:
    pathlib.Path(_CURVE.value).write_text(text + '\n')
  return text


if __name__ == '__main__':
  main(sys.argv)
