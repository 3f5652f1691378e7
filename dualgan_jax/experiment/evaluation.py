"""Stage `evaluate`: what a run has come to, and what people take away."""

import dataclasses
import functools
import importlib.metadata
import json
import pathlib
import platform
import subprocess
import time
from typing import Any

import jax
import numpy as np

from dualgan_jax import version
from dualgan_jax.config import schema
from dualgan_jax.errors import UserError, first_line
from dualgan_jax.experiment import real_data
from dualgan_jax.experiment.context import Run
from dualgan_jax.method import discriminators, routing
from dualgan_jax.reporting import cost, report
from dualgan_jax.stages import distillation
from dualgan_jax.student import student
from dualgan_jax.teachers import forward
from dualgan_jax.training import console, parallel

# Images drawn to be looked at.
_SAMPLES = 512


def measure(run_: Run) -> None:
  """Measures all models of a run, and writes what it leaves.

  Here, and nowhere before, the test part of the data is opened.
  """
  from dualgan_jax.reporting import metrics  # scikit-learn takes a second

  if run_.folder.finished('evaluate'):
    return
  began = time.monotonic()
  config, label_map = run_.config, run_.label_map
  trains, tests = (
    [real_data.load(config, name, part) for name in config.data]
    for part in ('train', 'test')
  )
  image = jax.ShapeDtypeStruct((1, *config.image), np.float32)

  answered = {}  # to the real images, by model

  def targets(labels):
    found = np.concatenate([test.columns(labels) for test in tests])
    told = np.any([np.isin(labels, test.names) for test in tests], axis=0)
    found[:, ~told] = np.nan  # nobody knows
    return found

  def scores(name, apply, variables, labels):
    if not tests:
      return dict.fromkeys(report.COLUMNS)
    logits = [
      metrics.answers(apply, variables, test.images, config.image[:2])
      for test in tests
    ]
    known = [np.isin(labels, test.names) for test in tests]
    worlds = {}
    if len(tests) > 1 and all(x.any() for x in known):
      worlds['right_world'] = metrics.right_world(logits, known)
    answered[name] = np.concatenate(logits)
    return {**metrics.scores(answered[name], targets(labels)), **worlds}

  def measured(name, apply, variables, labels):
    return {
      **scores(name, apply, variables, labels),
      'params': cost.parameters(variables),
      'flops': cost.flops(apply, variables, image),
    }

  def together(variables, x):
    logits = [
      forward.tail(t, own, x, 0)
      for t, own in zip(run_.asked, variables, strict=True)
    ]
    return discriminators.combine(logits, label_map.owners(config.labels))

  rows = {
    'teachers': measured(
      'teachers', together, [t.variables for t in run_.asked], config.labels
    )
  }
  for t in run_.everyone:
    alone = functools.partial(_alone, t)
    rows[t.name] = measured(t.name, alone, t.variables, t.labels)
  generated, said = samples(run_, config.labels)
  for name, (apply, variables) in run_.models.items():
    answer = jax.jit(lambda v, x, apply=apply: apply(v, x, train=False)[0])
    rows[name] = {
      **measured(name, answer, variables, config.labels),
      'agreement': float(
        distillation.agreement(answer(variables, generated), said)
      ),
    }
    if not tests:
      answered[name] = answer(variables, generated)
  if not tests:
    answered['teachers'] = said
  if parallel.is_first():
    report.samples(
      run_.folder.stage('evaluate') / 'samples.png',
      config.labels,
      generated,
      said,
      real=real_data.some(config, trains, _SAMPLES) if tests else None,
    )
  run_.seconds = time.monotonic() - began
  stages = [s for s in schema.STAGES if s != 'evaluate']
  results = {
    'experiment': config.experiment,
    'objective': config.objective.name,
    'oracle': config.objective.oracle,
    'seed': config.seed,
    'labels': list(config.labels),
    'images': {
      name: {'train': len(train.images), 'test': len(test.images)}
      for name, train, test in zip(config.data, trains, tests, strict=True)
    },
    'metrics': rows,
    'per_label': metrics.per_label(
      config.labels,
      answered['compact'],
      answered['teachers'],
      targets(config.labels) if tests else None,
    ),
    'routed': bool(run_.source.routed_teachers),
    'misfits': run_.misfits,
    'branch_points': run_.points,
    'branch_losses': run_.branch_losses,
    'seconds': {
      **{s: run_.folder.seconds(s) for s in stages},
      'evaluate': round(run_.seconds, 1),
    },
    'devices': f'{len(run_.devices)} × {run_.devices[0].device_kind}',
    'versions': _versions(),
    'config': schema.fields(config, *schema.STAGES),
  }
  if parallel.is_first():
    _take_away(run_, results)
    report.write(run_.folder.path, results)


