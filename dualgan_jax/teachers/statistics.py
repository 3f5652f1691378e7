"""Checks the statistics that a teacher of a user's own code comes with."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from dualgan_jax.errors import UserError
from dualgan_jax.teachers import forward
from dualgan_jax.teachers.teacher import Teacher
from dualgan_jax.teachers.user_errors import user_errors


def normalize(field: str, statistics: Any) -> dict[str, Any]:
  """Checks that statistics are pairs of vectors, and makes them arrays.

  Args:
    field: of the config, for the messages.
    statistics: of a `Teacher` that the user's code made; of any type.

  Raises:
    UserError: they are something else.
  """
  message = (
    f'{field}: its statistics must be a dict of pairs by the names of tensors, '
    "like {'norm1': (mean, variance)}, both of one value per channel."
  )
  if not isinstance(statistics, Mapping):
    raise UserError(message)
  pairs = {}
  for name, pair in statistics.items():
    try:
      mean, variance = (jnp.asarray(array, jnp.float32) for array in pair)
    except (TypeError, ValueError) as error:
      raise UserError(message) from error
    is_named = isinstance(name, str)
    if not is_named or mean.ndim != 1 or mean.shape != variance.shape:
      raise UserError(message)
    pairs[name] = (mean, variance)
  return pairs


def check(
  field: str, teacher: Teacher, image_shape: tuple[int, int, int]
) -> None:
  """Checks that a teacher's functions name a tensor for all its statistics.

  Args:
    field: of the config, for the messages.
    teacher: with statistics as `normalize` makes them.
    image_shape: (height, width, channels) of the images that it takes.

  Raises:
    UserError: a name is given to no tensor, or to one of other channels.
  """
  if not teacher.statistics:
    return
  with user_errors(f'{field}: cannot answer images'):
    channels_by_name = forward.named_tensors(teacher, image_shape)
  for name, (mean, _) in teacher.statistics.items():
    if name not in channels_by_name:
      raise UserError(
        f'{field}: its statistics are of {name!r}, a name that its functions '
        f'give to no tensor; call dualgan_jax.name_tensor(x, {name!r}) in one '
        'of them.'
      )
    if channels_by_name[name] != len(mean):
      raise UserError(
        f'{field}: its statistics of {name!r} are of {len(mean)} channels, but '
        f'the tensor of this name has {channels_by_name[name]} (its last axis).'
      )
