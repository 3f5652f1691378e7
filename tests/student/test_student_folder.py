"""A student's folder is whole, has sums, and replaces nothing of others."""

import hashlib
import json
import os
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from dualgan_jax.errors import UserError
from dualgan_jax.student import student, student_folder
from tests.student.test_student import NET, write_toy
from tests.trials import fuzz_students


@pytest.fixture
def folder(tmp_path):
  return write_toy(tmp_path / 'student')


def _sums(folder):
  return json.loads((folder / 'config.json').read_text())['sha256']


def test_the_config_has_the_sum_of_the_weights(folder):
  model = (folder / 'model.safetensors').read_bytes()
  digest = hashlib.sha256(model).hexdigest()
  assert _sums(folder) == {'model.safetensors': digest}


def test_weights_of_another_sum_are_refused(folder):
  path = folder / 'model.safetensors'
  content = bytearray(path.read_bytes())
  content[-1] ^= 1
  path.write_bytes(content)
  with pytest.raises(UserError, match='has not the sum that config.json names'):
    student.load(folder)


@pytest.mark.parametrize(
  ('name', 'value', 'said'),
  [
    ('block_1/params/Conv_0/kernel', np.nan, 'holds NaN or infinity'),
    ('block_1/params/Conv_0/kernel', np.inf, 'holds NaN or infinity'),
    ('block_1/batch_stats/BatchNorm_0/var', -1, 'holds negative variances'),
  ],
)
def test_weights_that_no_training_leaves_are_refused(folder, name, value, said):
  path = folder / 'model.safetensors'
  tensors = load_file(path)
  tensors[name] = np.full_like(tensors[name], value)
  path.write_bytes(save(tensors))
  fuzz_students.with_sum(folder)
  with pytest.raises(UserError, match=f"'{name}' {said}"):
    student.load(folder)


def test_writing_again_replaces_exports_and_what_a_kill_has_left(folder):
  for name in ('student.part', 'student.old'):
    shutil.copytree(folder, folder.with_name(name))
  (folder / 'model.onnx').write_text('of the student before')
  (folder / 'config.json').write_text('damaged')
  write_toy(folder)
  assert student.load(folder)
  assert sorted(x.name for x in folder.parent.iterdir()) == ['student']
  assert sorted(x.name for x in folder.iterdir()) == [
    'config.json',
    'model.safetensors',
  ]


def _add_notes(folder):
  (folder / 'notes.txt').write_text('mine')


def _make_link(folder):
  folder.rename(folder.with_name('elsewhere'))
  folder.symlink_to('elsewhere')


def _make_model_of_others(folder):
  (folder / 'config.json').write_text('{"model_type": "vit"}')


def _make_file(folder):
  shutil.rmtree(folder)
  folder.write_text('mine')


@pytest.mark.parametrize(
  ('change', 'said'),
  [
    (_add_notes, r'it holds notes\.txt, too'),
    (_make_link, 'it is no folder'),
    (_make_model_of_others, r'its config\.json is of another program'),
    (_make_file, 'it is no folder'),
  ],
)
@pytest.mark.parametrize('name', ['student', 'student.part', 'student.old'])
def test_what_is_not_a_students_is_not_replaced(folder, name, change, said):
  place = folder.with_name(name)
  if name != 'student':
    shutil.copytree(folder, place)
  change(place)
  before = sorted(folder.parent.rglob('*'))
  with pytest.raises(UserError, match=f'^{place}: not replaced, .*{said}'):
    write_toy(folder)
  assert sorted(folder.parent.rglob('*')) == before


@pytest.mark.parametrize(
  ('changes', 'said'),
  [
    ({'labels': ('a', 'a')}, '`labels` must differ from one another'),
    ({'image': (4096, 1024, 3)}, 'more than 67,108,864 features'),
    ({'net': {**NET, 'kind': 'other'}}, '`net.kind` must be one of'),
    ({'net': {'single_label': False}}, '`net` must have the fields'),
  ],
)
def test_what_could_not_be_read_again_is_not_written(tmp_path, changes, said):
  wide = {**NET, 'widths': (128, 5)}
  whole = {'labels': ('a', 'b'), 'image': (8, 8, 1), 'net': wide}
  with pytest.raises(UserError, match=f'not written, .*{said}'):
    student.write(
      tmp_path / 'student', ({},), **{**whole, **changes}, origin={}
    )
  assert not any(tmp_path.iterdir())


def test_files_may_be_read_by_others(folder):
  umask = os.umask(0)
  os.umask(umask)
  for path in folder.iterdir():
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_an_added_file_has_its_sum(folder):
  (folder / 'model.onnx.part').write_bytes(b'graph')
  student_folder.add(folder, folder / 'model.onnx.part')
  assert (folder / 'model.onnx').read_bytes() == b'graph'
  assert _sums(folder)['model.onnx'] == hashlib.sha256(b'graph').hexdigest()
  assert student.load(folder)


def test_a_file_is_added_to_a_folder_without_sums(folder):
  fuzz_students.with_value(folder, ('sha256',), fuzz_students.MISSING)
  (folder / 'model.onnx.part').write_bytes(b'graph')
  student_folder.add(folder, folder / 'model.onnx.part')
  assert sorted(_sums(folder)) == ['model.onnx', 'model.safetensors']
  assert student.load(folder)
