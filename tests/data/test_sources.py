"""Data sets: scikit-learn's digits, and folders as the Hugging Face Hub has."""

import sys

import datasets
import ml_collections
import numpy as np
import pytest
from datasets import ClassLabel, Features, Image, List, Value
from PIL import Image as Picture
from sklearn import datasets as bundled

from dualgan_jax.config import builders
from dualgan_jax.config.fields import DataSet
from dualgan_jax.data import overlay, sources
from dualgan_jax.errors import UserError

CAT_OR_DOG = ClassLabel(names=['cat', 'dog'])
PETS = Features({'image': Image(), 'label': CAT_OR_DOG})


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
  """What the library unpacks goes with the test, and nothing is fetched."""
  monkeypatch.setattr(datasets.config, 'HF_DATASETS_CACHE', tmp_path / 'cache')
  monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)


def _load(data_config, part='train', image_shape=(8, 8, 1), seed=0):
  values = ml_collections.ConfigDict(data_config).to_dict()
  return sources.load(
    'pets', DataSet.model_validate(values), part, image_shape, seed
  )


def _digits(part='train', image_shape=(8, 8, 1), test_fraction=0.3, seed=0):
  data_config = builders.data_set(
    'scikit-learn/digits', test_fraction=test_fraction
  )
  return _load(data_config, part, image_shape, seed)


def _folder(path, features=PETS, **parts):
  """A data set in a folder; each part a dict of columns."""
  path.mkdir(exist_ok=True)
  for part, columns in parts.items():
    table = datasets.Dataset.from_dict(columns, features=features)
    table.to_parquet(path / f'{part}.parquet')
  return builders.data_set('someone/pets', path=str(path))


def _plain(*values, size=(8, 8), mode='L'):
  """Pictures of one colour each; `size` is width and height."""
  return [Picture.new(mode, size, value) for value in values]


def _one_part(path, num_images=20, **changes):
  """A data set without a test part, of cats and dogs in turn."""
  columns = {
    'image': _plain(*range(num_images)),
    'label': [row % 2 for row in range(num_images)],
  }
  return {**_folder(path, train=columns), **changes}


def _greys(split):
  """The upper left pixel of each image, its first channel."""
  return split.images[:, 0, 0, 0].tolist()


def _rows(split):
  """Images and digits as a list of byte strings."""
  digits = split.targets.argmax(axis=1).astype(np.uint8)
  pixels = split.images.reshape(len(digits), -1)
  return [row.tobytes() for row in np.column_stack([pixels, digits])]


def _toy():
  """Four images: of a cat, of nothing, of both, of a dog."""
  return sources.Split(
    images=np.arange(4, dtype=np.uint8).reshape(4, 1, 1, 1),
    targets=np.float32([[1, 0, 0], [0, 0, 0], [1, 1, 0], [0, 1, 0]]),
    label_names=('cat', 'dog', 'owl'),
  )


@pytest.mark.parametrize(
  ('part', 'num_images'), [('train', 1257), ('test', 540)]
)
@pytest.mark.parametrize('image_shape', [(8, 8, 1), (16, 12, 3)])
def test_digits_keep_their_size(part, num_images, image_shape):
  split = _digits(part, image_shape)
  assert split.images.shape == (num_images, 8, 8, image_shape[-1])
  assert split.images.dtype == np.uint8
  assert split.targets.shape == (num_images, 10)
  assert split.targets.dtype == np.float32
  assert split.label_names == tuple('0123456789')
  np.testing.assert_array_equal(split.targets.sum(axis=1), np.ones(num_images))
  assert set(np.unique(split.targets)) == {0, 1}


def test_train_and_test_are_all_digits_once():
  digits = bundled.load_digits()
  images = np.uint8(digits.images * 255 / 16).reshape(1797, 64)
  rows = np.column_stack([images, digits.target.astype(np.uint8)])
  # Each image keeps its own digit, too.
  assert sorted(_rows(_digits('train')) + _rows(_digits('test'))) == sorted(
    row.tobytes() for row in rows
  )


