"""Data sets of the Hub's form, as other people write them."""

import io

import datasets
import pandas as pd
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value
from PIL import Image

from dualgan_jax.config.fields import DataSet
from dualgan_jax.data import hub, sources
from dualgan_jax.errors import UserError

_PETS = ClassLabel(names=['cat', 'dog'])


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
  monkeypatch.setattr(datasets.config, 'HF_DATASETS_CACHE', tmp_path / 'cache')
  monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)


def _images(*levels):
  return [Image.new('L', (8, 8), level) for level in levels]


def _file(level):
  file = io.BytesIO()
  _images(level)[0].save(file, 'PNG')
  return file.getvalue()


def _table(columns, **features):
  kinds = {'image': datasets.Image(), 'label': _PETS, **features}
  return Dataset.from_dict(
    columns, Features({name: kinds[name] for name in columns})
  )


def _written(folder, *parts, columns=None, **features):
  columns = columns or {'image': _images(1, 2), 'label': [0, 1]}
  for part in parts:
    path = folder / f'{part}.parquet'
    path.parent.mkdir(parents=True, exist_ok=True)
    _table(columns, **features).to_parquet(path)
  return folder


def _parts(folder, **fields):
  data_config = DataSet(source='someone/pets', path=str(folder), **fields)
  sources.check('pets', data_config, (8, 8, 1), 0)
  return [
    sources.load('pets', data_config, part, (8, 8, 1), 0)
    for part in sources.PARTS
  ]


def test_an_unread_part_is_reported_and_can_be_named(tmp_path, capsys):
  folder = _written(tmp_path / 'set', 'train', 'validation', 'test')
  _parts(folder)
  assert 'data.pets: not read: validation;' in capsys.readouterr().err
  _parts(folder, test_part='validation')
  assert 'data.pets: not read: test;' in capsys.readouterr().err


def test_hidden_labels_lead_to_the_part_that_has_some(tmp_path):
  folder = _written(tmp_path / 'set', 'train', 'validation')
  hidden = {'image': _images(3), 'label': [-1]}
  _written(folder, 'test', columns=hidden)
  with pytest.raises(UserError, match='label; name .*test_part=validation, or'):
    _parts(folder)


def test_a_training_part_that_is_missing_is_named(tmp_path):
  folder = _written(tmp_path / 'set', 'train', 'test')
  message = r'^data\.pets\.train_part: .* no part dev; it has train, test: --'
  with pytest.raises(UserError, match=message):
    _parts(folder, train_part='dev')


def test_folders_of_parquet_are_parts_whatever_the_files_are_called(tmp_path):
  folder = _written(tmp_path / 'set [1]', 'train/test-0', 'test/train-0')
  _written(folder, 'train/test-1')
  assert [len(part.images) for part in _parts(folder)] == [4, 2]


def test_a_file_in_two_parts_is_refused(tmp_path):
  for part in ('train', 'test'):
    for label in ('cat', 'train'):
      place = tmp_path / 'set' / 'data' / part / label
      place.mkdir(parents=True)
      _images(1)[0].save(place / 'a.png')
  message = r'^data\.pets\.path: 1 image files are in two parts, train and test'
  with pytest.raises(UserError, match=message):
    _parts(tmp_path / 'set')


_CARD = """---
configs:
- config_name: small
  data_files:
  - {split: train, path: small/train.parquet}
  - {split: test, path: small/test.parquet}
- config_name: large
  data_files:
  - {split: train, path: large/train.parquet}
  - {split: test, path: large/test.parquet}
---
"""


def test_one_of_several_subsets_is_named(tmp_path):
  folder = _written(tmp_path / 'set', 'small/train', 'small/test')
  owls = ClassLabel(names=['owl', 'eel'])
  _written(folder, 'large/train', 'large/test', label=owls)
  (folder / 'README.md').write_text(_CARD)
  message = r'^data\.pets\.subset: .* small, large; .*subset=small\.$'
  for fields in ({}, {'subset': 'huge'}):
    with pytest.raises(UserError, match=message):
      _parts(folder, **fields)
  assert _parts(folder, subset='large')[0].label_names == ('owl', 'eel')


def test_what_save_to_disk_wrote_is_read(tmp_path):
  table = _table({'image': _images(1, 2), 'label': [0, 1]})
  DatasetDict(train=table, test=table).save_to_disk(tmp_path / 'two parts')
  parts = _parts(tmp_path / 'two parts')
  assert [len(part.images) for part in parts] == [2, 2]
  columns = {'image': _images(*range(8)), 'label': [0, 1] * 4}
  _table(columns).save_to_disk(tmp_path / 'one part')
  parts = _parts(tmp_path / 'one part', test_fraction=0.25)
  assert [len(part.images) for part in parts] == [6, 2]


