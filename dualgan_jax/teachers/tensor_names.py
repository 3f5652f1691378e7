"""Lets a teacher's functions name tensors, whose statistics are then read."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator

import chex

_Listener = Callable[[chex.Array, str], None]
_ON_PLACEHOLDERS = contextvars.ContextVar('_ON_PLACEHOLDERS', default=False)
# Takes a tensor and its name, where somebody listens.
_LISTENER: contextvars.ContextVar[_Listener | None] = contextvars.ContextVar(
  '_LISTENER', default=None
)


def name_tensor(tensor: chex.Array, name: str) -> chex.Array:
  """Names a tensor inside a teacher's function, for `Teacher.statistics`.

  Args:
    tensor: [rows, ..., channels], what a batch norm normalises; the rows are
      those of the images, or places of them in the images' order.
    name: a key of the teacher's `statistics`; any other name does nothing.

  Returns:
    The tensor, unchanged.
  """
  listener = _LISTENER.get()
  if listener is not None and not _ON_PLACEHOLDERS.get():
    listener(tensor, name)
  return tensor


@contextlib.contextmanager
def listening(listener: _Listener) -> Iterator[None]:
  """Lets a function hear of the tensors that are named meanwhile.

  Args:
    listener: takes a tensor and its name.
  """
  token = _LISTENER.set(listener)
  try:
    yield
  finally:
    _LISTENER.reset(token)


@contextlib.contextmanager
def placeholders() -> Iterator[Callable[[bool], None]]:
  """Hides the statistics of placeholder images.

  Yields:
    A function that sets whether placeholders run from now on; they do first.
  """

  def set_flag(on_placeholders: bool) -> None:
    _ON_PLACEHOLDERS.set(on_placeholders)

  # A context variable: threads may trace different teachers.
  token = _ON_PLACEHOLDERS.set(True)
  try:
    yield set_flag
  finally:
    _ON_PLACEHOLDERS.reset(token)


def are_placeholders() -> bool:
  """Returns whether placeholder images run at the moment."""
  return _ON_PLACEHOLDERS.get()
