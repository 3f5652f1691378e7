"""Checks the `config.json` of a student's folder, which anybody may have made.

It bounds all that a small file could make large: whatever passes takes seconds
to load, and its images, labels and features fit into memory.
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
_MOST_BYTES = 2**24
_MOST_LABELS = 100_000
_MOST_BLOCKS = 100
_MOST_CONVOLUTIONS = 500
_MOST_WIDTH = 2**16
# Of one image, numbers of a block.
_MOST_FEATURES = 2**26
_MOST_TEXT = 1000
_NET = {'kind', 'widths', 'depths', 'strides', 'batch_norm'}
_DIGEST = re.compile('[0-9a-f]{64}')


def read(path: pathlib.Path) -> dict[str, Any]:
  """Reads and checks a config.

  Args:
    path: of `config.json`.

  Raises:
    OSError: it is no file that may be read.
    ValueError: what is wrong with it, as the end of a sentence.
  """
  # A pipe would keep one waiting, a device give bytes for ever.
  if not path.is_file():
    raise FileNotFoundError(f'there is no file {path.name}')
  if path.stat().st_size > _MOST_BYTES:
    raise ValueError(f'{path.name} has more than {_MOST_BYTES:,} bytes')
  try:
    config = json.loads(path.read_bytes(), parse_constant=_no_number)
  except (ValueError, RecursionError) as e:
    raise ValueError(f'{path.name} is not JSON: {e}') from e
  problem = fault(config)
  if problem:
    raise ValueError(f'{path.name}: {problem}')
  return config


def fault(config: Any) -> str | None:
  """Checks a config, except for what `net_fault` does.

  Returns:
    What is wrong with it, or None.
  """
  if not isinstance(config, dict):
    return 'it must be an object'
  for field, is_right, what in _FIELDS:
    if field not in config:
      return f'`{field}` is missing'
    if not is_right(config[field]):
      return f'`{field}` must be {what}'
  if not _is_sums(config.get('sha256', {})):
    return '`sha256` must be an object of files and their SHA-256 sums'
  return _labels_fault(config['labels'])


def net_fault(config: Mapping[str, Any]) -> str | None:
  """Checks the field `net` of a student that is described by it alone.

  Args:
    config: its `image` has passed `fault`; its `net` may be any object. Lists
      may be tuples, so that a run can check its own net before it trains.

  Returns:
    What is wrong with it, or None.
  """
  net = config['net']
  # The first folders had no field `single_label`.
  if net.keys() - {'single_label'} != _NET:
    return f'`net` must have the fields {", ".join(sorted(_NET))}'
  if net['kind'] not in [*KINDS]:
    return f'`net.kind` must be one of {", ".join(KINDS)}'
  if not isinstance(net['batch_norm'], bool):
    return '`net.batch_norm` must be true or false'
  for field, most in (
    ('widths', _MOST_WIDTH),
    ('depths', _MOST_CONVOLUTIONS),
    ('strides', _MOST_WIDTH),
  ):
    if not _integers(net[field], most):
      return f'`net.{field}` must be a list of integers from 1 to {most:,}'
  blocks = {len(net[x]) for x in ('widths', 'depths', 'strides')}
  if len(blocks) != 1 or not 1 <= max(blocks) <= _MOST_BLOCKS:
    return (
      '`net.widths`, `net.depths` and `net.strides` must have one number per '
      f'block, of {_MOST_BLOCKS} blocks at most'
    )
  if sum(net['depths']) > _MOST_CONVOLUTIONS:
    return f'`net.depths` must not add up to more than {_MOST_CONVOLUTIONS}'
  return _features_fault(config['image'], net)


def _features_fault(image: Sequence[int], net: Mapping[str, Any]) -> str | None:
  height, width, _ = image
  pairs = zip(net['widths'], net['strides'], strict=True)
  for b, (channels, stride) in enumerate(pairs, start=1):
    strided = -(-height // stride), -(-width // stride)
    # A LeNet block pools what it has computed at the size that it was given.
    if net['kind'] != 'lenet':
      height, width = strided
    if height * width * channels > _MOST_FEATURES:
      return (
        '`image`, `net.widths` and `net.strides` make more than '
        f'{_MOST_FEATURES:,} features of an image in block {b}'
      )
    height, width = strided
  return None


def _labels_fault(labels: list) -> str | None:
  for label in labels:
    wrong = label_fault(label)
    if wrong:
      return f'`labels`: {printable(repr(label), 100)} {wrong}'
  if len(set(labels)) < len(labels):
    return '`labels` must differ from one another'
  return None


def _integers(x: Any, most: int) -> bool:
  return isinstance(x, list | tuple) and all(
    type(i) is int and 1 <= i <= most for i in x
  )


def _is_image(x: Any) -> bool:
  return (
    _integers(x, MOST_PIXELS)
    and len(x) == 3
    and x[2] in (1, 3)
    and math.prod(x[:2]) <= MOST_PIXELS
  )


def _is_text(x: Any) -> bool:
  return isinstance(x, str) and len(x) <= _MOST_TEXT


def _is_plain(x: Any, depth: int = 2) -> bool:
  """Whether it is text, a number, or a few of them."""
  if isinstance(x, dict) and depth:
    x = [*x, *x.values()]
  if isinstance(x, list) and depth:
    return len(x) <= _MOST_TEXT and all(_is_plain(i, depth - 1) for i in x)
  return _is_text(x) or (x is None or isinstance(x, bool | int | float))


def _is_plain_object(x: Any) -> bool:
  return isinstance(x, dict) and _is_plain(x, depth=3)


def _is_net(x: Any) -> bool:
  return _is_plain_object(x) and isinstance(x.get('single_label', False), bool)


def _is_sums(x: Any) -> bool:
  return isinstance(x, dict) and all(
    isinstance(i, str) and _DIGEST.fullmatch(i) for i in x.values()
  )


_Check = tuple[str, Callable[[Any], bool], str]
_PLAIN = 'an object of texts, numbers and lists or objects of a few of them'
_FIELDS: tuple[_Check, ...] = (
  (
    'format',
    lambda x: type(x) is int and x == FORMAT,
    f'{FORMAT}; the version of dualgan_jax that wrote another reads it',
  ),
  (
    'labels',
    lambda x: isinstance(x, list) and 1 <= len(x) <= _MOST_LABELS,
    f'a list of 1 to {_MOST_LABELS:,} labels',
  ),
  (
    'image',
    _is_image,
    'a list of height, width and 1 or 3 channels, of at most '
    f'{MOST_PIXELS:,} pixels',
  ),
  ('net', _is_net, f'{_PLAIN}, `single_label` true or false'),
  ('preparation', _is_text, f'a text of at most {_MOST_TEXT:,} characters'),
  ('answers', _is_text, f'a text of at most {_MOST_TEXT:,} characters'),
  ('origin', _is_plain_object, _PLAIN),
)


def _no_number(text: str) -> None:
  raise ValueError(f'{text} is no number')
