"""Declares the kinds of values that fields of a config take, each in words.

A field is annotated with one of them. Its words stand in error messages, 'it
should be a whole number from 1', and in the reference of fields.
"""

import dataclasses
import difflib
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
# Of the values that a text field takes, in a message.
_MAX_LISTED_CHOICES = 10
_MAX_REPR_LENGTH = 80  # characters of a value in a message
# JAX counts in 32 bits.
_MAX_COUNT = 2**31 - 1
# More units in a layer, or pixels along a side, are a mistake.
_MAX_SIZE = 2**16
# JAX computes in float32, where other numbers may be 0 or infinite.
_MIN_FLOAT = float(np.finfo(np.float32).tiny)
_MAX_FLOAT = float(np.finfo(np.float32).max)

# Takes a value, and returns what it should have been; None if it is right.
Check = Callable[[Any], str | None]


class Group(pydantic.BaseModel):
  """Fields that belong together."""

  # A misspelled field is an error, and no field changes after its check.
  model_config = pydantic.ConfigDict(extra='forbid', frozen=True)


@dataclasses.dataclass(frozen=True)
class Kind:
  """A kind of values, as an annotation that pydantic obeys.

  Attributes:
    words: description of a right value, to follow 'it should be'.
    check: describes what a wrong value should be, in more detail than `words`
      where that helps; returns None for a right value.
  """

  words: str
  check: Check

  def __get_pydantic_core_schema__(
    self, source: Any, handler: pydantic.GetCoreSchemaHandler
  ) -> core_schema.CoreSchema:
    """Makes pydantic call `check`, and leave the value as it is."""
    # pydantic's rules for the annotated type would convert values, '3' to 3.
    del source, handler
    return core_schema.no_info_plain_validator_function(self._validate)

  def _validate(self, value: Any) -> Any:
    expectation = self.check(value)
    if expectation is not None:
      raise PydanticCustomError(
        WRONG_VALUE, '{expectation}', {'expectation': expectation}
      )
    return value


def show_value(value: Any) -> str:
  """Shows a value, whatever it is, in one line of at most 80 characters."""
  return ' '.join(reprlib.repr(value).split())[:_MAX_REPR_LENGTH]


def whole_number(low: int, high: int = _MAX_COUNT) -> Kind:
  """Makes the kind of whole numbers from `low` to `high`."""
  words = f'a whole number from {low}'

  def check(value):
    # True is an int to Python, and a mistake in a config.
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if is_whole and low <= value <= high:
      return None
    # The upper bound is far away, so that only those who hit it learn of it.
    return f'{words} to {high:,}' if is_whole and value > high else words

  return Kind(words, check)


def number(low: float, high: float = math.inf, *, above: bool = False) -> Kind:
  """Makes the kind of numbers from `low` that are less than `high`.

  Args:
    low: lower bound.
    high: upper bound, which is excluded.
    above: whether `low` is excluded, too.
  """
  upper_bound = '' if high == math.inf else f', less than {high}'
  words = f'a number {"above" if above else "from"} {low}{upper_bound}'

  def check(value):
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # NaN fails both comparisons.
    if is_number and low <= value < high and not (above and value == low):
      if value and not _MIN_FLOAT <= abs(value) <= _MAX_FLOAT:
        return f'0, or in size from {_MIN_FLOAT:.2g} to {_MAX_FLOAT:.2g}'
      return None
    return words

  return Kind(words, check)


def size_tuple(
  length: int | None = None, *, may_be_empty: bool = False
) -> Kind:
  """Makes the kind of tuples of whole numbers from 1.

  Args:
    length: number of entries; any if None.
    may_be_empty: whether a tuple without entries is right.
  """
  count = '' if length is None else f'{length} '
  words = f'a tuple of {count}whole numbers from 1 to {_MAX_SIZE:,}'
  entry_kind = whole_number(1, _MAX_SIZE)

  def check(value):
    has_sizes = isinstance(value, tuple) and not any(
      map(entry_kind.check, value)
    )
    if has_sizes and (value or may_be_empty) and length in (None, len(value)):
      return None
    return words

  return Kind(words, check)


def choice(*choices: str) -> Kind:
  """Makes the kind of a text out of `choices`."""
  words = f'one of {", ".join(choices)}'

  def check(value):
    # Some values, such as arrays, cannot be compared with a text.
    if isinstance(value, str) and value in choices:
      return None
    # Of many choices, those that may be meant.
    if len(choices) <= _MAX_LISTED_CHOICES:
      return words
    listed = difflib.get_close_matches(
      show_value(value), choices, _MAX_LISTED_CHOICES, cutoff=0
    )
    num_others = len(choices) - len(listed)
    return f'one of {", ".join(listed)} or {num_others} others (docs/fields.md)'

  return Kind(words, check)


