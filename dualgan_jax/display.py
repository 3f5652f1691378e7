"""Shows text from outside safely: one line in, one line out.

Labels, paths and messages of other libraries may hold any character. A terminal
obeys escape sequences, a newline forges a line, and a bidirectional override
reverses the rest of a line.
"""

import textwrap
import unicodedata
from collections.abc import Sequence

PAGE_WIDTH = 80  # characters of a terminal's line
# Persian, the languages of India and emoji are written with these joiners.
_JOINERS = '\u200c\u200d'
# Exit codes of a process that a signal has ended, which is no error.
_STOPPED_CODES = (75, 130)


def is_printable(character: str) -> bool:
  """Returns whether a character may be shown as it is.

  Unlike Python's `str.isprintable`, it accepts joiners, and spaces other than
  ASCII's.
  """
  return (
    character.isprintable()
    or character in _JOINERS
    or unicodedata.category(character) == 'Zs'
  )


def printable(text: object, max_length: int | None = None) -> str:
  r"""Escapes what a terminal would obey or hide, as Python's `repr` does.

  Use it wherever text from outside is printed: a label, a path, an exception.

  Args:
    text: any object, shown as `str` gives it.
    max_length: number of characters of the text that are shown; None for all.

  Returns:
    One line; a newline in it is `\n`, an escape character `\x1b`.
  """
  return ''.join(
    character
    if is_printable(character)
    else character.encode('unicode_escape').decode()
    for character in str(text)[:max_length]
  )


def wrap(line: str, width: int) -> str:
  """Breaks a line between words, so that a long path can still be copied.

  Args:
    line: any text.
    width: number of columns of the terminal.

  Returns:
    Lines of at most `width` characters, but for longer words.
  """
  return textwrap.fill(
    line, width, break_long_words=False, break_on_hyphens=False
  )


def begin_sentence(text: str) -> str:
  """Makes the first letter a capital one, and leaves the others as they are."""
  return text[:1].upper() + text[1:]


def join_names(names: Sequence[str], most: int) -> str:
  """Lists names, 'a, b and c'; of more than `most`, 'a and 9 others'."""
  if len(names) > most:
    return f'{names[0]} and {len(names) - 1} others'
  *first, last = names
  return f'{", ".join(first)} and {last}' if first else last


def format_shape(shape: Sequence[int]) -> str:
  """Shows a shape as 32×32×3, and that of a scalar as 'a number'."""
  return '×'.join(map(str, shape)) or 'a number'


def align(table_rows: Sequence[Sequence[str]]) -> str:
  """Lays out a Markdown table whose columns also line up in a terminal.

  Args:
    table_rows: the cells, row by row. The first column is text, the others are
      numbers.

  Returns:
    The table's lines, without a newline at the end.
  """
  column_widths = [
    max(map(len, column)) for column in zip(*table_rows, strict=True)
  ]
  lines = []
  for row in table_rows:
    # Text is read from its left end, numbers are compared at their right end.
    padded_cells = [
      cell.ljust(width) if column_index == 0 else cell.rjust(width)
      for column_index, (cell, width) in enumerate(
        zip(row, column_widths, strict=True)
      )
    ]
    lines.append('| ' + ' | '.join(padded_cells) + ' |')
  return '\n'.join(lines)


def format_seconds(seconds: float) -> str:
  """Shows a duration as h:mm:ss, rounded to seconds."""
  minutes, second = divmod(round(seconds), 60)
  hour, minute = divmod(minutes, 60)
  return f'{hour}:{minute:02}:{second:02}'


def describe_end(sentence: str, exit_code: int) -> str:
  """Describes why a process ends, as one line; an error is called one.

  Args:
    sentence: the reason, for the user.
    exit_code: of the process.
  """
  prefix = '' if exit_code in _STOPPED_CODES else 'error: '
  return f'{prefix}{printable(sentence)}'