def test_the_whole_range_of_grey_is_used():
  images = _digits().images
  assert images.min() == 0
  assert images.max() == 255


@pytest.mark.parametrize('test_fraction', [0.1, 0.3])
def test_every_digit_has_its_share_of_the_test_part(test_fraction):
  train = _digits('train', test_fraction=test_fraction).targets.sum(axis=0)
  test = _digits('test', test_fraction=test_fraction).targets.sum(axis=0)
  np.testing.assert_allclose(
    test, test_fraction * (train + test), rtol=0, atol=1
  )


def test_the_seed_draws_the_digits_test_part():
  first, again, other = (_digits('test', seed=seed) for seed in (0, 0, 1))
  np.testing.assert_array_equal(first.images, again.images)
  np.testing.assert_array_equal(first.targets, again.targets)
  assert sorted(_rows(first)) != sorted(_rows(other))


def test_channels_repeat_the_grey_digit():
  grey, colour = (
    _digits(image_shape=(8, 8, channels)).images for channels in (1, 3)
  )
  for channel in range(3):
    np.testing.assert_array_equal(colour[..., [channel]], grey)


def test_a_folder_stands_in_for_the_digits_too(tmp_path):
  data_config = _one_part(tmp_path / 'set', test_fraction=0.5)
  assert _load(
    {**data_config, 'source': 'scikit-learn/digits'}
  ).label_names == ('cat', 'dog')


def test_each_part_of_a_folder_is_read_in_its_order(tmp_path):
  data_config = _folder(
    tmp_path / 'set',
    train={'image': _plain(3, 200, 7), 'label': [1, 0, 1]},
    test={'image': _plain(255, 0), 'label': [0, 0]},
  )
  train, test = _load(data_config, 'train'), _load(data_config, 'test')
  assert train.images.shape == (3, 8, 8, 1)
  assert train.images.dtype == np.uint8
  assert _greys(train) == [3, 200, 7]
  np.testing.assert_array_equal(train.targets, [[0, 1], [1, 0], [0, 1]])
  assert train.targets.dtype == np.float32
  assert _greys(test) == [255, 0]
  np.testing.assert_array_equal(test.targets, [[1, 0], [1, 0]])
  assert train.label_names == test.label_names == ('cat', 'dog')


def test_a_data_set_is_read_without_a_word(tmp_path, capfd):
  data_config = _one_part(tmp_path / 'set', test_fraction=0.5)
  datasets.enable_progress_bars()
  capfd.readouterr()  # of making it
  _load(data_config)
  assert capfd.readouterr() == ('', '')


def test_the_folder_may_be_under_the_home(tmp_path, monkeypatch):
  monkeypatch.setenv('HOME', str(tmp_path))
  data_config = _one_part(tmp_path / 'set', test_fraction=0.5)
  assert len(_load({**data_config, 'path': '~/set'}).images) == 10


def test_a_tree_of_picture_files_is_a_folder(tmp_path):
  for part, label, grey in (
    ('train', 'dog', 10),
    ('train', 'cat', 20),
    ('test', 'cat', 30),
    ('test', 'dog', 40),
  ):
    folder = tmp_path / 'set' / part / label
    folder.mkdir(parents=True)
    _plain(grey)[0].save(folder / 'a.png')
  data_config = builders.data_set('someone/pets', path=str(tmp_path / 'set'))
  split = _load(data_config)
  targets_by_grey = dict(zip(_greys(split), split.targets.tolist()))
  assert targets_by_grey == {10: [0, 1], 20: [1, 0]}
  assert _greys(_load(data_config, 'test')) == [30, 40]


