"""Weight files are found, and their state dicts."""

import errno
import pathlib
import pickle

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from safetensors.numpy import save_file

from dualgan_jax.errors import UserError
from dualgan_jax.teachers import weight_files
from tests.paths import FILES
from tests.torch_files import Call, tensor_call, write_archive

# One number, of a type that NumPy has not.
_FLOAT8 = b'{"w":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}'
# An empty array with a side that is too long for NumPy.
_TOO_LONG = (
  b'{"w":{"dtype":"F64","shape":[2305843009213693951,0],"data_offsets":[0,0]}}'
)

_TINY = FILES / 'tiny.pt'


@pytest.mark.parametrize('name', ['x.safetensors', 'X.SAFETENSORS'])
def test_safetensors_are_read(tmp_path, name):
  tensor = np.arange(6, dtype=np.float32).reshape(2, 3)
  save_file({'a': tensor}, tmp_path / name)
  np.testing.assert_array_equal(
    weight_files.read(tmp_path / name)['a'], tensor, strict=True
  )


def test_all_state_dicts_of_a_file_are_found(tmp_path):
  first_dict, second_dict = {'a': tensor_call()}, {'b': tensor_call()}
  value = {
    'epoch': 3,
    'nets': [first_dict, {'ema': second_dict}],
    'args': Call('argparse', 'Namespace'),
    'again': first_dict,
    'a': tensor_call(),
    7: tensor_call(),
  }
  contents = weight_files.read_contents(write_archive(tmp_path / 'x.pt', value))
  assert [state_dict.place for state_dict in contents.state_dicts] == [
    '',
    'nets.0',
    'nets.1.ema',
  ]
  assert list(contents.state_dicts[0].tensors()) == ['a']
  assert contents.nameless == ('7',)
  assert contents.objects == {'args': 'argparse.Namespace'}


_SEVERAL = {
  'model': {'a': tensor_call(), 'b': tensor_call()},
  'nets': [{'c': tensor_call(), 'd': tensor_call()}, {'e': tensor_call()}],
}


@pytest.mark.parametrize(
  ('index', 'names'),
  [('model', 'ab'), ('nets.0', 'cd'), (0, 'cd'), (1, 'e'), ('nets', 'cd')],
)
def test_one_of_several_state_dicts_can_be_chosen(tmp_path, index, names):
  path = write_archive(tmp_path / 'x.pt', _SEVERAL)
  assert list(weight_files.read(path, index)) == list(names)


@pytest.mark.parametrize(
  ('index', 'message'),
  [
    (None, r"holds 2 dicts of 2 tensors, at 'model', 'nets\.0'; set index"),
    (7, "no dict of tensors at index 7, but at 'model', .*; set index"),
    ('mod', "no dict of tensors at index 'mod', but at 'model'"),
  ],
)
def test_an_impossible_choice_is_one_sentence(tmp_path, index, message):
  with pytest.raises(UserError, match=message):
    weight_files.read(write_archive(tmp_path / 'x.pt', _SEVERAL), index)


def test_the_state_dict_with_the_most_tensors_is_read(tmp_path):
  value = {
    'optimizer': {0: {'m': tensor_call()}},
    'net': {'a': tensor_call(), 'b': tensor_call()},
  }
  assert list(weight_files.read(write_archive(tmp_path / 'x.pt', value))) == [
    'a',
    'b',
  ]


@pytest.mark.parametrize(
  ('value', 'message'),
  [
    ({}, 'holds no dict of tensors'),
    ([1, 2], 'holds no dict of tensors'),
    ([tensor_call()], "tensors at '0' have no names"),
    ({1: tensor_call()}, "tensors at '1' have no names"),
    (tensor_call(), 'its tensors have no names'),
    (Call('x', 'Net'), r'holds x\.Net, which is more than tensors'),
    ({'m': Call('x', 'A\x1b[31m')}, r"holds x\.A\\x1b\[31m \(at 'm'\)"),
  ],
)
def test_a_file_without_a_state_dict_is_one_sentence(tmp_path, value, message):
  path = write_archive(tmp_path / 'x.pt', value)
  with pytest.raises(UserError, match=rf'x\.pt: .*{message}.*state_dict\(\)'):
    weight_files.read(path)


@pytest.mark.parametrize(
  ('name', 'file_bytes', 'message'),
  [
    ('x.pt', None, 'there is no file'),
    ('x.pt', b'', 'damaged, or not written by torch.save'),
    (
      'x.pth',
      pickle.dumps({'a': 1}),
      'neither a zip archive nor the format bef',
    ),
    ('x.pt', b'PK\x03\x04 and no more', 'cut short; bring'),
    ('x.safetensors', b'nothing', 'no safetensors file'),
    (
      'x.safetensors',
      len(_FLOAT8).to_bytes(8, 'little') + _FLOAT8 + b'0',
      'no safetensors file of numbers that NumPy',
    ),
    (
      'x.safetensors',
      len(_TOO_LONG).to_bytes(8, 'little') + _TOO_LONG,
      r'no safetensors file .*\(array is too big',
    ),
    ('x.safetensors', b'\xff' * 100, 'no safetensors file .*header'),
  ],
)
def test_an_invalid_file_is_one_sentence(tmp_path, name, file_bytes, message):
  path = tmp_path / name
  if file_bytes is not None:
    path.write_bytes(file_bytes)
  with pytest.raises(UserError, match=message):
    weight_files.read(path)


