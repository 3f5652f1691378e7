"""Takes fields by the names that they had in version 0.1.

Configs of users, command lines and records of runs may have them. They will go
with version 0.3.
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

# By former path, the present one; NAME stands for any name.
_PRESENT_PATHS = {
  'image': 'image_shape',
  'generator.noise': 'generator.latent_dim',
  'dual.filters': 'dual.filter_start',
  'objective.prior': 'objective.bn_prior_weight',
  'refine.disagreement': 'refine.adversarial_weight',
  'refine.replays': 'refine.replay_steps',
  'refine.pool_batches': 'refine.replay_buffer_batches',
  'refine.shift': 'augmentation.shift',
  'refine.flip': 'augmentation.flip',
  'refine.mixup': 'augmentation.mixup',
  'teachers.NAME.size': 'teachers.NAME.image_shape',
  'teachers.NAME.deviation': 'teachers.NAME.std',
}
# Of fields that are no more, the value that does what is done without them.
_REMOVED_FIELDS = {'refine.reward': 'probabilities'}


def present_path(field_path: str) -> str:
  """Returns the present path of a field.

  Args:
    field_path: such as 'teachers.low.deviation' or 'generator.noise'.
  """
  parts = field_path.split('.')
  name = parts[1] if parts[0] == 'teachers' and len(parts) == 3 else ''
  if name:
    parts[1] = 'NAME'
  path = _PRESENT_PATHS.get('.'.join(parts))
  return field_path if path is None else path.replace('NAME', name)


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


def rename(config_values: Mapping[str, Any]) -> dict[str, Any]:
  """Renames the fields of a config that have a former name, and warns.

  Args:
    config_values: values and groups of values by name; of any kind where the
      config is wrong.

  Returns:
    The same values. A former name takes precedence: the builders give the
    present one a default.
  """
  former_values: dict[str, Any] = {}
  values = _take_former('', config_values, former_values)
  for path, value in former_values.items():
    *group_names, name = path.split('.')
    group = values
    for group_name in group_names:
      group = group.setdefault(group_name, {})
    group[name] = value
  return values


def _take_former(
  prefix: str, config_values: Mapping[str, Any], former_values: dict[str, Any]
) -> dict[str, Any]:
  """Moves the values that have a former name to `former_values`, by path."""
  values: dict[str, Any] = {}
  for name, value in config_values.items():
    path = f'{prefix}{name}'
    if isinstance(value, dict):
      values[name] = _take_former(f'{path}.', value, former_values)
    elif present_path(path) == path:
      values[name] = value
    else:
      warn(path)
      former_values[present_path(path)] = value
  return values


def rename_flat(fields: Mapping[str, Any]) -> dict[str, Any]:
  """Renames fields of a record that have a former name.

  Args:
    fields: values by path, as `stage_fields.by_stage` lists them.

  Returns:
    The same values, without removed fields that changed nothing.
  """
  return {
    present_path(path): value
    for path, value in fields.items()
    if path not in _REMOVED_FIELDS or value != _REMOVED_FIELDS[path]
  }


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
