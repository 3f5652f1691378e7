"""Any config of a student loads, or is refused in one sentence."""

import json
import os

import pytest

from dualgan_jax.display import printable
from dualgan_jax.errors import UserError
from dualgan_jax.student import student, student_config
from tests.trials import fuzz_students

# Values that are as small as allowed.
_SMALLEST_VALUES = {
  'format': 1,
  'preparation': '',
  'answers': '',
  'origin': {},
  'sha256': {},
}


@pytest.fixture
def folder(tmp_path):
  return fuzz_students.copy_original('student', tmp_path)


@pytest.mark.parametrize('field', fuzz_students.FIELDS, ids=str)
def test_odd_values_are_one_sentence(folder, field):
  text = (folder / 'config.json').read_text()
  for value in (*fuzz_students.ODD_VALUES, fuzz_students.MISSING):
    (folder / 'config.json').write_text(text)
    fuzz_students.set_value(folder, field, value)
    try:
      student.load(folder)
    except UserError as error:
      assert str(error) == printable(error)
      assert str(error).startswith(f'{folder}: ')
      assert len(str(error)) < 1000


@pytest.mark.parametrize(
  ('field', 'value', 'message'),
  [
    (('format',), True, '`format` must be 1'),
    (('labels',), [], '`labels` must be a list of 1 to 100,000 labels'),
    (('labels',), ['a', 'b', 'a'], '`labels` must differ'),
    (('labels', 0), 'a' * 201, "`labels`: 'aaa.* has 201 characters"),
    (('labels', 0), 'a\n', r"`labels`: 'a\\n' has a character that cannot"),
    (('image',), [8, 8, 2], '`image` must be a list of height, width and 1 or'),
    (('image', 0), 10**9, '`image` must be .* of at most 4,194,304 pixels'),
    (('image', 0), -8, '`image` must be'),
    (('image', 0), 8.0, '`image` must be'),
    (('net', 'kind'), 'other', '`net.kind` must be one of conv, residual'),
    (('net', 'kind'), [], '`net.kind` must be one of conv, residual'),
    (('net', 'widths', 0), 10**9, '`net.widths` must be a list of integers'),
    (('net', 'widths'), [4], 'must have one number per block'),
    (('net', 'depths', 0), 499, '`net.depths` must not add up to more than'),
    (('net', 'strides', 0), 0, '`net.strides` must be'),
    (('net', 'hidden_widths'), [0], '`net.hidden_widths` must be a list'),
    (('net', 'hidden_widths'), [1] * 101, '`net.hidden_widths` must have 100'),
    (('net', 'labels'), 3, '`net` must have the fields batch_norm, depths'),
    (('net', 'batch_norm'), 'yes', '`net.batch_norm` must be true or false'),
    (('net', 'single_label'), 1, '`net` must be'),
    (('origin', 'seed'), float('nan'), 'NaN is no number'),
    (('origin', 'seed'), {'a': {'b': {}}}, '`origin` must be'),
    (('answers',), 'a' * 1001, '`answers` must be'),
    (('sha256',), {'model.safetensors': 'A'}, '`sha256` must be'),
    (('preparation',), fuzz_students.MISSING, '`preparation` is missing'),
  ],
)
def test_faults_are_named(folder, field, value, message):
  fuzz_students.set_value(folder, field, value)
  with pytest.raises(UserError, match=message):
    student.load(folder)


def test_features_that_no_memory_holds_are_refused(folder):
  fuzz_students.set_value(folder, ('image',), [2048, 2048, 1])
  fuzz_students.set_value(folder, ('net', 'widths'), [256, 4])
  with pytest.raises(
    UserError, match='67,108,864 features of an .* in block 1'
  ):
    student.load(folder)


@pytest.mark.parametrize(
  ('kind', 'widths', 'strides', 'block'),
  [
    ('conv', (64, 128, 256, 512), (2, 2, 2, 2), None),
    ('residual', (1024, 1024), (2, 2), None),
    ('residual', (1025, 1024), (2, 2), 1),
    ('conv', (1, 512), (1, 1), 2),
    # It pools after its convolutions, at twice the height and width.
    ('lenet', (1024, 4), (2, 2), 1),
    ('lenet', (256, 1024), (2, 2), None),
  ],
)
def test_features_are_counted_block_by_block(kind, widths, strides, block):
  net = {
    'kind': kind,
    'widths': widths,
    'depths': (1,) * len(widths),
    'strides': strides,
    'batch_norm': True,
    'single_label': False,
  }
  fault = student_config.net_fault({'image': (512, 512, 3), 'net': net})
  assert (fault is None) == (block is None)
  assert block is None or fault.endswith(f'in block {block}')


@pytest.mark.parametrize(
  'field', [(name,) for name in _SMALLEST_VALUES], ids=str
)
def test_the_smallest_values_are_read(folder, field):
  fuzz_students.set_value(folder, field, _SMALLEST_VALUES[field[0]])
  assert student.load(folder)


def test_labels_may_be_any_printable_text(folder):
  labels = ['T-shirt/top', 'größer als 3 µm', '猫' * 200]
  fuzz_students.set_value(folder, ('labels',), labels)
  assert student.load(folder).labels == tuple(labels)


def test_folders_without_the_field_single_label_are_read(folder):
  fuzz_students.set_value(
    folder, ('net', 'single_label'), fuzz_students.MISSING
  )
  assert student.load(folder)


def _make_pipe(path):
  path.unlink()
  os.mkfifo(path)


def _make_device(path):
  path.unlink()
  path.symlink_to('/dev/zero')


def _make_loop(path):
  path.unlink()
  path.symlink_to(path)


def _make_folder(path):
  path.unlink()
  path.mkdir()


def _make_huge(path):
  with path.open('r+b') as file:
    file.truncate(2**40)


@pytest.mark.parametrize('name', ['config.json', 'model.safetensors'])
@pytest.mark.parametrize(
  'change', [_make_pipe, _make_device, _make_loop, _make_folder, _make_huge]
)
def test_files_that_cannot_be_read_are_refused(folder, name, change):
  change(folder / name)
  with pytest.raises(UserError, match=f'no folder of a student.*{name}'):
    student.load(folder)


def test_an_integer_of_many_digits_is_refused(folder):
  (folder / 'config.json').write_text('[' + '9' * 5000 + ']')
  with pytest.raises(UserError, match='config.json is not JSON'):
    student.load(folder)


def test_the_original_has_no_fault(folder):
  config = json.loads((folder / 'config.json').read_text())
  assert student_config.config_fault(config) is None
  assert student_config.net_fault(config) is None
