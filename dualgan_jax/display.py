"""Shows text from outside safely: one line in, one line out.

Labels, paths and messages of other libraries may hold any character. A terminal
obeys escape sequences, a newline forges a line, and a bidirectional override
turns the rest of a line round.
"""

import unicodedata
from collections.abc import Sequence

# Persian, the languages of India and emoji are written with these joiners.
_JOINERS = '\u200c\u200d'


def is_printable(character: str) -> bool:
  """Tells whether a character may be shown as it is.

  Python's `str.isprintable` refuses spaces other than ASCII's, and joiners.
  """
  return (
    character.isprintable()
    or character in _JOINERS
    or unicodedata.category(character) == 'Zs'
  )


def printable(text: object, length: int | None = None) -> str:
  r"""Escapes what a terminal would obey or hide, as Python's `repr` does.

  Use it wherever text from outside is printed: a label, a path, an exception.

  Args:
    text: shown as `str` gives it.
    length: characters of it that are shown; all if None.

  Returns:
    One line; a newline in it is `\n`, an escape character `\x1b`.
  """
  return ''.join(
    c if is_printable(c) else c.encode('unicode_escape').decode()
    for c in str(text)[:length]
  )


def align(rows: Sequence[Sequence[str]]) -> str:
  """Lays out a Markdown table whose columns also line up in a terminal.

  Args:
    rows: the first column is text, the others are numbers.
  """
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  lines = []
  for row in rows:
    cells = [
      cell.ljust(width) if i == 0 else cell.rjust(width)
      for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    lines.append('| ' + ' | '.join(cells) + ' |')
  return '\n'.join(lines)
