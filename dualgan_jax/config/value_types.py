"""The kinds of values that fields of a config take, each in words.

A field is annotated with one of them. Its words stand in error messages, 'it
should be a whole number from 1', and in the reference of fields.
"""

import dataclasses
import math
import reprlib
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import pydantic
from pydantic_core import PydanticCustomError, core_schema

from dualgan_jax import names
from dualgan_jax.networks.classifier import MOST_PIXELS

# The type of the errors that `Kind` raises.
WRONG_VALUE = 'wrong_value'
_LONGEST_VALUE = 80  # letters of a value in a message
# JAX counts in 32 bits.
_LARGEST_COUNT = 2**31 - 1
# More units in a layer, or pixels along a side, are a mistake.
_LARGEST_SIZE = 2**16
# JAX computes in float32, where other numbers may be 0 or infinite.
_SMALLEST = float(np.finfo(np.float32).tiny)
_GREATEST = float(np.finfo(np.float32).max)

# Takes a value and says what it should have been, or None if it is so.
Check = Callable[[Any], str | None]


@dataclasses.dataclass(frozen=True)
class Kind:
  """A kind of values, as an annotation that pydantic obeys.

  Attributes:
    words: what a value should be, to follow 'it should be'.
    check: says what a wrong value should be, in more detail if that helps.
  """

  words: str
  check: Check

  def __get_pydantic_core_schema__(
    self, source: Any, handler: pydantic.GetCoreSchemaHandler
  ) -> core_schema.CoreSchema:
    """Makes pydantic call `check`, and keep the value as it is."""
    del source, handler
    return core_schema.no_info_plain_validator_function(self._validate)

  def _validate(self, value: Any) -> Any:
    wanted = self.check(value)
    if wanted is not None:
      raise PydanticCustomError(WRONG_VALUE, '{wanted}', {'wanted': wanted})
    return value


def brief(value: Any) -> str:
  """Shows a value, whatever it is, in one line of some length."""
  return ' '.join(reprlib.repr(value).split())[:_LONGEST_VALUE]


def whole(low: int, high: int = _LARGEST_COUNT) -> Kind:
  """Whole numbers from `low` to `high`."""
  words = f'a whole number from {low}'

  def check(value):
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if is_whole and low <= value <= high:
      return None
    return f'{words} to {high:,}' if is_whole and value > high else words

  return Kind(words, check)


def number(low: float, high: float = math.inf, *, above: bool = False) -> Kind:
  """Numbers from `low`, or above it, that are less than `high`."""
  bound = '' if high == math.inf else f', less than {high}'
  words = f'a number {"above" if above else "from"} {low}{bound}'

  def check(value):
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and low <= value < high and not (above and value == low):
      if value and not _SMALLEST <= abs(value) <= _GREATEST:
        return f'0, or in size from {_SMALLEST:.2g} to {_GREATEST:.2g}'
      return None
    return words

  return Kind(words, check)


def sizes(length: int | None = None, *, may_be_empty: bool = False) -> Kind:
  """Tuples of whole numbers from 1, of some length or of any."""
  count = '' if length is None else f'{length} '
  words = f'a tuple of {count}whole numbers from 1 to {_LARGEST_SIZE:,}'
  entry = whole(1, _LARGEST_SIZE)

  def check(value):
    fits = isinstance(value, tuple) and not any(map(entry.check, value))
    if fits and (value or may_be_empty) and length in (None, len(value)):
      return None
    return words

  return Kind(words, check)


def choice(*allowed: str) -> Kind:
  """One of some texts."""
  words = f'one of {", ".join(allowed)}'

  def check(value):
    return None if isinstance(value, str) and value in allowed else words

  return Kind(words, check)


def optional(kind: Kind) -> Kind:
  """None, or a value of a kind."""
  return Kind(
    f'{kind.words}, or None',
    lambda value: None if value is None else kind.check(value),
  )


def _check_flag(value):
  return None if isinstance(value, bool) else 'True or False'


def _check_text(value):
  return None if isinstance(value, str) and value else 'a text'


def _check_name(value):
  fault = names.name_fault(value)
  return fault and f'a name; it {fault}'


def _check_labels(value):
  if not isinstance(value, tuple):
    return "a tuple of texts, like ('0', '1')"
  faults = [
    f'{brief(label)} {fault}'
    for label in value
    if (fault := names.label_fault(label))
  ]
  return f'a tuple of texts; {faults[0]}' if faults else None


def _check_index(value):
  if value is None or isinstance(value, str) or whole(0).check(value) is None:
    return None
  return 'a key of the file or a list position in it'


def _check_image_shape(value):
  if sizes(3).check(value) or value[2] not in (1, 3):
    return 'a tuple (height, width, channels), channels 1 or 3'
  if value[0] * value[1] > MOST_PIXELS:
    return f'an image of at most {MOST_PIXELS:,} pixels'
  return None


def _are_one_per_channel(value):
  entry = number(-math.inf)
  return (
    isinstance(value, tuple)
    and len(value) in (1, 3)
    and not any(map(entry.check, value))
  )


def _check_mean(value):
  if _are_one_per_channel(value) and max(value) <= 1:
    return None
  return 'a tuple of one number, or of one per channel, of images in [0, 1]'


def _check_std(value):
  if _are_one_per_channel(value) and min(value) > 0:
    return None
  return 'a tuple of one number above 0, or of one per channel'


_TEXT = Kind('a text', _check_text)
_LABELS = Kind("a tuple of texts, like ('0', '1')", _check_labels)
_IMAGE_SHAPE = Kind(
  'a tuple (height, width, channels), channels 1 or 3', _check_image_shape
)

Flag = Annotated[bool, Kind('True or False', _check_flag)]
Text = Annotated[str, _TEXT]
Name = Annotated[str, Kind('a name', _check_name)]
Labels = Annotated[tuple[str, ...], _LABELS]
ImageShape = Annotated[tuple[int, int, int], _IMAGE_SHAPE]
Steps = Annotated[int, whole(1)]
Count = Annotated[int, whole(0)]
Size = Annotated[int, whole(1, _LARGEST_SIZE)]
Sizes = Annotated[tuple[int, ...], sizes()]
Rate = Annotated[float, number(0, above=True)]
Weight = Annotated[float, number(0)]
Share = Annotated[float, number(0, 1)]
Mean = Annotated[
  tuple[float, ...],
  Kind('a tuple of one number up to 1, or of one per channel', _check_mean),
]
Std = Annotated[
  tuple[float, ...],
  Kind('a tuple of one number above 0, or of one per channel', _check_std),
]
# Fields that may be left open.
OptionalText = Annotated[str | None, optional(_TEXT)]
OptionalLabels = Annotated[tuple[str, ...] | None, optional(_LABELS)]
OptionalImageShape = Annotated[
  tuple[int, int, int] | None, optional(_IMAGE_SHAPE)
]
OptionalFlag = Annotated[
  bool | None, optional(Kind('True or False', _check_flag))
]
OptionalCount = Annotated[int | None, optional(whole(0))]
OptionalShare = Annotated[float | None, optional(number(0, 1, above=True))]
OptionalSizes = Annotated[tuple[int, ...] | None, optional(sizes())]
Index = Annotated[
  str | None, Kind('a key of the file, or a list position in it', _check_index)
]
