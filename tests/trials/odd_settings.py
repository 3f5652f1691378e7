"""Sets every field of a config to every odd value, and counts the faults.

    python -m tests.trials.odd_settings

`schema.check` must take each value, or refuse it with one sentence of usual
length; anything else is a failure.
"""

import argparse
import copy
import datetime
import decimal
import fractions
import math
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import ml_collections
import numpy as np

from dualgan_jax.config import builders, schema
from dualgan_jax.errors import UserError
from dualgan_jax.presets import cifar10, digits, voc2007
from experiments.configs import strangers

_MAX_SENTENCE_LENGTH = 500
VALUES = (
  *(None, True, False, 0, 1, -1, 2, 3, 127, 10**9, 10**30, 10**400),
  *(2**31 - 1, 2**31, 2**63, -(2**63), 0.0, -0.0, 0.5, 1.0, 1.5, -1.5, 1e-300),
  *(1e-46, 1e38, 1e39, 1e300, math.inf, -math.inf, math.nan, 1j),
  *('', ' ', 'a', 'auto', 'float32', 'é', '0', 'T-shirt/top', 'x' * 10_000),
  *('..', '../..', 'a/b', 'a\nb', '\0', '\x1b[2J', '\u202e', '\ud800', b'a'),
  *((), (1,), (0,), (1, 2, 3), (8, 8, 1), (2, 2, 1), (1.5,), ('a',), ((1,),)),
  *(('a', 'a'), (None,), (10**20,), (math.nan,), ('\x1b',), ('x' * 300,)),
  *([], [1, 2], ['a'], {}, {'a': 1}, {'a': {'b': 1}}, {1, 2}, range(3)),
  *(np.int32(3), np.float32(0.5), np.float64(math.nan), np.array(3)),
  *(np.array([1, 2]), np.array([]), np.bool_(True), np.str_('a')),
  *(jnp.float32(1), jnp.arange(3), decimal.Decimal('0.5')),
  *(fractions.Fraction(1, 2), datetime.date(2020, 1, 1), pathlib.Path('a')),
  *(object(), len, int, lambda value: value),
)


def iterate_configs() -> Iterator[dict]:
  """Iterates over configs with every kind of teacher, data and objective."""
  yield digits.get_config().to_dict()
  config = digits.get_config('mixed,paper')
  config.teachers.files = {
    'labels': ('x',),
    **builders.weights('lenet5', 'x.pt'),
  }
  config.teachers.code = builders.module('nowhere.py')
  config.teachers.earlier = builders.student('nowhere')
  yield config.to_dict()
  for experiment in (cifar10, strangers, voc2007):
    yield experiment.get_config().to_dict()


def iterate_paths(group: dict, path: tuple[str, ...] = ()) -> Iterator[tuple]:
  """Iterates over the paths of all fields and groups."""
  for name, value in group.items():
    yield (*path, name)
    if isinstance(value, dict):
      yield from iterate_paths(value, (*path, name))


def iterate_trials() -> Iterator[tuple[dict, tuple[str, ...], Any]]:
  """Iterates over all configs, paths of fields, and odd values."""
  for config_values in iterate_configs():
    for path in iterate_paths(config_values):
      for value in VALUES:
        yield config_values, path, value


def find_fault(
  config_values: dict, path: tuple[str, ...], value: Any
) -> str | None:
  """Checks a config with one value changed.

  Args:
    config_values: values of a right config.
    path: names of a field and the groups that it is in.
    value: the value to set.

  Returns:
    What is wrong with how it was taken or refused, or None.
  """
  changed_values = copy.deepcopy(config_values)
  group = changed_values
  for name in path[:-1]:
    group = group[name]
  group[path[-1]] = value
  try:
    config = ml_collections.ConfigDict(changed_values)
  except Exception:
    return None  # ml_collections itself refuses it
  try:
    schema.check(config)
  except UserError as error:
    sentence = str(error)
    if not sentence.isprintable() or len(sentence) > _MAX_SENTENCE_LENGTH:
      return f'a sentence that is none: {sentence[:_MAX_SENTENCE_LENGTH]!r}'
  except Exception as error:
    return repr(error)
  return None


def main() -> None:
  """Tries all odd values, and prints those that fail."""
  argparse.ArgumentParser(description=__doc__.partition('\n')[0]).parse_args()
  num_tried = num_failed = 0
  for config_values, path, value in iterate_trials():
    fault = find_fault(config_values, path, value)
    num_tried += 1
    if fault:
      num_failed += 1
      print(f'{".".join(path)}: {str(value)[:40]!r}: {fault}')
  print(f'{num_tried:,} settings tried, {num_failed} failed.')
  sys.exit(num_failed > 0)


if __name__ == '__main__':
  main()
