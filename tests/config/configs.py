"""Builds changed configs, for tests of the schema."""

import ml_collections

from dualgan_jax.presets import digits
from tests import others

MISSING = object()


def make_config(**changes):
  """Builds the digits config, with fields like `student__kind` changed."""
  values = digits.get_config().to_dict()
  for field, value in changes.items():
    group, (*path, name) = values, field.split('__')
    for part in path:
      group = group[part]
    if value is MISSING:
      del group[name]
    else:
      group[name] = value
  return ml_collections.ConfigDict(values)


def config_with_weights(**changes):
  """Builds a config with a teacher `one` from a weight file."""
  values = others.get_config('weights.pt').to_dict()
  values['teachers']['one'].update(changes)
  return ml_collections.ConfigDict(values)
