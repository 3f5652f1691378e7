"""Takes fields by the names that they had in version 0.1.

Configs of users, command lines and records of runs may have them. They will go
with version 0.3.
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

# By former path, the present name; NAME stands for any name.
_PRESENT_NAMES = {
  'image': 'image_shape',
  'generator.noise': 'latent_dim',
  'dual.filters': 'filter_start',
  'objective.prior': 'bn_prior_weight',
  'refine.disagreement': 'adversarial_weight',
  'refine.replays': 'replay_steps',
  'refine.pool_batches': 'replay_buffer_batches',
  'teachers.NAME.size': 'image_shape',
  'teachers.NAME.deviation': 'std',
}


def present_path(field_path: str) -> str:
  """Returns the path of a field by its present name.

  Args:
    field_path: such as 'teachers.low.deviation' or 'generator.noise'.
  """
  group_path, dot, _ = field_path.rpartition('.')
  parts = field_path.split('.')
  if parts[0] == 'teachers' and len(parts) == 3:
    parts[1] = 'NAME'
  name = _PRESENT_NAMES.get('.'.join(parts))
  return field_path if name is None else f'{group_path}{dot}{name}'


def warn(field_path: str) -> None:
  """Warns that a field has another name by now.

  Args:
    field_path: a path that `present_path` changes.
  """
  warnings.warn(
    f'{field_path} is now {present_path(field_path)}; the old name will be '
    'removed.',
    DeprecationWarning,
    stacklevel=2,
  )


def rename(
  config_values: Mapping[str, Any], group_path: str = ''
) -> dict[str, Any]:
  """Renames the fields of a config that have a former name, and warns.

  Args:
    config_values: values and groups of values by name; of any kind where the
      config is wrong.
    group_path: such as 'generator'; '' for the top.

  Returns:
    The same values. A former name takes precedence: the builders give the
    present one a default.
  """
  values, former_values = {}, {}
  for name, value in config_values.items():
    field_path = f'{group_path}.{name}' if group_path else str(name)
    if isinstance(value, dict):
      value = rename(value, field_path)
    present_name = present_path(field_path).rpartition('.')[2]
    if present_name == str(name):
      values[name] = value
    else:
      warn(field_path)
      former_values[present_name] = value
  return values | former_values


def rename_flat(fields: Mapping[str, Any]) -> dict[str, Any]:
  """Renames fields of a record that have a former name.

  Args:
    fields: values by path, as `stage_fields.by_stage` lists them.
  """
  return {present_path(path): value for path, value in fields.items()}


def rename_flags(argv: Iterable[str]) -> Iterator[str]:
  """Renames flags such as --config.generator.noise=64, and warns.

  Args:
    argv: words of a command line.
  """
  prefix = 'config.'
  for word in argv:
    dashes = '-' * (len(word) - len(word.lstrip('-')))
    flag_name, equals, value = word[len(dashes) :].partition('=')
    field_path = flag_name.removeprefix(prefix)
    if dashes and flag_name.startswith(prefix):
      path = present_path(field_path)
      if path != field_path:
        warn(field_path)
        word = f'{dashes}{prefix}{path}{equals}{value}'
    yield word
