"""Says what is wrong with a name or a label, in the same words everywhere.

Both functions return the end of a sentence, to follow the name itself:
`f'{field}: {name!r} {fault}.'`
"""

from dualgan_jax.display import is_printable, printable

LABEL_LENGTH = 200
NAME_LENGTH = 100
# File systems take 255 bytes; what a stage puts behind a name needs some.
_NAME_BYTES = 200


def label_fault(text: object) -> str | None:
  """Checks a label: any printable text of 1 to 200 characters.

  Returns:
    What is wrong with it, or None.
  """
  return _text_fault(text, LABEL_LENGTH)


def name_fault(text: object) -> str | None:
  """Checks the name of a teacher, a data set, an experiment or an objective.

  It is part of paths, so that it has at most 100 characters (200 bytes in
  UTF-8), no `/`, and is neither `.` nor `..`.

  Returns:
    What is wrong with it, or None.
  """
  fault = _text_fault(text, NAME_LENGTH)
  if fault:
    return fault
  if '/' in text:
    return "has a '/', which no name may have"
  if text in ('.', '..'):
    return 'is the name of a folder in every folder; choose another'
  if len(text.encode()) > _NAME_BYTES:
    return f'takes more than {_NAME_BYTES} bytes in UTF-8'
  return None


def _text_fault(text, length):
  if not isinstance(text, str):
    return f'is of type {type(text).__name__}, but must be text'
  if not text.strip():
    return 'is empty'
  if len(text) > length:
    return f'has {len(text)} characters, but {length} are the most'
  for character in text:
    if not is_printable(character):
      return f'has a character that cannot be shown, {printable(character)}'
  return None
