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
import jax.numpy as jnp
import ml_collections
import numpy as np

from dualgan_jax import (
  branched,
  cost,
  describe,
  discriminators,
  logs,
  loop,
  parallel,
  plan,
  report,
  routing,
  settings,
  student,
  teachers,
  workdir,
)
from dualgan_jax.checkpoint import Checkpoints
from dualgan_jax.errors import UserError
from dualgan_jax.images import RealImages, prepared
from dualgan_jax.labels import LabelMap
from dualgan_jax.networks.classifier import join
from dualgan_jax.stages import (
  distil,
  dual,
  pretrain,
  probe,
  refine,
  targetnet,
)
from dualgan_jax.stages.phase import Phase, TrainState, adam
from dualgan_jax.teachers import Teacher

# Images drawn to be looked at, once the generator is trained.
_SAMPLES = 512
# Batches that the misfit of the teachers' statistics is measured on.
_PROBED = 16


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
    misfits: by teacher's name, what the choice of routing was made by.
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
  misfits: dict[str, float] = dataclasses.field(default_factory=dict)

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
        steps_per_call=self.config.steps_per_call,
      )
    self.seconds += seconds
    return state

  def key(self, name: str) -> jax.Array:
    """A PRNG key of the seed for everything that bears this name."""
    base = jax.random.PRNGKey(self.config.seed)
    return jax.random.fold_in(base, zlib.crc32(name.encode()))