def test_columns_are_found_by_type_whatever_their_names(tmp_path):
  features = Features(
    {
      'label': Value('int64'),  # not of labels
      'Tier': CAT_OR_DOG,
      'image': Value('string'),
      'Bild': Image(),
    }
  )
  columns = {
    'label': [0, 0],
    'Tier': [0, 1],
    'image': ['a', 'b'],
    'Bild': _plain(5, 6),
  }
  split = _load(
    _folder(tmp_path / 'set', features, train=columns, test=columns)
  )
  assert _greys(split) == [5, 6]
  np.testing.assert_array_equal(split.targets, [[1, 0], [0, 1]])


def test_an_image_may_have_many_labels_or_none(tmp_path):
  features = Features({'image': Image(), 'labels': List(CAT_OR_DOG)})
  columns = {'image': _plain(1, 2, 3), 'labels': [[1], [], [1, 0]]}
  split = _load(
    _folder(tmp_path / 'set', features, train=columns, test=columns)
  )
  np.testing.assert_array_equal(split.targets, [[0, 1], [0, 0], [1, 1]])


def test_label_columns_stand_side_by_side(tmp_path):
  features = Features(
    {
      'size': ClassLabel(names=['small', 'large']),
      'image': Image(),
      'seen': List(ClassLabel(names=['tail', 'ear', 'paw'])),
    }
  )
  columns = {'size': [1, 0], 'image': _plain(1, 2), 'seen': [[2, 0], [1]]}
  split = _load(
    _folder(tmp_path / 'set', features, train=columns, test=columns)
  )
  assert split.label_names == ('small', 'large', 'tail', 'ear', 'paw')
  np.testing.assert_array_equal(
    split.targets, [[0, 1, 1, 0, 1], [1, 0, 0, 1, 0]]
  )


def test_label_columns_may_not_share_a_label(tmp_path):
  features = Features({'a': CAT_OR_DOG, 'image': Image(), 'b': CAT_OR_DOG})
  columns = {'a': [0], 'image': _plain(1), 'b': [1]}
  data_config = _folder(tmp_path / 'set', features, train=columns, test=columns)
  with pytest.raises(
    UserError, match='^data.pets: .* one of a, b: .*column=a[.]$'
  ):
    _load(data_config)


@pytest.mark.parametrize(
  ('columns', 'column_list'),
  [
    ({'label': [0]}, 'label: ClassLabel'),
    ({'image': _plain(1)}, 'image: Image'),
    (
      {'image': _plain(1), 'mask': _plain(1), 'label': [0]},
      'image: Image, mask: Image, label: ClassLabel',
    ),
    ({'image': _plain(1), 'name': ['cat']}, 'image: Image, name: string'),
  ],
)
def test_a_table_needs_one_column_of_images_and_some_of_labels(
  tmp_path, columns, column_list
):
  kinds = {
    'image': Image(),
    'mask': Image(),
    'label': CAT_OR_DOG,
    'name': Value('string'),
  }
  features = Features({name: kinds[name] for name in columns})
  data_config = _folder(tmp_path / 'set', features, train=columns, test=columns)
  with pytest.raises(UserError) as error:
    _load(data_config)
  message = str(error.value)
  assert message.startswith('data.pets')
  assert message.endswith(f'there are {column_list}.')


@pytest.mark.parametrize('missing', [None, -1])
def test_a_label_that_is_not_known_is_none(tmp_path, missing):
  columns = {'image': _plain(1, 2), 'label': [missing, 0]}
  split = _load(_folder(tmp_path / 'set', train=columns, test=columns))
  np.testing.assert_array_equal(split.targets, [[0, 0], [1, 0]])


@pytest.mark.parametrize('part', sources.PARTS)
def test_a_test_part_whose_labels_are_hidden_is_refused(tmp_path, part):
  train = {'image': _plain(1, 2), 'label': [0, 1]}
  hidden = {'image': _plain(1, 2), 'label': [-1, -1]}
  data_config = _folder(tmp_path / 'set', train=train, test=hidden)
  with pytest.raises(
    UserError, match='^data.pets: .* part test has a l.* a part with labels'
  ):
    _load(data_config, part)


