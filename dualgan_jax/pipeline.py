"""What each stage does with a config: from teachers to results.

The stages proper, in `stages/`, know of no config and no file; here their parts
are put together, each taking what the ones before it left in `Run`.
"""

import contextlib
import dataclasses
import functools
import importlib.metadata
import platform
import time
import zlib
from collections.abc import Callable
from typing import Any

import jax
import ml_collections
import numpy as np

from dualgan_jax import (
  branched,
  cost,
  describe,
  discriminators,
  logs,
  loop,
  plan,
  report,
  settings,
  teachers,
  workdir,
)
from dualgan_jax.checkpoint import Checkpoints
from dualgan_jax.labels import LabelMap
from dualgan_jax.networks.classifier import join
from dualgan_jax.stages import distil, dual, pretrain, targetnet
from dualgan_jax.stages.phase import Phase, TrainState, adam
from dualgan_jax.teachers import Teacher

# Images drawn to be looked at, once the generator is trained.
_SAMPLES = 512


@dataclasses.dataclass
class Run:
  """What all stages share, and what they hand on.

  Attributes:
    config: checked.
    design: the nets.
    folder: the run's.
    devices: to train on.
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
  """

  config: ml_collections.FrozenConfigDict
  design: plan.Plan
  folder: workdir.Workdir
  devices: list[jax.Device]
  log: logs.MetricsLog | None = None
  seconds: float = 0.0
  label_map: LabelMap | None = None
  everyone: tuple[Teacher, ...] = ()
  asked: tuple[Teacher, ...] = ()
  source: dual.Source | None = None
  student: tuple[Any, ...] = ()
  filters: dict[str, Any] = dataclasses.field(default_factory=dict)
  models: dict[str, tuple] = dataclasses.field(default_factory=dict)
  branch_losses: dict[str, list[float]] = dataclasses.field(
    default_factory=dict
  )
  points: dict[str, int] = dataclasses.field(default_factory=dict)

  def train(self, phase: Phase) -> TrainState:
    """Brings a phase to its end, or reads the end it has come to."""
    stage, _, part = phase.name.partition('/')
    folder = self.folder.stage(stage) / 'checkpoints' / part
    checkpoints = Checkpoints(folder)
    with contextlib.closing(checkpoints):
      state, seconds = loop.train(
        phase,
        self.key(phase.name),
        self.devices,
        checkpoints,
        self.log,
        log_every=self.config.log_every,
        save_every=self.config.save_every,
      )
    self.seconds += seconds
    return state

  def key(self, name: str) -> jax.Array:
    """A PRNG key of the seed for everything that bears this name."""
    base = jax.random.PRNGKey(self.config.seed)
    return jax.random.fold_in(base, zlib.crc32(name.encode()))


def _pretrain(run_: Run) -> None:
  config = run_.config
  found = []
  for name, net in run_.design.teachers.items():
    labels = config.teachers[name].labels
    own = config.pretrain
    phase = pretrain.phase(
      f'pretrain/{name}',
      net,
      config.image,
      functools.partial(_teacher_data, run_, labels),
      steps=own.steps,
      batch=own.batch,
      optimiser=adam(own.learning_rate, own.steps),
    )
    state = run_.train(phase)
    variables = join(state.params, state.batch_stats)
    found.append(teachers.from_classifier(name, labels, net, variables))
  run_.everyone = tuple(found)
  run_.asked = tuple(found[m] for m in run_.design.label_map.asked)
  run_.label_map = run_.design.label_map.asked_only()


def _generator(run_: Run) -> None:
  if not run_.folder.finished('generator'):
    for line in describe.missing_prior(list(run_.everyone), run_.design):
      logs.say(line)
  phase = plan.generator_phase(run_.design, run_.config, run_.everyone)
  state = run_.train(phase)
  variables = {
    'params': state.params['generator'],
    'batch_stats': state.batch_stats,
  }
  run_.source = dual.Source(
    run_.design.generator,
    run_.config.generator.noise,
    variables,
    state.params['filters'],
  )
  if not run_.folder.finished('generator'):
    report.samples(
      run_.folder.stage('generator') / 'samples.png',
      run_.design.label_map.union,
      *_samples(run_, run_.design.label_map.union),
    )


def _dual(run_: Run) -> None:
  own, design = run_.config.dual, run_.design
  blocks = len(design.student.blocks)
  run_.student, run_.filters = (), {}
  for b in range(1, blocks + 1):
    phase = dual.phase(
      b,
      design.student,
      run_.label_map,
      dual.Frozen(run_.asked, run_.source, run_.student),
      image=design.image,
      filters=own.filters,
      lambda_own=own.lambda_own,
      lambda_generated=own.lambda_generated,
      steps=own.steps,
      batch=own.batch,
      optimiser=adam(own.learning_rate, own.steps),
    )
    state = run_.train(phase)
    run_.student += (join(state.params['block'], state.batch_stats),)
    if b < blocks:
      run_.filters[f'block_{b}'] = state.params['filters']
    else:
      run_.student += (join(state.params['head'], {}),)