def damage(workdir: pathlib.Path) -> list[str]:
  """Names what a finished evaluation has left that cannot be read any more.

  Args:
    workdir: the run's folder.

  Returns:
    A sentence for each, without its full stop.
  """
  lines = []
  try:
    report.table(read(workdir))
  # Whatever a table trips over: the file may hold anything.
  except Exception as e:
    file = workdir / 'results.json'
    lines.append(f'{file} is lost or damaged ({first_line(e)})')
  for folder in ('student', 'branched'):
    # A branched net may be missing: code of a teacher need not be exportable.
    if folder == 'student' or (workdir / folder).exists():
      try:
        student.load(workdir / folder)
      except UserError as e:
        lines.append(str(e).rstrip('.'))
  return lines


def read(workdir: pathlib.Path) -> dict[str, Any]:
  """Reads `results.json` of a run's folder."""
  return json.loads((workdir / 'results.json').read_text(encoding='utf-8'))


def _take_away(run_: Run, results: dict[str, Any]) -> None:
  """Writes the folders `student` and, if there is one, `branched`."""
  config = run_.config
  kind = {'single_label': run_.design.student.single_label}
  origin = {k: results[k] for k in ('experiment', 'objective', 'seed')}
  common = {
    'labels': config.labels,
    'image': config.image,
    'origin': origin | results['versions'],
  }
  student.write(
    run_.folder.path / 'student',
    run_.models['compact'][1],
    net={**config.student.to_dict(), **kind},
    **common,
  )
  if 'branched' in run_.models:
    apply, variables = run_.models['branched']
    try:
      student.write_program(
        run_.folder.path / 'branched',
        lambda own, x: apply(own, x, train=False)[0],
        variables,
        net={'kind': 'branched', 'points': run_.points, **kind},
        **common,
      )
    except UserError as e:  # all else is there
      console.say(f'evaluate: {e}')


def _alone(teacher, variables, x):
  return forward.tail(teacher, variables, x, 0)


def samples(
  run_: Run, labels: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
  """Generated images, and the teachers' logits of some labels.

  If routed, the images are of teachers who are asked for one of them: on those
  of others nothing of all this would be there.
  """
  label_map = dataclasses.replace(run_.design.label_map, customised=labels)
  asked = tuple(run_.everyone[m] for m in label_map.asked)
  owners = label_map.asked_only().owners(labels)
  rows = _SAMPLES - _SAMPLES % len(asked)

  @jax.jit
  def draw(source, asked, key):
    z = routing.condition_latents(
      jax.random.normal(key, (rows, source.latent_dim)),
      label_map.asked if source.routed_teachers else (),
      source.num_teachers,
    )
    image = source.module.apply(source.variables, z, train=False)[-1]
    filtered_images = [source.filtered_image(t, image) for t in asked]
    return image, discriminators.ensemble_logits(
      asked, filtered_images, owners, routed=source.foreign_labels_absent
    )

  images, logits = draw(run_.source, asked, run_.key('samples'))
  return np.asarray(images), np.asarray(logits)


def _versions() -> dict[str, str]:
  return {
    'python': platform.python_version(),
    'dualgan_jax': version.__version__,
    **{x: _version(x) for x in ('jax', 'flax', 'optax', 'orbax-checkpoint')},
    'commit': commit(pathlib.Path(__file__)),
  }


def _version(distribution: str) -> str:
  try:
    return importlib.metadata.version(distribution)
  except importlib.metadata.PackageNotFoundError:
    return 'unknown'  # it lies on the path, and nobody has installed it


def commit(file: pathlib.Path) -> str:
  """The commit that a file was checked out from, as far as known."""

  def git(*args):
    done = subprocess.run(
      ['git', *args], cwd=file.parent, check=True, capture_output=True
    )
    return done.stdout.decode().strip()

  try:
    # Installed, it may lie in a folder of somebody else's repository.
    git('ls-files', '--error-unmatch', file.name)
    changed = git('status', '--porcelain', '--', ':/')  # configs, too
    return git('rev-parse', 'HEAD') + (' and changes' if changed else '')
  except (OSError, subprocess.CalledProcessError):
    return 'unknown'
