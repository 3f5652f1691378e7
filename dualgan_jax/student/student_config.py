"""Checks the `config.json` of a student's folder, which anybody may have made.

It bounds everything that a small file could make large: a config that passes
takes seconds to load, and its images, labels and features fit into memory.
"""

import json
import math
import pathlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dualgan_jax.display import printable
from dualgan_jax.names import label_fault
from dualgan_jax.networks.classifier import KINDS, MOST_PIXELS

FORMAT = 1
_MAX_BYTES = 2**24
_MAX_LABELS = 100_000
_MAX_BLOCKS = 100
_MAX_CONVOLUTIONS = 500
_MAX_WIDTH = 2**16
# Numbers that a block computes of one image.
_MAX_FEATURES = 2**26
_MAX_TEXT_LENGTH = 1000
_NET_FIELDS = {'kind', 'widths', 'depths', 'strides', 'batch_norm'}
# The first folders had none of these.
_LATER_NET_FIELDS = {'single_label', 'hidden_widths'}
_SHA256_DIGEST = re.compile('[0-9a-f]{64}')


def read(path: pathlib.Path) -> dict[str, Any]:
  """Reads and checks a config.

  Args:
    path: path of `config.json`.

  Raises:
    OSError: there is no file that may be read.
    ValueError: the config has a fault; the message is the end of a sentence.
  """
  # Reading a pipe would wait for ever, and a device would never end.
  if not path.is_file():
    raise FileNotFoundError(f'there is no file {path.name}')
  if path.stat().st_size > _MAX_BYTES:
    raise ValueError(f'{path.name} has more than {_MAX_BYTES:,} bytes')
  # Python accepts NaN and infinity, which JSON does not have.
  try:
    config = json.loads(path.read_bytes(), parse_constant=_reject_constant)
  except (ValueError, RecursionError) as error:
    raise ValueError(f'{path.name} is not JSON: {error}') from error
  fault = config_fault(config)
  if fault:
    raise ValueError(f'{path.name}: {fault}')
  return config


def config_fault(config: Any) -> str | None:
  """Checks a config, except for the part that `net_fault` checks.

  Args:
    config: any value that JSON can hold.

  Returns:
    The fault, as the end of a sentence, or None.
  """
  if not isinstance(config, dict):
    return 'it must be an object'
  for field, is_valid, requirement in _FIELD_CHECKS:
    if field not in config:
      return f'`{field}` is missing'
    if not is_valid(config[field]):
      return f'`{field}` must be {requirement}'
  # Folders of older versions have no digests.
  if not _are_digests(config.get('sha256', {})):
    return '`sha256` must be an object of files and their SHA-256 sums'
  return _labels_fault(config['labels'])


def net_fault(config: Mapping[str, Any]) -> str | None:
  """Checks the field `net` of a student that this field describes completely.

  Args:
    config: a config whose `image` has passed `config_fault`; its `net` may be
      any object. Lists may be tuples, so that a run can check its net before it
      trains.

  Returns:
    The fault, as the end of a sentence, or None.
  """
  net = config['net']
  if net.keys() - _LATER_NET_FIELDS != _NET_FIELDS:
    return f'`net` must have the fields {", ".join(sorted(_NET_FIELDS))}'
  # `in` a list accepts values that cannot be hashed, and a mapping does not.
  if net['kind'] not in [*KINDS]:
    return f'`net.kind` must be one of {", ".join(KINDS)}'
  if not isinstance(net['batch_norm'], bool):
    return '`net.batch_norm` must be true or false'
  # Check each list, then that they fit each other.
  for field, largest in (
    ('widths', _MAX_WIDTH),
    ('depths', _MAX_CONVOLUTIONS),
    ('strides', _MAX_WIDTH),
    ('hidden_widths', _MAX_WIDTH),
  ):
    if not _are_integers(net.get(field, ()), largest):
      return f'`net.{field}` must be a list of integers from 1 to {largest:,}'
  block_counts = {len(net[field]) for field in ('widths', 'depths', 'strides')}
  if len(block_counts) != 1 or not 1 <= max(block_counts) <= _MAX_BLOCKS:
    return (
      '`net.widths`, `net.depths` and `net.strides` must have one number per '
      f'block, of {_MAX_BLOCKS} blocks at most'
    )
  if len(net.get('hidden_widths', ())) > _MAX_BLOCKS:
    return f'`net.hidden_widths` must have {_MAX_BLOCKS} numbers at most'
  if sum(net['depths']) > _MAX_CONVOLUTIONS:
    return f'`net.depths` must not add up to more than {_MAX_CONVOLUTIONS}'
  return _features_fault(config['image'], net)