def _pretrain(run_: Run) -> None:
  config = run_.config
  found, own = [], config.pretrain
  # Teachers of one set share its images.
  read = functools.cache(lambda name: _data(run_, name, 'train'))
  load = functools.cache(lambda name: _teacher_data(run_, name, read))
  if not run_.folder.finished('pretrain'):
    # All data are opened before the first teacher is trained.
    for name in run_.design.classifiers:
      load(name)
    _refuse_untold(run_)
  for name, teacher in run_.design.teachers.items():
    if name not in run_.design.classifiers:
      found.append(teacher)
      continue
    labels, net = teacher.labels, run_.design.classifiers[name]
    phase = pretrain.phase(
      f'pretrain/{name}',
      net,
      config.image,
      functools.partial(load, name),
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
  routed = _routed(run_)
  phase = plan.generator_phase(
    run_.design, run_.config, run_.everyone, routed=routed
  )
  state = run_.train(phase)
  variables = {
    'params': state.params['generator'],
    'batch_stats': state.batch_stats,
  }
  run_.source = dual.Source(
    run_.design.generator,
    run_.config.generator.noise,
    run_.design.label_map.asked if routed else (),
    len(run_.everyone),
    routed and run_.config.objective.routing != 'images',
    variables,
    state.params['filters'],
  )
  if parallel.is_first() and not run_.folder.finished('generator'):
    report.samples(
      run_.folder.stage('generator') / 'samples.png',
      run_.design.label_map.union,
      *_samples(run_, run_.design.label_map.union),
    )


def _routed(run_: Run) -> bool:
  """Whether each image is to belong to one teacher."""
  config, everyone = run_.config, run_.everyone
  if config.objective.routing != 'auto':
    return config.objective.routing != 'off'
  if len(everyone) == 1:
    return False
  news = not run_.folder.finished('generator')
  certain = [t.name for t in everyone if t.single_label]
  if certain:
    if news:
      logs.say(
        'generator: routing is on; a teacher with one label per image '
        f'({", ".join(certain)}) names one whatever it is shown. If all '
        'teachers describe the same images, set objective.routing=off.'
      )
    return True
  if not config.objective.prior or not any(
    teachers.has_batch_norm(t, config.image) for t in everyone
  ):
    if news:
      logs.say(
        'generator: routing is off; without the statistics prior nothing tells '
        'whether the teachers were trained on the same data. If they were not, '
        'set objective.routing=on.'
      )
    return False
  trained = run_.train(
    plan.generator_phase(
      run_.design, config, everyone, routed=True, part='probe'
    )
  )
  measured = run_.train(
    probe.phase(
      'generator/misfit',
      run_.design.generator,
      config.generator.noise,
      everyone,
      trained,
      batches=_PROBED,
      batch=config.generator.batch,
    )
  )
  run_.misfits = probe.misfits([t.name for t in everyone], measured)
  routed = probe.differ(run_.misfits)
  if news:
    logs.say(
      f'generator: routing is {"on" if routed else "off"}; all images together '
      "fit the teachers' statistics worse than their own by a factor of "
      + ', '.join(f'{x:.2f} ({name})' for name, x in run_.misfits.items())
      + f'; it is on where their mean is above {probe.ROUTE_ABOVE}'
    )
  return routed


def _dual(run_: Run) -> None:
  own, design = run_.config.dual, run_.design
  blocks = len(design.student.blocks)
  if not own.steps:
    key = run_.key('dual')
    run_.student = jax.jit(lambda k: design.student.init(k, design.image))(key)
    return
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
  nets = {'compact': (design.student.apply, run_.student, own.compact_steps)}
  if run_.config.dual.steps:
    net, variables = _branched(run_)
    nets['branched'] = (net.apply, variables, own.branched_steps)
  for name, (apply, start, steps) in nets.items():
    phase = distil.phase(
      f'targetnet/{name}',
      apply,
      lambda key, start=start: start,
      distil.generated,
      run_.label_map,
      lambda: distil.Frozen(run_.asked, run_.source),
      temperature=run_.config.temperature,
      steps=steps,
      batch=own.batch,
      optimiser=adam(own.learning_rate, steps),
    )
    state = run_.train(phase)
    run_.models[name] = (apply, join(state.params, state.batch_stats))


def _branched(run_: Run) -> tuple[branched.Branched, tuple]:
  """Measures the branch points, and regroups."""
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
  return branched.create(
    design.student.blocks,
    run_.student,
    [run_.filters[f'block_{p}'][name] for name, p in run_.points.items()],
    run_.asked,
    list(run_.points.values()),
    run_.label_map,
  )


def _refine(run_: Run) -> None:
  own, design = run_.config.refine, run_.design
  if not own.steps:
    return
  apply, variables = run_.models['compact']
  phase = refine.phase(
    design.student,
    variables,
    run_.source,
    run_.everyone,
    design.label_map,
    dataclasses.replace(design.objective, routed=bool(run_.source.routes)),
    image=design.image,
    temperature=run_.config.temperature,
    disagreement=own.disagreement,
    pool=own.pool_batches * own.batch,
    replays=own.replays,
    augmentation=refine.Augmentation(own.shift, own.flip, own.mixup),
    steps=own.steps,
    batch=own.batch,
    optimisers={
      'generator': adam(
        own.generator_learning_rate, own.steps, b1=run_.config.generator.b1
      ),
      # For each of the generator's one on its images, and the replays.
      'student': adam(own.learning_rate, (1 + own.replays) * own.steps),
    },
  )
  state = run_.train(phase)
  refined = join(state.params['student'], state.batch_stats['student'])
  run_.models['compact_before_refine'] = (apply, variables)
  run_.models['compact'] = (apply, refined)


def _baselines(run_: Run) -> None:
  own, design = run_.config.baselines, run_.design
  if not run_.folder.finished('baselines'):
    # Teachers may have come from a run that had no data.
    _refuse_untold(run_)
  if not own.steps:
    return
  kinds = {'noise': (distil.noise, lambda: np.zeros(design.image, np.float32))}
  if run_.config.data:
    kinds['real_data'] = (distil.real, lambda: _real(run_))
  for name, (draw, origin) in kinds.items():
    phase = distil.phase(
      f'baselines/{name}',
      design.student.apply,
      lambda key: design.student.init(key, design.image),
      draw,
      run_.label_map,
      lambda origin=origin: distil.Frozen(run_.asked, origin()),
      temperature=run_.config.temperature,
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
  tests = [_data(run_, name, 'test') for name in config.data]
  image = jax.ShapeDtypeStruct((1, *config.image), np.float32)

  answered = {}  # to the real images, by model

  def targets(labels):
    return np.concatenate([test.columns(labels) for test in tests])

  def scores(name, apply, variables, labels):
    if not tests:
      return dict.fromkeys(report.COLUMNS)
    logits = [
      evaluate.answers(apply, variables, test.images, config.image[:2])
      for test in tests
    ]
    known = [np.isin(labels, test.names) for test in tests]
    worlds = {}
    if len(tests) > 1 and all(x.any() for x in known):
      worlds['right_world'] = evaluate.right_world(logits, known)
    answered[name] = np.concatenate(logits)
    return {**evaluate.scores(answered[name], targets(labels)), **worlds}

  def measure(name, apply, variables, labels):
    return {
      **scores(name, apply, variables, labels),
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
      'teachers', together, [t.variables for t in run_.asked], config.labels
    )
  }
  for t in run_.everyone:
    alone = functools.partial(_alone, t)
    metrics[t.name] = measure(t.name, alone, t.variables, t.labels)
  generated, said = _samples(run_, config.labels)
  for name, (apply, variables) in run_.models.items():
    answer = jax.jit(lambda v, x, apply=apply: apply(v, x, train=False)[0])
    metrics[name] = {
      **measure(name, answer, variables, config.labels),
      'agreement': evaluate.agreement(answer(variables, generated), said),
    }
    if not tests:
      answered[name] = answer(variables, generated)
  if not tests:
    answered['teachers'] = jax.scipy.special.logit(said)
  if parallel.is_first():
    report.samples(
      run_.folder.stage('evaluate') / 'samples.png',
      config.labels,
      generated,
      said,
      real=_some_real(run_) if tests else None,
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
    'per_label': evaluate.per_label(
      config.labels,
      answered['compact'],
      answered['teachers'],
      targets(config.labels) if tests else None,
    ),
    'routed': bool(run_.source.routes),
    'misfits': run_.misfits,
    'branch_points': run_.points,
    'branch_losses': run_.branch_losses,
    'seconds': {
      **{s: run_.folder.seconds(s) for s in stages},
      'evaluate': round(run_.seconds, 1),
    },
    'devices': f'{len(run_.devices)} × {run_.devices[0].device_kind}',
    'versions': _versions(),
    'config': settings.fields(config, *settings.STAGES),
  }
  if parallel.is_first():
    _take_away(run_, results)
    report.write(run_.folder.path, results)


def _take_away(run_: Run, results: dict[str, Any]) -> None:
  """Writes the folders `student` and, if there is one, `branched`."""
  config = run_.config
  origin = {k: results[k] for k in ('experiment', 'objective', 'seed')}
  common = {
    'labels': config.labels,
    'image': config.image,
    'origin': origin | results['versions'],
  }
  student.write(
    run_.folder.path / 'student',
    run_.models['compact'][1],
    net={
      **config.student.to_dict(),
      'single_label': run_.design.student.single_label,
    },
    **common,
  )
  if 'branched' in run_.models:
    apply, variables = run_.models['branched']
    try:
      student.write_program(
        run_.folder.path / 'branched',
        lambda own, x: apply(own, x, train=False)[0],
        variables,
        net={'kind': 'branched', 'points': run_.points},
        **common,
      )
    except UserError as e:  # all else is there
      logs.say(f'evaluate: {e}')


def _alone(teacher, variables, x):
  return discriminators.tail(teacher, variables, x, 0)


def _data(run_: Run, name: str, part: str):
  # Imported by the stages that may open real data, and by no other.
  from dualgan_jax import data

  config = run_.config
  return data.load(name, config.data[name], part, config.image, config.seed)


def _refuse_untold(run_: Run) -> None:
  """Sees that the data have all wanted labels, if any are there to measure on.

  Those of teachers that are trained here are theirs.
  """
  config = run_.config
  if len(run_.design.classifiers) == len(config.teachers) or not config.data:
    return
  known = {x for n in config.data for x in _data(run_, n, 'train').names}
  missing = [x for x in config.labels if x not in known]
  if missing:
    raise UserError(
      f'labels: no data set has {", ".join(map(repr, missing))}, so nothing '
      f'could be measured; they have {", ".join(map(repr, sorted(known)))}. '
      'Name the labels of the teachers as the data do, or take the data out.'
    )


def _teacher_data(run_: Run, name: str, read: Callable) -> RealImages:
  teacher = run_.config.teachers[name]
  split = read(teacher.data)
  split.refuse_unknown(f'teachers.{name}.labels', teacher.labels)
  if _sees_own_only(teacher, run_.config):
    split = split.showing(teacher.labels)
  if not len(split.images):
    raise UserError(
      f'teachers.{name}.labels: no training image of data.{teacher.data} '
      'carries one of them; name others.'
    )
  # A label that is hard to see is there.
  targets = np.nan_to_num(split.columns(teacher.labels), nan=1.0)
  if teacher.single_label and (targets.sum(axis=1) > 1).any():
    raise UserError(
      f'teachers.{name}.single_label: images of data.{teacher.data} carry '
      'several of its labels; set it to False.'
    )
  return _augmented(run_, teacher.data, split, targets)


def _real(run_: Run) -> distil.Real:
  """All training images, and which teachers' answers to each count."""
  config = run_.config
  sets = []
  for name in config.data:
    split = _data(run_, name, 'train')
    believed = np.ones((len(split.images), len(run_.asked)), bool)
    if run_.source.absent:
      for m, teacher in enumerate(run_.asked):
        own = config.teachers[teacher.name]
        if own.data is None:
          continue  # nobody knows what it was trained on
        if own.data != name:
          believed[:, m] = False
        elif teacher.name in run_.design.classifiers and _sees_own_only(
          own, config
        ):
          believed[:, m] = split.columns(own.labels).any(axis=1)
    sets.append(_augmented(run_, name, split, believed))
  return distil.Real(tuple(sets), config.image[:2])


def _sees_own_only(
  teacher: ml_collections.FrozenConfigDict,
  config: ml_collections.FrozenConfigDict,
) -> bool:
  """Whether a teacher is trained on images of its own labels alone."""
  return teacher.single_label or config.pretrain.teacher_data == 'own'


def _augmented(run_: Run, name: str, split, targets: np.ndarray) -> RealImages:
  own = run_.config.data[name]
  return RealImages(split.images, targets, shift=own.shift, flip=own.flip)


def _some_real(run_: Run) -> tuple[np.ndarray, np.ndarray]:
  """Real images to look at, and their targets on Y_cst."""
  images, targets = [], []
  for name in run_.config.data:
    split = _data(run_, name, 'train').showing(run_.config.labels)
    few = split.images[:_SAMPLES]
    images.append(np.asarray(prepared(few, run_.config.image[:2])))
    targets.append(split.columns(run_.config.labels)[:_SAMPLES])
  return np.concatenate(images), np.concatenate(targets)


def _samples(
  run_: Run, labels: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
  """Generated images, and the teachers' probabilities of some labels.

  If routed, the images are of teachers who are asked for one of them: on those
  of others nothing of all this would be there.
  """
  label_map = dataclasses.replace(run_.design.label_map, customised=labels)
  asked = tuple(run_.everyone[m] for m in label_map.asked)
  owners = label_map.asked_only().owners(labels)
  samples = _SAMPLES - _SAMPLES % len(asked)

  @jax.jit
  def draw(source, asked, key):
    z = jax.random.normal(key, (samples, source.noise))
    if source.routes:
      told = routing.one_hot(samples, label_map.asked, source.teachers)
      z = jnp.concatenate([z, told], axis=-1)
    image = source.module.apply(source.variables, z, train=False)[-1]
    shown = [source.seen_by(t, image) for t in asked]
    logits = discriminators.told(asked, shown, owners, routed=source.absent)
    return image, jax.nn.sigmoid(logits)

  images, said = draw(run_.source, asked, run_.key('samples'))
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
  'refine': _refine,
  'baselines': _baselines,
  'evaluate': _evaluate,
}