def _targetnet(run_: Run) -> None:
  own, design = run_.config.targetnet, run_.design
  frozen = dual.Frozen(run_.asked, run_.source, run_.student)
  measured = run_.train(
    targetnet.branch_phase(
      design.student,
      run_.label_map,
      targetnet.Measured(frozen, run_.filters),
      batches=own.measure_batches,
      batch=own.batch,
    )
  )
  run_.branch_losses = targetnet.branch_losses(measured)
  run_.points = targetnet.branch_points(
    run_.branch_losses, own.branch_tolerance
  )
  net, variables = branched.create(
    design.student.blocks,
    run_.student,
    [run_.filters[f'block_{p}'][name] for name, p in run_.points.items()],
    run_.asked,
    list(run_.points.values()),
    run_.label_map,
  )
  for name, apply, start, steps in (
    ('compact', design.student.apply, run_.student, own.compact_steps),
    ('branched', net.apply, variables, own.branched_steps),
  ):
    phase = distil.phase(
      f'targetnet/{name}',
      apply,
      lambda key, start=start: start,
      distil.generated,
      run_.label_map,
      lambda: distil.Frozen(run_.asked, run_.source),
      steps=steps,
      batch=own.batch,
      optimiser=adam(own.learning_rate, steps),
    )
    state = run_.train(phase)
    run_.models[name] = (apply, join(state.params, state.batch_stats))


def _baselines(run_: Run) -> None:
  own, design = run_.config.baselines, run_.design
  for name, draw, origin in (
    ('noise', distil.noise, lambda: np.zeros(design.image, np.float32)),
    ('real_data', distil.real, lambda: _data(run_, 'train').images),
  ):
    phase = distil.phase(
      f'baselines/{name}',
      design.student.apply,
      lambda key: design.student.init(key, design.image),
      draw,
      run_.label_map,
      lambda origin=origin: distil.Frozen(run_.asked, origin()),
      steps=own.steps,
      batch=own.batch,
      optimiser=adam(own.learning_rate, own.steps),
    )
    state = run_.train(phase)
    run_.models[name] = (
      design.student.apply,
      join(state.params, state.batch_stats),
    )


def _evaluate(run_: Run) -> None:
  # Here, and nowhere before, the test part is opened.
  from dualgan_jax import evaluate

  if run_.folder.finished('evaluate'):
    return
  began = time.monotonic()
  config, label_map = run_.config, run_.label_map
  test = _data(run_, 'test')
  image = jax.ShapeDtypeStruct((1, *config.image), np.float32)

  def measure(apply, variables, labels):
    logits = evaluate.answers(apply, variables, test.images)
    return {
      **evaluate.scores(logits, test.columns(labels)),
      'params': cost.parameters(variables),
      'flops': cost.flops(apply, variables, image),
    }

  def together(variables, x):
    logits = [
      discriminators.tail(t, own, x, 0)
      for t, own in zip(run_.asked, variables, strict=True)
    ]
    return discriminators.combine(logits, label_map.owners(config.labels))

  metrics = {
    'teachers': measure(
      together, [t.variables for t in run_.asked], config.labels
    )
  }
  for t in run_.everyone:
    alone = functools.partial(_alone, t)
    metrics[t.name] = measure(alone, t.variables, t.labels)
  for name, (apply, variables) in run_.models.items():
    metrics[name] = measure(
      lambda v, x, apply=apply: apply(v, x, train=False)[0],
      variables,
      config.labels,
    )
  report.samples(
    run_.folder.stage('evaluate') / 'samples.png',
    config.labels,
    *_samples(run_, config.labels),
    real=_some_real(run_),
  )
  run_.seconds = time.monotonic() - began
  stages = [s for s in settings.STAGES if s != 'evaluate']
  results = {
    'experiment': config.experiment,
    'objective': config.objective.name,
    'oracle': config.objective.oracle,
    'seed': config.seed,
    'labels': list(config.labels),
    'metrics': metrics,
    'branch_points': run_.points,
    'branch_losses': run_.branch_losses,
    'seconds': {
      **{s: run_.folder.seconds(s) for s in stages},
      'evaluate': round(run_.seconds, 1),
    },
    'devices': f'{len(run_.devices)} × {run_.devices[0].device_kind}',
    'versions': _versions(),
  }
  report.write(run_.folder.path, results)


def _alone(teacher, variables, x):
  return discriminators.tail(teacher, variables, x, 0)


def _data(run_: Run, split: str):
  # Imported by the stages that may open real data, and by no other.
  from dualgan_jax import data

  config = run_.config
  return data.load(split, config.image, config.data.test_fraction, config.seed)


def _teacher_data(run_: Run, labels: tuple[str, ...]):
  split = _data(run_, 'train')
  if run_.config.data.teacher_data == 'own':
    split = split.showing(labels)
  return split.images, split.columns(labels)


def _some_real(run_: Run):
  split = _data(run_, 'train').showing(run_.config.labels)
  return split.images / 255.0, split.columns(run_.config.labels)


def _samples(
  run_: Run, labels: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
  """Generated images, and the teachers' probabilities of some labels."""
  owners = run_.design.label_map.owners(labels)

  @jax.jit
  def draw(source, everyone, key):
    z = jax.random.normal(key, (_SAMPLES, source.noise))
    image = source.module.apply(source.variables, z, train=False)[-1]
    logits = [
      discriminators.tail(t, t.variables, source.seen_by(t, image), 0)
      for t in everyone
    ]
    return image, jax.nn.sigmoid(discriminators.combine(logits, owners))

  images, said = draw(run_.source, run_.everyone, run_.key('samples'))
  return np.asarray(images), np.asarray(said)


def _versions() -> dict[str, str]:
  names = ('dualgan_jax', 'jax', 'flax', 'optax', 'orbax-checkpoint')
  return {
    'python': platform.python_version(),
    **{name: importlib.metadata.version(name) for name in names},
  }


STAGES: dict[str, Callable[[Run], None]] = {
  'pretrain': _pretrain,
  'generator': _generator,
  'dual': _dual,
  'targetnet': _targetnet,
  'baselines': _baselines,
  'evaluate': _evaluate,
}