def _features_fault(
  image_shape: Sequence[int], net: Mapping[str, Any]
) -> str | None:
  """Checks that the features of one image fit into memory, block by block."""
  height, width, _ = image_shape
  widths_and_strides = zip(net['widths'], net['strides'], strict=True)
  for block, (channels, stride) in enumerate(widths_and_strides, start=1):
    strided_size = -(-height // stride), -(-width // stride)
    # A LeNet block pools at its end, so its features have the input's size.
    if net['kind'] != 'lenet':
      height, width = strided_size
    if height * width * channels > _MAX_FEATURES:
      return (
        '`image`, `net.widths` and `net.strides` make more than '
        f'{_MAX_FEATURES:,} features of an image in block {block}'
      )
    height, width = strided_size
  return None


def _labels_fault(labels: list) -> str | None:
  """Checks that labels are printable texts, and all different."""
  for label in labels:
    fault = label_fault(label)
    if fault:
      return f'`labels`: {printable(repr(label), 100)} {fault}'
  if len(set(labels)) < len(labels):
    return '`labels` must differ from one another'
  return None


def _are_integers(values: Any, largest: int) -> bool:
  """Returns whether values are a list or tuple of integers from 1."""
  # `type` instead of `isinstance`: a bool is an int to Python.
  return isinstance(values, list | tuple) and all(
    type(value) is int and 1 <= value <= largest for value in values
  )


def _is_image_shape(value: Any) -> bool:
  return (
    _are_integers(value, MOST_PIXELS)
    and len(value) == 3
    and value[2] in (1, 3)
    and math.prod(value[:2]) <= MOST_PIXELS
  )


def _is_text(value: Any) -> bool:
  return isinstance(value, str) and len(value) <= _MAX_TEXT_LENGTH


def _is_plain(value: Any, max_depth: int = 2) -> bool:
  """Returns whether a value is text, a number, or a small collection of them.

  Args:
    value: any value that JSON can hold.
    max_depth: number of lists and objects that may stand in one another.
  """
  if isinstance(value, dict) and max_depth:
    value = [*value, *value.values()]
  if isinstance(value, list) and max_depth:
    return len(value) <= _MAX_TEXT_LENGTH and all(
      _is_plain(element, max_depth - 1) for element in value
    )
  return _is_text(value) or (
    value is None or isinstance(value, bool | int | float)
  )


def _is_plain_object(value: Any) -> bool:
  return isinstance(value, dict) and _is_plain(value, max_depth=3)


def _is_net(value: Any) -> bool:
  return _is_plain_object(value) and isinstance(
    value.get('single_label', False), bool
  )


def _are_digests(value: Any) -> bool:
  return isinstance(value, dict) and all(
    isinstance(digest, str) and _SHA256_DIGEST.fullmatch(digest)
    for digest in value.values()
  )


# A field, whether a value of it is valid, and the end of "must be ...".
_FieldCheck = tuple[str, Callable[[Any], bool], str]
_PLAIN_OBJECT = (
  'an object of texts, numbers and lists or objects of a few of them'
)
_FIELD_CHECKS: tuple[_FieldCheck, ...] = (
  (
    'format',
    lambda value: type(value) is int and value == FORMAT,
    f'{FORMAT}; the version of dualgan_jax that wrote another reads it',
  ),
  (
    'labels',
    lambda value: isinstance(value, list) and 1 <= len(value) <= _MAX_LABELS,
    f'a list of 1 to {_MAX_LABELS:,} labels',
  ),
  (
    'image',
    _is_image_shape,
    'a list of height, width and 1 or 3 channels, of at most '
    f'{MOST_PIXELS:,} pixels',
  ),
  ('net', _is_net, f'{_PLAIN_OBJECT}, `single_label` true or false'),
  (
    'preparation',
    _is_text,
    f'a text of at most {_MAX_TEXT_LENGTH:,} characters',
  ),
  ('answers', _is_text, f'a text of at most {_MAX_TEXT_LENGTH:,} characters'),
  ('origin', _is_plain_object, _PLAIN_OBJECT),
)


def _reject_constant(constant: str) -> None:
  raise ValueError(f'{constant} is no number')
