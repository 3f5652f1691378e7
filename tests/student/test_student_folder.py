"""A student's folder is complete, and replaces no files of others."""

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


def _digests(folder):
  return json.loads((folder / 'config.json').read_text())['sha256']


def test_the_config_has_the_digest_of_the_weights(folder):
  model = (folder / 'model.safetensors').read_bytes()
  digest = hashlib.sha256(model).hexdigest()
  assert _digests(folder)['model.safetensors'] == digest


def test_a_card_that_the_user_has_changed_is_not_replaced(folder):
  write_toy(folder)  # as it was written, it is
  with (folder / 'README.md').open('a') as card:
    card.write('mine')
  with pytest.raises(UserError, match=r'its README\.md was changed\); move'):
    write_toy(folder)
  assert (folder / 'README.md').read_text().endswith('mine')


def test_a_card_that_is_no_file_is_not_replaced(folder):
  (folder / 'README.md').unlink()
  (folder / 'README.md').mkdir()
  with pytest.raises(UserError, match=r'README\.md cannot be read \(Is a d'):
    write_toy(folder)


def test_weights_of_another_digest_are_refused(folder):
  path = folder / 'model.safetensors'
  content = bytearray(path.read_bytes())
  content[-1] ^= 1
  path.write_bytes(content)
  with pytest.raises(UserError, match='has not the sum that config.json names'):
    student.load(folder)


@pytest.mark.parametrize(
  ('name', 'value', 'message'),
  [
    ('block_1/params/Conv_0/kernel', np.nan, 'holds NaN or infinity'),
    ('block_1/params/Conv_0/kernel', np.inf, 'holds NaN or infinity'),
    ('block_1/batch_stats/BatchNorm_0/var', -1, 'holds negative variances'),
  ],
)
def test_weights_that_no_training_leaves_are_refused(
  folder, name, value, message
):
  path = folder / 'model.safetensors'
  tensors = load_file(path)
  tensors[name] = np.full_like(tensors[name], value)
  path.write_bytes(save(tensors))
  fuzz_students.update_digest(folder)
  with pytest.raises(UserError, match=f"'{name}' {message}"):
    student.load(folder)


def test_writing_again_replaces_exports_and_unfinished_folders(folder):
  for name in ('student.part', 'student.old'):
    shutil.copytree(folder, folder.with_name(name))
  (folder / 'model.onnx').write_text('of the student before')
  (folder / 'config.json').write_text('damaged')
  write_toy(folder)
  assert student.load(folder)
  assert sorted(path.name for path in folder.parent.iterdir()) == ['student']
  assert sorted(path.name for path in folder.iterdir()) == [
    'README.md',
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
  ('change', 'message'),
  [
    (_add_notes, r'it holds notes\.txt, too'),
    (_make_link, 'it is no folder'),
    (_make_model_of_others, r'its config\.json is of another program'),
    (_make_file, 'it is no folder'),
  ],
)
@pytest.mark.parametrize('name', ['student', 'student.part', 'student.old'])
def test_folders_of_others_are_not_replaced(folder, name, change, message):
  place = folder.with_name(name)
  if name != 'student':
    shutil.copytree(folder, place)
  change(place)
  before = sorted(folder.parent.rglob('*'))
  with pytest.raises(UserError, match=f'^{place}: not replaced, .*{message}'):
    write_toy(folder)
  assert sorted(folder.parent.rglob('*')) == before


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'labels': ('a', 'a')}, '`labels` must differ from one another'),
    ({'image_shape': (4096, 1024, 3)}, 'more than 67,108,864 features'),
    ({'net': {**NET, 'kind': 'other'}}, '`net.kind` must be one of'),
    ({'net': {'single_label': False}}, '`net` must have the fields'),
  ],
)
def test_a_student_that_could_not_be_read_again_is_not_written(
  tmp_path, changes, message
):
  net = {**NET, 'widths': (128, 5)}
  valid = {'labels': ('a', 'b'), 'image_shape': (8, 8, 1), 'net': net}
  with pytest.raises(UserError, match=f'not written, .*{message}'):
    student.write(
      tmp_path / 'student', ({},), **{**valid, **changes}, origin={}
    )
  assert not any(tmp_path.iterdir())


def test_files_may_be_read_by_others(folder):
  umask = os.umask(0)
  os.umask(umask)
  for path in folder.iterdir():
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_an_added_file_has_its_digest(folder):
  (folder / 'model.onnx.part').write_bytes(b'graph')
  student_folder.add_export(folder, folder / 'model.onnx.part')
  assert (folder / 'model.onnx').read_bytes() == b'graph'
  assert _digests(folder)['model.onnx'] == hashlib.sha256(b'graph').hexdigest()
  assert student.load(folder)


def test_a_file_is_added_to_a_folder_without_digests(folder):
  fuzz_students.set_value(folder, ('sha256',), fuzz_students.MISSING)
  (folder / 'model.onnx.part').write_bytes(b'graph')
  student_folder.add_export(folder, folder / 'model.onnx.part')
  assert sorted(_digests(folder)) == ['model.onnx', 'model.safetensors']
  assert student.load(folder)