def test_images_of_one_size_keep_it(tmp_path):
  columns = {'image': _plain(1, 2, size=(5, 3)), 'label': [0, 1]}
  data_config = _folder(tmp_path / 'set', train=columns, test=columns)
  assert _load(data_config, image_shape=(8, 8, 1)).images.shape == (2, 3, 5, 1)
  assert _load(data_config, image_shape=(8, 8, 3)).images.shape == (2, 3, 5, 3)


@pytest.mark.parametrize('channels', [1, 3])
def test_images_of_different_sizes_are_brought_to_one(tmp_path, channels):
  step = Picture.fromarray(np.uint8([[0, 200]]))
  pictures = [step, *_plain(7, size=(2, 9)), *_plain(8, size=(4, 2))]
  columns = {'image': pictures, 'label': [0, 1, 0]}
  data_config = _folder(tmp_path / 'set', train=columns, test=columns)
  split = _load(data_config, image_shape=(2, 4, channels))
  assert split.images.shape == (3, 2, 4, channels)
  # Bilinear: 1/4 and 3/4 of the way between the two pixels.
  for row in range(2):
    for channel in range(channels):
      assert split.images[0, row, :, channel].tolist() == [0, 50, 150, 200]
  assert _greys(split)[1:] == [7, 8]
  assert split.images[1:].std(axis=(1, 2, 3)).tolist() == [0, 0]


def test_colour_becomes_grey_as_bright_as_it_looks(tmp_path):
  colours = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
  columns = {'image': _plain(*colours, mode='RGB'), 'label': [0, 1, 0, 1]}
  data_config = _folder(tmp_path / 'set', train=columns, test=columns)
  # 0.299, 0.587 and 0.114 of 255, together all of it.
  assert _greys(_load(data_config)) == [76, 150, 29, 255]
  assert _load(data_config).images.shape == (4, 8, 8, 1)


def test_grey_becomes_three_equal_channels(tmp_path):
  pictures = [*_plain(40), *_plain((1, 2, 3), mode='RGB')]
  columns = {'image': pictures, 'label': [0, 1]}
  data_config = _folder(tmp_path / 'set', train=columns, test=columns)
  images = _load(data_config, image_shape=(8, 8, 3)).images
  assert images[:, 4, 4].tolist() == [[40, 40, 40], [1, 2, 3]]


def test_a_missing_part_is_drawn_from_the_other(tmp_path):
  data_config = _one_part(tmp_path / 'set', test_fraction=0.2)
  train, test = _load(data_config, 'train'), _load(data_config, 'test')
  assert len(test.images) == 4
  assert sorted(_greys(train) + _greys(test)) == list(range(20))
  # Cats and dogs alike, and each image keeps its own label.
  for split in (train, test):
    assert split.targets.mean(axis=0).tolist() == [0.5, 0.5]
    assert split.targets.argmax(axis=1).tolist() == [
      grey % 2 for grey in _greys(split)
    ]


def test_the_seed_draws_the_test_part(tmp_path):
  data_config = _one_part(tmp_path / 'set', test_fraction=0.5)
  first, again, other = (
    _greys(_load(data_config, 'test', seed=seed)) for seed in (0, 0, 1)
  )
  assert first == again
  assert sorted(first) != sorted(other)


def test_a_test_part_is_not_drawn_twice(tmp_path):
  columns = {'image': _plain(1, 2), 'label': [0, 1]}
  data_config = _folder(tmp_path / 'set', train=columns, test=columns)
  message = '^data.pets.test_fraction: .* its own; set it to None[.]'
  with pytest.raises(UserError, match=message):
    _load({**data_config, 'test_fraction': 0.5})


