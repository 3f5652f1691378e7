"""Names can be parts of paths, labels can be shown."""

import pytest

from dualgan_jax.names import label_fault, name_fault


@pytest.mark.parametrize(
  'text',
  ['3', 'T-shirt/top', '..', 'größer als 3 µm', '猫', 'a' * 200, 'C++', '{}'],
)
def test_printable_text_is_a_label(text):
  assert label_fault(text) is None


@pytest.mark.parametrize(
  ('text', 'fault'),
  [
    ('', 'is empty'),
    (' ', 'is empty'),
    ('a' * 201, 'has 201 characters, but 200 are the most'),
    ('a\nb', r'has a character that cannot be shown, \n'),
    ('\x1b[2J', r'has a character that cannot be shown, \x1b'),
    ('\u202e', r'has a character that cannot be shown, \u202e'),
    ('\ud800', r'has a character that cannot be shown, \ud800'),
    (3, 'is of type int, but must be text'),
    (None, 'is of type NoneType, but must be text'),
  ],
)
def test_other_text_is_neither_label_nor_name(text, fault):
  assert label_fault(text) == fault
  assert name_fault(text) == fault.replace('200', '100')


@pytest.mark.parametrize('text', ['low', 'my set', '...', '猫' * 66, 'a' * 100])
def test_names_of_folders_are_names(text, tmp_path):
  assert name_fault(text) is None
  (tmp_path / text).mkdir()


@pytest.mark.parametrize(
  ('text', 'fault'),
  [
    ('../low', "has a '/', which no name may have"),
    ('.', 'is the name of a folder in every folder; choose another'),
    ('..', 'is the name of a folder in every folder; choose another'),
    ('猫' * 67, 'takes more than 200 bytes in UTF-8'),
    ('a' * 101, 'has 101 characters, but 100 are the most'),
  ],
)
def test_text_that_cannot_name_a_folder_is_no_name(text, fault):
  assert name_fault(text) == fault