@pytest.mark.parametrize(
  ('kind', 'labels', 'names'),
  [(str, 'ba', ('a', 'b')), (int, (10, 9), ('9', '10'))],
)
def test_texts_and_numbers_are_labels_where_they_are_named(
  tmp_path, kind, labels, names
):
  """As pandas writes them, images without the Hub's types."""
  (tmp_path / 'set').mkdir()
  for part, part_labels in (('train', labels), ('test', labels[:1])):
    rows = [
      {
        'image': {'bytes': _file(level), 'path': f'{level}.png'},
        'label': kind(label),
      }
      for level, label in enumerate(part_labels)
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / 'set' / f'{part}.parquet')
  message = r'^data\.pets\.label_column: .*label_column=label; there are image:'
  with pytest.raises(UserError, match=message):
    _parts(tmp_path / 'set')
  train, test = _parts(tmp_path / 'set', label_column='label')
  assert train.label_names == names
  assert train.targets.tolist() == [[0, 1], [1, 0]]
  assert test.targets.tolist() == [[0, 1]]


def test_metadata_beside_images_names_their_labels(tmp_path):
  for part, labels in (('train', ('cat', 'dog')), ('test', ('dog',))):
    (tmp_path / 'set' / part).mkdir(parents=True)
    rows = []
    for level, label in enumerate(labels):
      _images(level)[0].save(tmp_path / 'set' / part / f'{level}.png')
      rows.append(f'{{"file_name": "{level}.png", "label": "{label}"}}')
    (tmp_path / 'set' / part / 'metadata.jsonl').write_text('\n'.join(rows))
  train, test = _parts(tmp_path / 'set', label_column='label')
  assert train.targets.tolist() == [[1, 0], [0, 1]]
  assert test.targets.tolist() == [[0, 1]]


def test_lists_of_texts_are_labels_too(tmp_path):
  columns = {'image': _images(1, 2, 3), 'tags': [['b', 'a'], [], ['a', None]]}
  features = {'tags': List(Value('string'))}
  folder = _written(
    tmp_path / 'set', 'train', 'test', columns=columns, **features
  )
  train, _ = _parts(folder, label_column='tags')
  assert train.targets.tolist() == [[1, 1], [0, 0], [1, 0]]


def test_one_of_two_image_columns_is_named(tmp_path):
  columns = {'image': _images(1), 'mask': _images(7), 'label': [0]}
  folder = _written(
    tmp_path / 'set', 'train', 'test', columns=columns, mask=datasets.Image()
  )
  with pytest.raises(UserError, match=r'^data\.pets\.image_column: several'):
    _parts(folder)
  assert _parts(folder, image_column='mask')[0].images.max() == 7


def test_bytes_are_images_where_they_are_named(tmp_path):
  columns = {'png': [_file(7)], 'label': [0]}
  folder = _written(
    tmp_path / 'set', 'train', 'test', columns=columns, png=Value('binary')
  )
  with pytest.raises(UserError, match='no column holds .*image_column=png;'):
    _parts(folder)
  assert _parts(folder, image_column='png')[0].images.max() == 7


@pytest.mark.parametrize(
  ('field', 'column'),
  [
    ('image_column', 'label'),
    ('image_column', 'gone'),
    ('label_column', 'image'),
    ('label_column', 'weight'),
  ],
)
def test_a_column_of_another_kind_is_refused(tmp_path, field, column):
  columns = {'image': _images(1), 'label': [0], 'weight': [0.5]}
  features = {'weight': Value('float32')}
  folder = _written(
    tmp_path / 'set', 'train', 'test', columns=columns, **features
  )
  message = rf'^data\.pets\.{field}: {column} holds no .*weight: float32\.$'
  with pytest.raises(UserError, match=message):
    _parts(folder, **{field: column})


def test_without_a_home_a_temporary_cache_is_used(tmp_path, monkeypatch):
  folder = _written(tmp_path / 'set', 'train', 'test')
  file = tmp_path / 'file'
  file.write_text('')
  for unusable_folder in ('~/.cache', str(file / 'cache')):
    monkeypatch.setattr(datasets.config, 'HF_DATASETS_CACHE', unusable_folder)
    monkeypatch.chdir(tmp_path)
    assert len(_parts(folder)[0].images) == 2
    assert not (tmp_path / '~').exists()
  hub._temporary_cache.cache_clear()