def test_without_a_test_part_its_share_must_be_given(tmp_path):
  message = '^data.pets.test_part: the set has no part test; give the share'
  with pytest.raises(UserError, match=message):
    _load(_one_part(tmp_path / 'set'))
  message = '^data.pets.test_fraction: .* no test part; give the share'
  with pytest.raises(UserError, match=message):
    _digits(test_fraction=None)


@pytest.mark.parametrize('test_fraction', [0.01, 0.99])
def test_each_part_needs_an_image_per_label(tmp_path, test_fraction):
  data_config = _one_part(tmp_path / 'set', test_fraction=test_fraction)
  message = '^data.pets.test_fraction: .*; take one nearer 0.5[.]'
  with pytest.raises(UserError, match=message):
    _load(data_config)


def test_a_part_to_train_on_must_be_there(tmp_path):
  columns = {'image': _plain(1, 2), 'label': [0, 1]}
  with pytest.raises(UserError, match='^data.pets'):
    _load(_folder(tmp_path / 'set', test=columns))


@pytest.mark.parametrize('names', [['dog', 'cat'], ['cat', 'bird']])
def test_parts_that_number_their_labels_otherwise_are_refused(tmp_path, names):
  columns = {'image': _plain(1, 2), 'label': [0, 1]}
  data_config = _folder(tmp_path / 'set', train=columns)
  test_features = Features({'image': Image(), 'label': ClassLabel(names=names)})
  _folder(tmp_path / 'set', test_features, test=columns)
  with pytest.raises(
    UserError, match=r'^data.pets.path: .*train\.parquet numbers .* than .*test'
  ):
    _load(data_config, 'test')


def test_a_missing_folder_is_named(tmp_path):
  data_config = builders.data_set('someone/pets', path=str(tmp_path / 'gone'))
  with pytest.raises(UserError) as error:
    _load(data_config)
  message = str(error.value)
  assert message.startswith(
    f'data.pets.path: there is no folder {tmp_path}/gone'
  )
  assert 'someone/pets' in message


def _nothing(path):
  path.mkdir()


def _no_parquet(path):
  path.mkdir()
  (path / 'train.parquet').write_bytes(b'PAR1 or not')


def _damaged(path):
  _one_part(path)
  file = path / 'train.parquet'
  whole = file.read_bytes()
  file.write_bytes(whole[:4] + bytes(60) + whole[64:])


def _script(path):
  path.mkdir()
  (path / f'{path.name}.py').write_text('import datasets')


def _no_card(path):
  _one_part(path)
  (path / 'README.md').write_text('---\nconfigs: [\n---\n')


@pytest.mark.parametrize(
  'make', [_nothing, _no_parquet, _damaged, _script, _no_card]
)
def test_a_folder_that_cannot_be_read_is_named(tmp_path, make):
  path = tmp_path / 'set'
  make(path)
  data_config = builders.data_set(
    'someone/pets', path=str(path), test_fraction=0.5
  )
  with pytest.raises(UserError) as error:
    _load(data_config)
  message = str(error.value)
  assert message.startswith(f'data.pets: nothing readable in {path} (')
  assert '\n' not in message


@pytest.mark.parametrize(
  ('broken', 'message'),
  [
    (None, ' has no image;'),
    ({'bytes': b'no picture', 'path': None}, ' cannot be read as an image [(]'),
    (
      {'bytes': b'', 'path': 'a.png'},
      ', a.png, cannot be read as an image [(]',
    ),
  ],
)
def test_a_picture_that_cannot_be_read_is_named(tmp_path, broken, message):
  columns = {'image': [*_plain(1), broken], 'label': [0, 1]}
  data_config = _folder(tmp_path / 'set', train=columns, test=columns)
  with pytest.raises(
    UserError, match=f'^data.pets: row 1 of part train{message}'
  ):
    _load(data_config)


def test_a_set_that_the_hub_lacks_can_be_a_folder():
  with pytest.raises(UserError) as error:
    _load(builders.data_set('someone/pets'))
  message = str(error.value)
  assert message.startswith('data.pets: ')
  assert 'someone/pets on the Hugging Face Hub (' in message
  assert message.endswith('--config.data.pets.path=DIR.')
  assert '\n' not in message


