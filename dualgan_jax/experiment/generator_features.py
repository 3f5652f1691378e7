"""The widths of the generator's features, where a config leaves them open."""

import ml_collections

from dualgan_jax.config import stage_fields
from dualgan_jax.experiment import stage_records


def fill_in(
  config: ml_collections.FrozenConfigDict, workdir: str, init_from: str | None
) -> ml_collections.FrozenConfigDict:
  """Fills in `generator.features`: a generator's at hand, or the student's.

  Args:
    config: checked.
    workdir: the run's folder, where a generator may be begun.
    init_from: another run's folder, which a finished generator may be taken
      over from, or None.
  """
  if config.generator.features is not None:
    return config
  at_hand = generator_features(config, workdir, init_from)
  return _with_features(config, at_hand or config.student.widths[:-1])


def generator_features(
  config: ml_collections.FrozenConfigDict, workdir: str, init_from: str | None
) -> tuple[int, ...] | None:
  """Finds the feature widths of the generator that a run will go on with.

  Args:
    config: checked, its `generator.features` open.
    workdir: the run's folder, where a generator may be begun.
    init_from: another run's folder, which a finished one may be taken over
      from, or None.

  Returns:
    One width per block of the student but the last, or None: there is no such
    generator.
  """
  for folder in filter(None, (workdir, init_from)):
    record = stage_records.read(stage_records.absolute(folder), 'generator')
    if record is None:
      continue
    features = tuple(record['fields']['generator.features'])
    if len(features) != len(config.student.widths) - 1:
      continue
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
  values = config.to_dict()
  values['generator']['features'] = features
  return ml_collections.FrozenConfigDict(values)
