"""Runs one config with several seeds, and with several values of its fields.

Each run has a folder, ROOT/[FIELD=VALUE,...]/seed-N, and goes on where it was
stopped. Runs of one seed share teachers, and the generator, where they would be
the same. All are checked before the first is trained.
"""

import ast
import itertools
import os
import pathlib
from collections.abc import Sequence

import jax
import ml_collections

from dualgan_jax import display, errors
from dualgan_jax.config import builders, schema, stage_fields
from dualgan_jax.experiment import stage_records
from dualgan_jax.experiment.run import dry_run, run
from dualgan_jax.reporting.spread import mean_and_std
from dualgan_jax.training import console

_COLUMNS = ('top1', 'mAP', 'exact_match')
_LONGEST_NAME = 255  # bytes, of a file system's usual limit


def run_all(
  root: pathlib.Path, plan: Sequence[tuple[str, ml_collections.ConfigDict]]
) -> tuple[dict[str, list[dict]], list[str]]:
  """Runs all of a plan, each in its folder.

  Args:
    root: the sweep's folder.
    plan: all runs, by name of their arm, in their order.

  Returns:
    The results of the runs that are done, by name of their arm, and a sentence
    for each run that could not go on.

  Raises:
    UserError: something is to be put right, and no run is done yet.
    TrainingError: a run of several processes could not go on.
    InterruptedRun: a signal came; the same call goes on.
  """
  for name, config in plan:
    folder = _folder(root, name, config)
    if len(os.fsencode(folder.parent.name)) > _LONGEST_NAME:
      raise errors.UserError(
        f'--grid: {name[:40]}... is too long for the name of a folder; make '
        'variants of the config for such values.'
      )
    dry_run(config, str(folder))
  done, failed = {}, []
  for name, config in plan:
    folder = _folder(root, name, config)
    console.say(f'sweep: {folder}')
    try:
      origin = donor(root, config, plan)
      results = run(config, str(folder), init_from=origin)
    except (errors.TrainingError, errors.UserError) as e:
      if isinstance(e, errors.UserError) and not done:
        raise  # as likely wrong for all, and no time is lost yet
      if jax.process_count() > 1:
        raise  # the other processes may wait in this run
      failed.append(f'{folder}: {e}')
      continue
    done.setdefault(name, []).append(results)
    jax.clear_caches()
  return done, failed


def grid(text: str) -> dict[str, dict]:
  """The arms of a grid: by name, the fields that they change.

  Args:
    text: 'FIELD=VALUE,...;FIELD=VALUE,...'; a value is a Python literal, or
      else a text. Tuples need their brackets.

  Raises:
    UserError: it is not of that form.
  """
  axes = []
  for part in filter(None, text.split(';')):
    field, found, values = part.partition('=')
    if not (found and field.strip() and values.strip()):
      raise errors.UserError(
        f'--grid: {part!r} should look like FIELD=VALUE,VALUE.'
      )
    if field.strip() == 'seed':
      raise errors.UserError('--grid: seeds are given by --seeds.')
    if any(field.strip() == other for ((other, _), *_) in axes):
      raise errors.UserError(
        f'--grid: {field.strip()} is named twice; give all its values once.'
      )
    axes.append([(field.strip(), v) for v in _values(values)])
  return {
    ','.join(f'{field}={value}' for field, value in arm): dict(arm)
    for arm in itertools.product(*axes)
  }


def changed(
  config: ml_collections.ConfigDict, seed: int, fields: dict
) -> ml_collections.ConfigDict:
  """A copy of the config with another seed and other fields.

  Raises:
    UserError: there is no such field, or its type is another.
  """
  copy = builders.changed(config, {'seed': seed, **fields}, '--grid: ')
  if copy.generator.features is None and 'widths' in copy.student:
    # Said out loud, or a run would take them from the run it shares with.
    copy.generator.features = copy.student.widths[:-1]
  return copy


def table(done: dict[str, list[dict]]) -> str:
  """Mean ± spread per arm and model, as Markdown."""
  found = [
    row.get(k)
    for results in done.values()
    for r in results
    for row in r['metrics'].values()
    for k in _COLUMNS
  ]
  # Without real images there is only what the generator makes.
  columns = ('agreement',) if set(found) == {None} else _COLUMNS
  rows = [['model', *columns, 'seeds']]
  rows.append(['---', *['---:'] * (len(columns) + 1)])
  for name, results in done.items():
    for model in results[0]['metrics']:
      own = [r['metrics'][model] for r in results]
      rows.append(
        [
          f'{name} {model}'.strip(),
          *[mean_and_std([x.get(k) for x in own]) for k in columns],
          ' '.join(str(r['seed']) for r in results),
        ]
      )
  return display.align(rows)


def _folder(root, name, config):
  # A value may be a path.
  return root / name.replace('/', '%2F') / f'seed-{config.seed}'


def _values(text: str) -> list:
  """A comma-separated list of literals or texts."""
  try:
    return list(ast.literal_eval(f'({text},)'))
  except (ValueError, SyntaxError):
    return [x.strip() for x in text.split(',')]


def donor(
  root: pathlib.Path,
  config: ml_collections.ConfigDict,
  plan: Sequence[tuple[str, ml_collections.ConfigDict]],
) -> str | None:
  """The folder of an earlier run to share with, if there is one.

  Args:
    root: the sweep's folder.
    config: of the run that asks.
    plan: all runs, by name of their arm, in their order.

  Returns:
    That of the first run with the same generator, else with the same teachers,
    whose teachers are finished.
  """
  found = []
  for name, other in itertools.takewhile(lambda x: x[1] is not config, plan):
    folder = _folder(root, name, other)
    if _same(config, other, 'pretrain') and stage_records.is_finished(
      folder, 'pretrain'
    ):
      found.append((not _same(config, other, 'generator'), str(folder)))
  return min(found, key=lambda x: x[0])[1] if found else None


def _same(one, other, stage):
  fields = [stage_fields.by_stage(schema.check(x))[stage] for x in (one, other)]
  return fields[0] == fields[1]
