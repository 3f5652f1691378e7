"""Checks names and labels, and reports faults in the same words everywhere.

Both functions return the end of a sentence, to follow the name itself:
`f'{field}: {name!r} {fault}.'`
"""

from dualgan_jax.display import is_printable, printable

LABEL_LENGTH = 200
NAME_LENGTH = 100
# File systems allow 255 bytes, and stages append suffixes to a name.
_NAME_BYTES = 200


def label_fault(label: object) -> str | None:
  """Checks a label: any printable text of 1 to 200 characters.

  Args:
    label: any object, as a config may hold it.

  Returns:
    The fault, as the end of a sentence, or None.
  """
  return _text_fault(label, LABEL_LENGTH)


def name_fault(name: object) -> str | None:
  """Checks the name of a teacher, a data set, an experiment or an objective.

  A name is part of paths, so it has at most 100 characters (200 bytes in
  UTF-8), no `/`, and is neither `.` nor `..`.

  Args:
    name: any object, as a config may hold it.

  Returns:
    The fault, as the end of a sentence, or None.
  """
  fault = _text_fault(name, NAME_LENGTH)
  if fault:
    return fault
  if '/' in name:
    return "has a '/', which no name may have"
  # They lead out of the folder that the name is meant for.
  if name in ('.', '..'):
    return 'is the name of a folder in every folder; choose another'
  if len(name.encode()) > _NAME_BYTES:
    return f'takes more than {_NAME_BYTES} bytes in UTF-8'
  return None


def _text_fault(text, max_length):
  """Checks that an object is printable, non-empty text of limited length."""
  if not isinstance(text, str):
    return f'is of type {type(text).__name__}, but must be text'
  if not text.strip():
    return 'is empty'
  if len(text) > max_length:
    return f'has {len(text)} characters, but {max_length} are the most'
  for character in text:
    if not is_printable(character):
      return f'has a character that cannot be shown, {printable(character)}'
  return None
