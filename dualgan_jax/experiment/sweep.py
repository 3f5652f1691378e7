"""Runs one config with several seeds, and with several values of its fields.

Each run has a folder, ROOT/[FIELD=VALUE,...]/seed-N, and is resumed if it was
stopped. Runs with the same seed share teachers, and the generator, where they
would be the same. All configs are checked before the first run is trained.
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
from dualgan_jax.reporting import summary
from dualgan_jax.reporting.scores import COLUMN_TITLES
from dualgan_jax.reporting.spread import mean_and_std
from dualgan_jax.training import console

_METRIC_NAMES = ('top1', 'mAP')
# Bytes; the usual limit of file systems.
_MAX_NAME_BYTES = 255


def run_all(
  root: pathlib.Path,
  run_configs: Sequence[tuple[str, ml_collections.ConfigDict]],
) -> tuple[dict[str, list[dict]], list[str]]:
  """Runs all configs of a sweep, each in its folder.

  Args:
    root: the sweep's folder.
    run_configs: pairs (name of the arm, config), in the order to run in.

  Returns:
    By name of the arm, the results of the runs that are done; and a sentence
    for each run that failed.

  Raises:
    UserError: the user has to correct something, and no run is done yet.
    TrainingError: a run of several processes failed.
    InterruptedRun: a signal stopped a run; the same call resumes it.
  """
  for arm_name, config in run_configs:
    folder = _run_folder(root, arm_name, config)
    if len(os.fsencode(folder.parent.name)) > _MAX_NAME_BYTES:
      raise errors.UserError(
        f'--grid: {arm_name[:40]}... is too long for the name of a folder; '
        'make variants of the config for such values.'
      )
    # A mistake in the last config should not show after hours of training.
    dry_run(config, str(folder))
  arm_results, failures = {}, []
  for arm_name, config in run_configs:
    folder = _run_folder(root, arm_name, config)
    console.say(f'sweep: {folder}')
    try:
      init_from = find_donor(root, config, run_configs)
      results = run(config, str(folder), init_from=init_from)
    except (errors.TrainingError, errors.UserError) as error:
      # Probably all configs have the mistake, and no time is lost yet.
      if isinstance(error, errors.UserError) and not arm_results:
        raise
      # The other processes may wait in this run.
      if jax.process_count() > 1:
        raise
      failures.append(f'{folder}: {error}')
      continue
    arm_results.setdefault(arm_name, []).append(results)
    # Compiled programs of many runs would fill the memory.
    jax.clear_caches()
  return arm_results, failures


def parse_grid(text: str) -> dict[str, dict]:
  """Parses a grid of fields and values.

  Args:
    text: 'FIELD=VALUE,...;FIELD=VALUE,...'; a value is a Python literal, or
      else a text. Tuples need their brackets.

  Returns:
    By name of the arm, the fields that it changes, with their values.

  Raises:
    UserError: the text does not have that form.
  """
  axes = []
  for part in filter(None, text.split(';')):
    field, separator, values_text = part.partition('=')
    field = field.strip()
    if not (separator and field and values_text.strip()):
      raise errors.UserError(
        f'--grid: {part!r} should look like FIELD=VALUE,VALUE.'
      )
    # Every arm has the same seeds, which have a flag.
    if field == 'seed':
      raise errors.UserError('--grid: seeds are given by --seeds.')
    if any(field == other_field for ((other_field, _), *_) in axes):
      raise errors.UserError(
        f'--grid: {field} is named twice; give all its values once.'
      )
    axes.append([(field, value) for value in _parse_values(values_text)])
  return {
    ','.join(f'{field}={value}' for field, value in arm): dict(arm)
    for arm in itertools.product(*axes)
  }


def change_fields(
  config: ml_collections.ConfigDict, seed: int, fields: dict
) -> ml_collections.ConfigDict:
  """Copies a config, with another seed and other fields.

  Args:
    config: any config; it is not changed.
    seed: seed of the copy.
    fields: other values by field, {'generator.steps': 100}.

  Raises:
    UserError: there is no such field, or its type is another.
  """
  return builders.changed(config, {'seed': seed, **fields}, '--grid: ')


def results_table(arm_results: dict[str, list[dict]]) -> str:
  """Formats mean ± sample standard deviation per arm and model, as Markdown.

  Args:
    arm_results: results of the runs, by name of the arm.

  Returns:
    The table, and below it a warning if the runs were too short.
  """
  all_scores = [
    model_row.get(metric_name)
    for run_results in arm_results.values()
    for results in run_results
    for model_row in results['metrics'].values()
    for metric_name in _METRIC_NAMES
  ]
  # Without real images, only the agreement on generated ones is measured.
  has_scores = set(all_scores) != {None}
  columns = _METRIC_NAMES if has_scores else ('agreement',)
  titles = [COLUMN_TITLES.get(column, column) for column in columns]
  table_rows = [['model', *titles, 'seeds']]
  # Markdown aligns the numbers to the right.
  table_rows.append(['---', *['---:'] * (len(columns) + 1)])
  for arm_name, run_results in arm_results.items():
    for model_name in run_results[0]['metrics']:
      model_rows = [results['metrics'][model_name] for results in run_results]
      table_rows.append(
        [
          f'{arm_name} {model_name}'.strip(),
          *[
            mean_and_std([model_row.get(column) for model_row in model_rows])
            for column in columns
          ],
          ' '.join(str(results['seed']) for results in run_results),
        ]
      )
  warning = summary.warn_of_short_runs(
    [
      arm_name or 'all runs'
      for arm_name, run_results in arm_results.items()
      if any(map(summary.smoke_warning, run_results))
    ]
  )
  return '\n\n'.join(filter(None, [display.align(table_rows), warning]))


def find_donor(
  root: pathlib.Path,
  config: ml_collections.ConfigDict,
  run_configs: Sequence[tuple[str, ml_collections.ConfigDict]],
) -> str | None:
  """Finds an earlier run whose teachers, or generator, a run can take.

  Args:
    root: the sweep's folder.
    config: config of the run that looks for a donor.
    run_configs: pairs (name of the arm, config) of the sweep, in their order.

  Returns:
    The folder of the first earlier run with finished teachers and the same
    generator, or else with the same teachers; None if there is no such run.
  """
  donors = []
  for arm_name, earlier_config in itertools.takewhile(
    lambda run_config: run_config[1] is not config, run_configs
  ):
    folder = _run_folder(root, arm_name, earlier_config)
    has_same_teachers = _have_same_fields(config, earlier_config, 'pretrain')
    if has_same_teachers and stage_records.is_finished(folder, 'pretrain'):
      has_same_generator = _have_same_fields(
        config, earlier_config, 'generator'
      )
      donors.append((not has_same_generator, str(folder)))
  # Of equal donors, `min` returns the first.
  return min(donors, key=lambda donor: donor[0])[1] if donors else None


def _run_folder(
  root: pathlib.Path, arm_name: str, config: ml_collections.ConfigDict
) -> pathlib.Path:
  """Returns the folder of a run; a value in an arm's name may be a path."""
  return root / arm_name.replace('/', '%2F') / f'seed-{config.seed}'


def _parse_values(text: str) -> list:
  """Parses a comma-separated list of literals or texts."""
  try:
    return list(ast.literal_eval(f'({text},)'))
  except (ValueError, SyntaxError):
    # Texts and paths need no quotes.
    return [value.strip() for value in text.split(',')]


def _have_same_fields(
  first_config: ml_collections.ConfigDict,
  second_config: ml_collections.ConfigDict,
  stage: str,
) -> bool:
  """Returns whether a stage has the same fields in two configs."""
  first_fields, second_fields = (
    stage_fields.by_stage(schema.check(config))[stage]
    for config in (first_config, second_config)
  )
  return first_fields == second_fields
