"""Chooses the generator's feature widths, where a config leaves them open."""

import ml_collections

from dualgan_jax.config import stage_fields
from dualgan_jax.experiment import stage_records


def fill_in(
  config: ml_collections.FrozenConfigDict, workdir: str, init_from: str | None
) -> ml_collections.FrozenConfigDict:
  """Fills in `generator.features` with an existing generator's, or defaults.

  Args:
    config: a checked config.
    workdir: the run's folder, which may have a generator.
    init_from: another run's folder, whose finished generator may be taken over,
      or None.

  Returns:
    The config, with the features of `find_existing_features`, or else the
    widths of the student's blocks but the last.
  """
  if config.generator.features is not None:
    return config
  existing_features = find_existing_features(config, workdir, init_from)
  return _with_features(config, existing_features or config.student.widths[:-1])


def find_existing_features(
  config: ml_collections.FrozenConfigDict, workdir: str, init_from: str | None
) -> tuple[int, ...] | None:
  """Finds the feature widths of the generator that a run will resume or take.

  Args:
    config: a checked config, whose `generator.features` is None.
    workdir: the run's folder, which may have a generator.
    init_from: another run's folder, whose finished generator may be taken over,
      or None.

  Returns:
    One width per block of the student but the last; None if there is no such
    generator.
  """
  # A generator in the folder of the run takes precedence.
  for folder in filter(None, (workdir, init_from)):
    record = stage_records.read(stage_records.absolute(folder), 'generator')
    if record is None:
      continue
    features = tuple(record['fields']['generator.features'])
    # A student with another number of blocks needs another generator.
    if len(features) != len(config.student.widths) - 1:
      continue
    # With these features, would this config make that generator?
    fields = stage_fields.by_stage(_with_features(config, features))
    is_begun_here = folder == workdir and (
      record['finished']
      or not stage_fields.differing(record['fields'], fields['generator'])
    )
    if is_begun_here or stage_records.is_at_hand(
      'generator', fields, workdir, init_from
    ):
      return features
  return None


def _with_features(
  config: ml_collections.FrozenConfigDict, features: tuple[int, ...]
) -> ml_collections.FrozenConfigDict:
  """Returns the config with other feature widths of the generator."""
  values = config.to_dict()
  values['generator']['features'] = features
  return ml_collections.FrozenConfigDict(values)
