"""Folders of picture files, as other people keep them."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from dualgan_jax.config.fields import DataSet
from dualgan_jax.data import image_folder, sources
from dualgan_jax.errors import UserError


def _tree(folder, *parts, labels=('cat', 'dog'), num_images=4):
  """Writes pictures of noise for each label of each part."""
  random_generator = np.random.default_rng(0)
  for part in parts:
    for label in labels:
      place = folder / part / label
      place.mkdir(parents=True)
      for number in range(num_images):
        pixels = random_generator.integers(0, 256, (8, 8), np.uint8)
        Image.fromarray(pixels).save(place / f'test_{number}.png')
  return folder


def _data_config(folder, **fields):
  return DataSet(source='someone/pets', path=str(folder), **fields)


def _check(folder, **fields):
  data_config = _data_config(folder, **fields)
  return sources.check('pets', data_config, (8, 8, 1), 0)


def _parts(folder, **fields):
  data_config = _data_config(folder, **fields)
  return [
    sources.load('pets', data_config, part, (8, 8, 1), 0)
    for part in sources.PARTS
  ]


@pytest.mark.parametrize('label', ['train', 'test', 'val', 'test tube', 'dev'])
def test_a_label_may_be_called_like_a_part(tmp_path, label, capsys):
  _tree(tmp_path, 'train', 'test', labels=('cat', label))
  train, test = _parts(tmp_path)
  assert train.label_names == test.label_names == ('cat', label)
  for split in (train, test):
    assert split.targets.sum(axis=0).tolist() == [4, 4]
  _check(tmp_path)
  assert not capsys.readouterr().err  # no image is in both


@pytest.mark.parametrize('label', ['train', 'test', 'test_tube'])
def test_a_label_may_be_called_like_a_part_in_a_set_without_parts(
  tmp_path, label
):
  _tree(tmp_path, '', labels=('cat', 'dog', label))
  train, test = _parts(tmp_path, test_fraction=0.25)
  assert train.targets.sum(axis=0).tolist() == [3, 3, 3]
  assert test.targets.sum(axis=0).tolist() == [1, 1, 1]


def test_each_image_has_the_label_of_its_folder(tmp_path):
  for label, grey in (('dog', 10), ('cat', 20)):
    (tmp_path / 'train' / label).mkdir(parents=True)
    Image.new('L', (8, 8), grey).save(tmp_path / 'train' / label / 'A.PNG')
  shutil.copytree(tmp_path / 'train', tmp_path / 'test')
  for split in _parts(tmp_path):
    assert split.images[:, 0, 0, 0].tolist() == [20, 10]
    assert split.targets.tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
  ('train', 'test'),
  [('train', 'val'), ('train2017', 'val2017'), ('my-train', 'my-val')],
)
def test_parts_have_any_names(tmp_path, train, test):
  _tree(tmp_path, train, test)
  fields = {'train_part': train, 'test_part': test}
  assert [len(part.images) for part in _parts(tmp_path, **fields)] == [8, 8]


def test_a_part_that_is_not_read_is_reported(tmp_path, capsys):
  _tree(tmp_path, 'train', 'test', 'validation')
  _check(tmp_path)
  message = capsys.readouterr().err
  assert 'data.pets: not read: validation' in message
  assert message.count('\n') == 1


@pytest.mark.parametrize(
  ('parts', 'fields', 'message'),
  [
    (('train', 'val'), {}, 'test_part: .* no part test; name val, --config'),
    (('training', 'test'), {}, 'train_part: .* it has test, training: --conf'),
    (('train',), {'test_part': 'train'}, 'test_part: it is the training part'),
  ],
)
def test_a_part_that_is_missing_is_named(tmp_path, parts, fields, message):
  _tree(tmp_path, *parts)
  with pytest.raises(UserError, match=rf'^data\.pets\.{message}'):
    _check(tmp_path, **fields)


def test_a_test_part_without_labels_can_be_left_out(tmp_path):
  _tree(tmp_path, 'train')
  (tmp_path / 'test').mkdir()
  Image.new('L', (8, 8)).save(tmp_path / 'test' / '1.png')
  with pytest.raises(UserError, match=r'^data\.pets\.path: .*/test has no fol'):
    _check(tmp_path)
  fields = {'test_part': 'drawn', 'test_fraction': 0.25}  # as the message says
  assert [len(part.images) for part in _parts(tmp_path, **fields)] == [6, 2]


def test_copied_and_untrained_test_images_are_reported(tmp_path, capsys):
  _tree(tmp_path, 'train', 'test')
  train, test = tmp_path / 'train', tmp_path / 'test'
  shutil.copy(train / 'cat' / 'test_0.png', test / 'cat' / 'again.png')
  (test / 'dog' / 'link.png').symlink_to(train / 'dog' / 'test_1.png')
  _tree(test, '', labels=('owl',))
  _check(tmp_path)
  message = capsys.readouterr().err
  # The owl's four have the pixels of the training part's cats.
  assert '6 of 14 test images are equal to a training image' in message
  assert 'no training image carries owl' in message


def test_parts_that_share_no_label_are_refused(tmp_path):
  _tree(tmp_path, 'train')
  _tree(tmp_path, 'test', labels=('Cat', 'Dog'))
  with pytest.raises(UserError, match=r'^data\.pets: .*\(Cat, Dog\); name th'):
    _check(tmp_path)


def test_folders_that_are_links_are_followed(tmp_path):
  _tree(tmp_path / 'all', 'train', 'test')
  for part in ('train', 'test'):
    (tmp_path / 'some' / part).mkdir(parents=True)
    link = tmp_path / 'some' / part / 'pet'
    link.symlink_to(tmp_path / 'all' / part / 'cat')
  assert [len(part.images) for part in _parts(tmp_path / 'some')] == [4, 4]


@pytest.mark.parametrize('target', ['..', '.', '../dog', '../..'])
def test_links_that_lead_round_are_followed_once(tmp_path, target):
  folder = _tree(tmp_path, 'train', 'test', labels=('cat', 'dog'))
  for label in ('cat', 'dog'):
    (folder / 'train' / label / 'up').symlink_to(target)
  paths = list(image_folder._walk(folder / 'train'))
  assert {path.name for path in paths} == {
    f'test_{number}.png' for number in range(4)
  }
  files = {path.resolve() for path in paths}
  train_files = [
    file for file in files if file.is_relative_to(folder / 'train')
  ]
  assert len(train_files) == 8
  assert len(paths) <= 32


def test_links_to_the_folder_above_do_not_matter(tmp_path):
  folder = _tree(tmp_path, 'train', 'test')
  for label in ('cat', 'dog'):
    (folder / 'train' / label / 'up').symlink_to('..')
  assert [len(part.images) for part in _parts(folder)] == [8, 8]


def test_pipes_and_devices_are_no_images(tmp_path):
  folder = _tree(tmp_path, 'train', 'test')
  os.mkfifo(folder / 'test' / 'cat' / 'p.png')
  (folder / 'train' / 'cat' / 'zero.png').symlink_to('/dev/zero')
  _check(folder)
  assert [len(part.images) for part in _parts(folder)] == [8, 8]


def test_a_link_to_nothing_is_named(tmp_path):
  folder = _tree(tmp_path, 'train', 'test')
  (folder / 'train' / 'cat' / 'gone.png').symlink_to('nothing.png')
  with pytest.raises(UserError, match=r'gone\.png, cannot be read'):
    _check(folder)


def test_files_that_are_no_images_are_passed_over(tmp_path):
  folder = _tree(tmp_path / 'set [1]*', 'train', 'test')
  for name in ('.hidden.png', 'Thumbs.db', 'notes.txt'):
    (folder / 'train' / 'cat' / name).write_bytes(b'no image')
  assert [len(part.images) for part in _parts(folder)] == [8, 8]


def test_labels_are_equally_deep(tmp_path):
  _tree(tmp_path / 'train', 'pets', labels=('cat', 'dog'))
  _tree(tmp_path / 'test', 'pets', labels=('cat', 'dog'))
  assert _parts(tmp_path)[0].label_names == ('cat', 'dog')
  Image.new('L', (8, 8)).save(tmp_path / 'train' / 'cover.png')
  with pytest.raises(UserError, match=r'^data\.pets\.path: .*/cover\.png and'):
    _check(tmp_path)


@pytest.mark.parametrize('part', ['train', 'test'])
def test_a_broken_image_is_found_before_training(tmp_path, part):
  _tree(tmp_path, 'train', 'test')
  file = tmp_path / part / 'dog' / 'test_1.png'
  file.write_bytes(file.read_bytes()[:60])  # its head is whole
  message = rf'^data\.pets: row 5 of part {part}, {file}, cannot be read'
  with pytest.raises(UserError, match=message):
    _check(tmp_path)


def test_rows_are_counted_in_the_part_before_it_is_divided(tmp_path):
  _tree(tmp_path, '')
  (tmp_path / 'dog' / 'test_2.png').write_bytes(b'')
  message = r'^data\.pets: row 6 of part train, .*/dog/test_2\.png, cannot'
  with pytest.raises(UserError, match=message):
    _check(tmp_path, test_fraction=0.25)