def optional(kind: Kind) -> Kind:
  """Makes the kind of None and the values of another kind."""
  return Kind(
    f'{kind.words}, or None',
    lambda value: None if value is None else kind.check(value),
  )


def _check_flag(value):
  return None if isinstance(value, bool) else 'True or False'


def _check_text(value):
  return None if isinstance(value, str) and value else 'a text'


def _check_name(value):
  name_fault = names.name_fault(value)
  return name_fault and f'a name; it {name_fault}'


def _check_labels(value):
  # A single text is a sequence of texts, too, and a common mistake.
  if not isinstance(value, tuple):
    return "a tuple of texts, like ('0', '1')"
  label_faults = [
    f'{show_value(label)} {label_fault}'
    for label in value
    if (label_fault := names.label_fault(label))
  ]
  return f'a tuple of texts; {label_faults[0]}' if label_faults else None


def _check_texts(value):
  if isinstance(value, tuple) and not any(map(_check_text, value)):
    return None
  return "a tuple of texts, like ('layer1', 'layer2')"


def _check_index(value):
  position_kind = whole_number(0)
  if value is None or isinstance(value, str):
    return None
  if position_kind.check(value) is None:
    return None
  return 'a key of the file or a list position in it'


def _check_image_shape(value):
  if size_tuple(3).check(value) or value[2] not in (1, 3):
    return 'a tuple (height, width, channels), channels 1 or 3'
  if value[0] * value[1] > MOST_PIXELS:
    return f'an image of at most {MOST_PIXELS:,} pixels'
  return None


def _is_one_per_channel(value):
  entry_kind = number(-math.inf)
  return (
    isinstance(value, tuple)
    and len(value) in (1, 3)
    and not any(map(entry_kind.check, value))
  )


def _check_mean(value):
  # A mean above 1 is one of pixels in [0, 255], which are divided by 255 here.
  if _is_one_per_channel(value) and max(value) <= 1:
    return None
  return 'a tuple of one number, or of one per channel, of images in [0, 1]'


def _check_std(value):
  if _is_one_per_channel(value) and min(value) > 0:
    return None
  return 'a tuple of one number above 0, or of one per channel'


_TEXT = Kind('a text', _check_text)
_LABELS = Kind("a tuple of texts, like ('0', '1')", _check_labels)
_MEAN = Kind(
  'a tuple of one number up to 1, or of one per channel', _check_mean
)
_STD = Kind('a tuple of one number above 0, or of one per channel', _check_std)
_IMAGE_SHAPE = Kind(
  'a tuple (height, width, channels), channels 1 or 3', _check_image_shape
)

# Fields that must have a value.
Flag = Annotated[bool, Kind('True or False', _check_flag)]
Text = Annotated[str, _TEXT]
Name = Annotated[str, Kind('a name', _check_name)]
Labels = Annotated[tuple[str, ...], _LABELS]
ImageShape = Annotated[tuple[int, int, int], _IMAGE_SHAPE]
Steps = Annotated[int, whole_number(1)]
Count = Annotated[int, whole_number(0)]
Size = Annotated[int, whole_number(1, _MAX_SIZE)]
Sizes = Annotated[tuple[int, ...], size_tuple()]
Rate = Annotated[float, number(0, above=True)]
Weight = Annotated[float, number(0)]
Share = Annotated[float, number(0, 1)]
Mean = Annotated[tuple[float, ...], _MEAN]
Std = Annotated[tuple[float, ...], _STD]
# Fields that may be left open.
OptionalText = Annotated[str | None, optional(_TEXT)]
OptionalTexts = Annotated[
  tuple[str, ...] | None,
  optional(Kind("a tuple of texts, like ('layer1', 'layer2')", _check_texts)),
]
OptionalLabels = Annotated[tuple[str, ...] | None, optional(_LABELS)]
OptionalImageShape = Annotated[
  tuple[int, int, int] | None, optional(_IMAGE_SHAPE)
]
OptionalFlag = Annotated[
  bool | None, optional(Kind('True or False', _check_flag))
]
OptionalMean = Annotated[tuple[float, ...] | None, optional(_MEAN)]
OptionalStd = Annotated[tuple[float, ...] | None, optional(_STD)]
OptionalCount = Annotated[int | None, optional(whole_number(0))]
OptionalShare = Annotated[float | None, optional(number(0, 1, above=True))]
OptionalSizes = Annotated[tuple[int, ...] | None, optional(size_tuple())]
Index = Annotated[
  str | None, Kind('a key of the file, or a list position in it', _check_index)
]
