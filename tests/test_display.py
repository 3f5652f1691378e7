"""Text from outside is one harmless line in a terminal."""

import unicodedata

import hypothesis
import pytest
from hypothesis import strategies

from dualgan_jax.display import align, format_shape, printable, wrap


@pytest.mark.parametrize(
  ('text', 'shown'),
  [
    ('T-shirt/top', 'T-shirt/top'),
    ('größer als 3 µm, 猫 🐈', 'größer als 3 µm, 猫 🐈'),
    (r'C:\images', r'C:\images'),
    ('\x1b[31mred\x1b[0m', r'\x1b[31mred\x1b[0m'),
    ('\x9b2J', r'\x9b2J'),  # one character that begins an escape sequence, too
    ('a\nerror: forged', r'a\nerror: forged'),
    ('a\rb\tc\x7f', r'a\rb\tc\x7f'),
    ('a\u2028b\u2029c\x85d', r'a\u2028b\u2029c\x85d'),
    ('\u202egnp.exe', r'\u202egnp.exe'),  # shown as exe.png otherwise
    ('\udcff', r'\udcff'),  # a byte of a file's name that is no UTF-8
    ('می\u200cخواهم', 'می\u200cخواهم'),
    ('', ''),
  ],
)
def test_characters_that_a_terminal_obeys_are_escaped(text, shown):
  assert printable(text) == shown


def test_any_object_is_shown_by_its_text():
  assert printable(ValueError('two\nlines')) == r'two\nlines'


@hypothesis.given(strategies.text(strategies.characters()))
def test_any_text_is_one_line_that_can_be_encoded(text):
  shown = printable(text)
  assert len(shown.splitlines()) <= 1
  shown.encode('utf-8')
  assert not {unicodedata.category(character) for character in shown} & {
    'Cc',
    'Cs',
  }
  assert printable(shown) == shown


def test_columns_line_up():
  assert align([['image', 'p'], ['---', '---:'], ['a.png', '0.5000']]) == (
    '| image |      p |\n| ---   |   ---: |\n| a.png | 0.5000 |'
  )


@pytest.mark.parametrize(
  ('shape', 'shown'), [((4, 4, 8), '4×4×8'), ((3,), '3'), ((), 'a number')]
)
def test_a_shape_is_shown_by_its_sizes(shape, shown):
  assert format_shape(shape) == shown


def test_a_line_is_wrapped_between_words_only():
  line = 'student: /a/folder-of-a-run is there'
  assert wrap(line, 12) == 'student:\n/a/folder-of-a-run\nis there'
  assert wrap(line, 80) == line