@hypothesis.given(
  position=st.integers(0, _TINY.stat().st_size - 1),
  new_byte=st.integers(0, 255),
)
def test_a_flipped_byte_is_refused_or_does_not_matter(
  tmp_path_factory, position, new_byte
):
  file_bytes = bytearray(_TINY.read_bytes())
  file_bytes[position] = new_byte
  path = tmp_path_factory.mktemp('flipped') / 'x.pt'
  path.write_bytes(file_bytes)
  expected_tensors = weight_files.read(_TINY)
  try:
    tensors = weight_files.read(path)
  except UserError:
    return
  assert list(tensors) == list(expected_tensors)
  for name, tensor in expected_tensors.items():
    np.testing.assert_array_equal(tensors[name], tensor)


def _hub_cache(folder, tensors_by_file):
  """Makes a cache of huggingface_hub, with one repository."""
  repository = folder / 'models--someone--teachers'
  snapshot = repository / 'snapshots' / 'abc'
  snapshot.mkdir(parents=True)
  (repository / 'refs').mkdir()
  (repository / 'refs' / 'main').write_text('abc')
  for name, tensors in tensors_by_file.items():
    save_file(tensors, snapshot / name)


@pytest.fixture
def hub(tmp_path, monkeypatch):
  tensor = np.ones(2, np.float32)
  _hub_cache(
    tmp_path,
    {'model.safetensors': {'a': tensor}, 'best.safetensors': {'b': tensor}},
  )
  monkeypatch.setattr('huggingface_hub.constants.HF_HUB_CACHE', str(tmp_path))
  monkeypatch.setattr('huggingface_hub.constants.HF_HUB_OFFLINE', True)


@pytest.mark.parametrize(
  ('address', 'name'),
  [
    ('hf://someone/teachers', 'a'),
    ('hf://someone/teachers/best.safetensors', 'b'),
  ],
)
def test_a_file_of_the_hub_is_found(hub, address, name):
  path = weight_files.find('teachers.x.weights', address)
  assert list(weight_files.read(path)) == [name]


def test_whatever_the_hubs_library_raises_is_one_sentence(monkeypatch):
  class ProxyError(Exception):
    """An exception of its HTTP client: no OSError, no ValueError."""

  def refuse(*args):
    raise ProxyError('403 Forbidden')

  monkeypatch.setattr('huggingface_hub.hf_hub_download', refuse)
  with pytest.raises(
    UserError, match=r'brought \(403 Forbidden\); look for it'
  ):
    weight_files.find('teachers.x.weights', 'hf://someone/teachers')


@pytest.mark.parametrize(
  ('address', 'message'),
  [
    ('hf://someone', 'names no repository; write hf://owner/name'),
    ('hf://someone/others', 'cannot be brought .* local file'),
    ('hf://someone/teachers/none.safetensors', 'cannot be brought'),
    ('hf://-/teachers', 'cannot be brought'),
    ('nowhere.pt', r'there is no file .*nowhere\.pt'),
  ],
)
def test_a_file_that_is_not_there_is_one_sentence(hub, address, message):
  with pytest.raises(
    UserError, match=rf'^teachers\.x\.weights: .*{message}'
  ) as error:
    weight_files.find('teachers.x.weights', address)
  assert '\n' not in str(error.value)


def test_the_sum_is_that_of_sha256sum(tmp_path):
  path = tmp_path / 'x'
  path.write_bytes(b'abc')
  assert weight_files.digest(path).startswith(
    'ba7816bf8f01cfea414140de5dae2223'
  )


def test_a_file_that_may_not_be_read_is_one_sentence(tmp_path, monkeypatch):
  path = tmp_path / 'x.pth'
  path.touch()

  def refuse(*_):
    raise PermissionError(errno.EACCES, 'Permission denied')

  monkeypatch.setattr(pathlib.Path, 'open', refuse)  # root may read anything
  with pytest.raises(
    UserError, match=rf'^teachers.x.weights: {path} cannot be read \(Perm'
  ):
    weight_files.find('teachers.x.weights', str(path))


def test_a_home_of_nobody_is_no_file():
  with pytest.raises(UserError, match='there is no file .*~nobody-here/a.pt'):
    weight_files.find('teachers.x.weights', '~nobody-here/a.pt')
