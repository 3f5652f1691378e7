"""What each stage does with a config: from teachers to results.

The stages proper, in `stages/`, know of no config and no file; here their parts
are put together, each taking what the ones before it left in `Run`.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import numpy as np

from dualgan_jax.experiment import description, evaluation, real_data
from dualgan_jax.experiment.context import Run
from dualgan_jax.experiment.nets import configured_routing, generator_phase
from dualgan_jax.method import branched, frozen_generator
from dualgan_jax.networks.classifier import join
from dualgan_jax.reporting import report
from dualgan_jax.stages import (
  branch_points,
  distillation,
  dual,
  pretrain,
  refine,
  routing_probe,
)
from dualgan_jax.teachers import forward
from dualgan_jax.teachers.teacher import from_classifier
from dualgan_jax.training import console, parallel
from dualgan_jax.training.phase import adam

# Batches that the misfit of the teachers' statistics is measured on.
_PROBED = 16
_OPENING_DATA = {'pretrain', 'baselines', 'evaluate'}


def _pretrain(run_: Run) -> None:
  config = run_.config
  found, own = [], config.pretrain
  # All data are read before anything is trained, in whichever stage.
  waiting = {x for x in run_.stages if not run_.folder.finished(x)}
  splits = real_data.check(config) if waiting & _OPENING_DATA else {}
  # Teachers of one set share its images.
  load = functools.cache(
    lambda name: real_data.of_teacher(config, name, splits)
  )
  if 'pretrain' in waiting:
    for name in run_.design.classifiers:
      load(name)
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
    found.append(from_classifier(name, labels, net, variables))
  run_.everyone = tuple(found)
  run_.asked = tuple(found[m] for m in run_.design.label_map.asked)
  run_.label_map = run_.design.label_map.asked_only()


def _generator(run_: Run) -> None:
  if not run_.folder.finished('generator'):
    for line in description.missing_prior(list(run_.everyone), run_.design):
      console.say(line)
  routed = _routed(run_)
  phase = generator_phase(
    run_.design, run_.config, run_.everyone, routed=routed
  )
  state = run_.train(phase)
  variables = join(state.params['generator'], state.batch_stats)
  run_.source = frozen_generator.FrozenGenerator(
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
      *evaluation.samples(run_, run_.design.label_map.union),
    )


def _routed(run_: Run) -> bool:
  """Whether each image is to belong to one teacher."""
  config, everyone = run_.config, run_.everyone
  news = not run_.folder.finished('generator')
  routed = configured_routing(config, everyone)
  if routed is not None:
    if news and routed and config.objective.routing == 'auto':
      certain = ', '.join(t.name for t in everyone if t.single_label)
      console.say(
        'generator: routing is on; a teacher with one label per image '
        f'({certain}) names one whatever it is shown. If all teachers describe '
        'the same images, set objective.routing=off.'
      )
    return routed
  if not config.objective.prior or not any(
    forward.has_batch_norm(t, config.image) for t in everyone
  ):
    if news:
      console.say(
        'generator: routing is off; without the statistics prior nothing tells '
        'whether the teachers were trained on the same data. If they were not, '
        'set objective.routing=on.'
      )
    return False
  trained = run_.train(
    generator_phase(run_.design, config, everyone, routed=True, part='probe')
  )
  measured = run_.train(
    routing_probe.phase(
      'generator/misfit',
      run_.design.generator,
      config.generator.noise,
      everyone,
      trained,
      batches=_PROBED,
      batch=config.generator.batch,
    )
  )
  run_.misfits = routing_probe.misfits([t.name for t in everyone], measured)
  routed = routing_probe.differ(run_.misfits)
  if news:
    console.say(
      f'generator: routing is {"on" if routed else "off"}; all images together '
      "fit the teachers' statistics worse than their own by a factor of "
      + ', '.join(f'{x:.2f} ({name})' for name, x in run_.misfits.items())
      + f'; it is on where their mean is above {routing_probe.ROUTE_ABOVE}'
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
    phase = distillation.phase(
      f'targetnet/{name}',
      apply,
      lambda key, start=start: start,
      distillation.generated,
      run_.label_map,
      lambda: distillation.Frozen(run_.asked, run_.source),
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
    branch_points.branch_phase(
      design.student,
      run_.label_map,
      branch_points.Measured(frozen, run_.filters),
      batches=own.measure_batches,
      batch=own.batch,
    )
  )
  run_.branch_losses = branch_points.branch_losses(measured)
  run_.points = branch_points.branch_points(
    run_.branch_losses, own.branch_tolerance
  )
  return branched.create(
    design.student.blocks,
    run_.student,
    [run_.filters[f'block_{run_.points[t.name]}'][t.name] for t in run_.asked],
    run_.asked,
    [run_.points[t.name] for t in run_.asked],
    run_.label_map,
    single_label=design.student.single_label,
    absent=run_.source.foreign_labels_absent,
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
    dataclasses.replace(
      design.loss_weights, routed=bool(run_.source.routed_teachers)
    ),
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
  if not own.steps:
    return
  kinds = {
    'noise': (distillation.noise, lambda: np.zeros(design.image, np.float32))
  }
  if run_.config.data:
    kinds['real_data'] = (
      distillation.real,
      lambda: real_data.of_baseline(
        run_.config,
        run_.asked,
        absent=run_.source.foreign_labels_absent,
      ),
    )
  for name, (draw, origin) in kinds.items():
    phase = distillation.phase(
      f'baselines/{name}',
      design.student.apply,
      lambda key: design.student.init(key, design.image),
      draw,
      run_.label_map,
      lambda origin=origin: distillation.Frozen(run_.asked, origin()),
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


STAGES: dict[str, Callable[[Run], None]] = {
  'pretrain': _pretrain,
  'generator': _generator,
  'dual': _dual,
  'targetnet': _targetnet,
  'refine': _refine,
  'baselines': _baselines,
  'evaluate': evaluation.measure,
}