def test_a_missing_library_is_named_with_its_cure(tmp_path, monkeypatch):
  data_config = _one_part(tmp_path / 'set', test_fraction=0.5)
  monkeypatch.setitem(sys.modules, 'datasets', None)
  message = r'^data.pets.source: .* `datasets`; pip install .*\[data\]'
  with pytest.raises(UserError, match=message):
    _load(data_config)
  assert len(_digits().images) == 1257  # these need none


@pytest.mark.parametrize('source', ['digits', 'folder'])
def test_each_part_is_overlaid_on_itself(tmp_path, source):
  if source == 'digits':
    data_config = builders.data_set('scikit-learn/digits', test_fraction=0.3)
  else:
    data_config = _one_part(tmp_path / 'set', test_fraction=0.5)
  for seed, part in enumerate(sources.PARTS):
    overlaid = _load({**data_config, 'overlay': 3}, part)
    expected = overlay.make_pairs(
      _load(data_config, part), seed, 3 if part == 'train' else 1
    )
    assert overlaid.images.shape[1:] == (16, 16, 1)
    np.testing.assert_array_equal(overlaid.images, expected.images)
    np.testing.assert_array_equal(overlaid.targets, expected.targets)
    np.testing.assert_array_equal(overlaid.targets.sum(axis=1), 2)


def test_targets_have_the_order_of_the_given_labels():
  np.testing.assert_array_equal(
    _toy().label_targets(('dog', 'cat')), [[0, 1], [0, 0], [1, 1], [1, 0]]
  )
  assert _toy().label_targets(('owl',)).shape == (4, 1)
  assert _toy().label_targets(()).shape == (4, 0)
  assert _toy().label_targets(('dog',)).dtype == np.float32


def test_a_label_of_another_data_set_is_on_no_image():
  np.testing.assert_array_equal(
    _toy().label_targets(('eel', 'cat')), [[0, 1], [0, 0], [0, 1], [0, 0]]
  )


def test_unknown_labels_are_named_with_the_labels_of_the_set():
  _toy().check_labels('teachers.pets.labels', ('dog', 'cat'))
  with pytest.raises(UserError) as error:
    _toy().check_labels('teachers.pets.labels', ('dog', 'eel', 'fox'))
  missing, existing = str(error.value).split(';')
  assert missing.startswith('teachers.pets.labels: ')
  assert "'eel', 'fox'" in missing
  assert "'dog'" not in missing
  assert "'cat', 'dog', 'owl'" in existing


def test_images_with_any_of_some_labels_are_selected():
  split = _toy().with_any_label(('cat',))
  np.testing.assert_array_equal(split.images.ravel(), [0, 2])
  # The other labels of these images stay.
  np.testing.assert_array_equal(split.targets, [[1, 0, 0], [1, 1, 0]])
  assert split.label_names == ('cat', 'dog', 'owl')
  both = _toy().with_any_label(('dog', 'cat', 'eel'))
  np.testing.assert_array_equal(both.images.ravel(), [0, 2, 3])
  assert len(_toy().with_any_label(('owl',)).images) == 0
  assert len(_toy().images) == 4  # as it was


def test_a_class_of_one_image_is_on_one_side(tmp_path):
  features = datasets.Features(
    image=datasets.Image(), label=datasets.ClassLabel(names=['a', 'b', 'c'])
  )
  columns = {
    'image': _plain(*range(21)),
    'label': [*[0] * 10, *[1] * 10, 2],
  }
  data_config = {
    **_folder(tmp_path / 'rare', features, train=columns),
    'test_fraction': 0.3,
  }
  counts = np.sum(
    [_load(data_config, part).targets.sum(axis=0) for part in sources.PARTS],
    axis=0,
  )
  np.testing.assert_array_equal(counts, [10, 10, 1])
