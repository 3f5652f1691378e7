"""A file of PyTorch is data: read whole, or refused with the reason."""

import io
import pathlib
import pickle
import struct
import zipfile

import ml_dtypes
import numpy as np
import pytest

from dualgan_jax.errors import UserError
from dualgan_jax.teachers import safe_pickle, torch_file, weight_files
from tests.paths import FILES
from tests.torch_files import (
  Call,
  Name,
  Storage,
  pickle_value,
  tensor_call,
  write_archive,
  write_legacy,
)

# Written by PyTorch: {'epoch': 3, 'state_dict': ...} of views, a parameter, a
# batch norm, an empty tensor, half precision; test_against_torch checks that.
_TINY = FILES / 'tiny.pt'


def test_tensors_of_all_kinds_are_read_as_pytorch_wrote_them():
  tensors = weight_files.read(_TINY)
  numbers = np.arange(24, dtype=np.float32)
  expected = {
    'plain': numbers.reshape(2, 3, 4),
    'transposed': numbers.reshape(4, 6).T,
    'part': numbers[5:9],
    'half': np.array([1.5, -2], ml_dtypes.bfloat16),
    'count': np.array(7),
    'empty': np.zeros((0, 3), np.float32),
    'parameter': np.array([1, 2], np.float32),
    'norm.weight': np.ones(3, np.float32),
    'norm.bias': np.zeros(3, np.float32),
    'norm.running_mean': np.zeros(3, np.float32),
    'norm.running_var': np.ones(3, np.float32),
    'norm.num_batches_tracked': np.array(0),
  }
  assert list(tensors) == list(expected)
  for name, tensor in expected.items():
    np.testing.assert_array_equal(tensors[name], tensor, strict=True)


_BYTES = Storage(length=16)
_BYTES.storage_class = Name('torch.storage', 'UntypedStorage')


def _v3(dtype_name, offset, shape, strides, metadata=None):
  arguments = (offset, shape, strides, False, None, Name('torch', dtype_name))
  function = '_rebuild_tensor_v3'
  return Call('torch._utils', function, _BYTES, *arguments, metadata)


def _typed(type_name):
  function, *_ = tensor_call().__reduce__()
  arguments = (Storage(), 0, (4,), (1,), False, None)
  tensor_type = Name(*type_name.rsplit('.', 1))
  return Call(
    'torch._tensor',
    '_rebuild_from_type_v2',
    function,
    tensor_type,
    arguments,
    {'tag': 1},
  )


@pytest.mark.parametrize(
  ('tensor', 'numbers'),
  [
    (tensor_call(1, (3,)), [2, 3, 4]),
    (tensor_call(0, (2, 2), (1, 2)), [[1, 3], [2, 4]]),
    (tensor_call(3, (), ()), 4),
    (tensor_call(1, (2, 3), (1, 0)), [[2, 2, 2], [3, 3, 3]]),
    (tensor_call(metadata=({'neg': True},)), [-1, -2, -3, -4]),
    (tensor_call(metadata=({'neg': False},)), [1, 2, 3, 4]),
    (tensor_call(metadata=(None,)), [1, 2, 3, 4]),
    (Call('torch._utils', '_rebuild_tensor', Storage(), 0, (2,), (1,)), [1, 2]),
    (
      Call('torch._utils', '_rebuild_parameter', tensor_call(), True, {}),
      [1, 2, 3, 4],
    ),
    (_v3('float32', 2, (2,), (1,)), [3, 4]),
    (_v3('uint32', 0, (2,), (1,)), [0x3F800000, 0x40000000]),
    (_typed('torch.Tensor'), [1, 2, 3, 4]),
  ],
)
def test_a_tensor_is_read_however_it_was_written(tmp_path, tensor, numbers):
  path = write_archive(tmp_path / 'x.pth', {'a': tensor})
  np.testing.assert_array_equal(weight_files.read(path)['a'], numbers)


def test_tensors_of_one_storage_share_its_memory(tmp_path):
  names = [str(index) for index in range(100)]
  path = write_archive(
    tmp_path / 'x.pt', {name: tensor_call() for name in names}
  )
  tensors = weight_files.read(path)
  assert list(tensors) == names
  assert all(
    np.shares_memory(tensor, tensors['0']) for tensor in tensors.values()
  )


@pytest.mark.parametrize('byte_order', ['little', 'big'])
def test_bytes_are_read_in_the_order_that_the_file_says(tmp_path, byte_order):
  bits = np.array([0x3F80, 0x4000], '<u2' if byte_order == 'little' else '>u2')
  path = write_archive(
    tmp_path / 'x.pt',
    {'a': tensor_call(0, (2,), (1,), Storage('1', 'BFloat16', 2))},
    members=[('byteorder', byte_order.encode()), ('data/1', bits.tobytes())],
  )
  np.testing.assert_array_equal(
    weight_files.read(path)['a'].astype(float), [1, 2]
  )


def test_an_order_of_bytes_that_is_none_is_refused(tmp_path):
  path = write_archive(
    tmp_path / 'x.pt', {'a': tensor_call()}, members=[('byteorder', b'big\n')]
  )
  with pytest.raises(UserError, match='byteorder is neither little nor big'):
    weight_files.read(path)


@pytest.mark.parametrize('storage_keys', [('0', '1'), ('1', '0')])
def test_the_format_before_1_6_is_read(tmp_path, storage_keys):
  arrays = {
    '0': np.arange(1, 5, dtype='<f4'),
    '1': np.array([7, 8, 9], '<i8'),
  }
  value = {
    'epoch': 3,
    'state_dict': {
      'a': tensor_call(2, (2,)),
      'b': tensor_call(0, (3,), (1,), Storage('1', 'Long', 3, (None,))),
      'c': tensor_call(0, (2,), (1,), Storage('0', 'Float', 4, (('v', 1, 2),))),
    },
  }
  path = write_legacy(
    tmp_path / 'x.th',
    value,
    {storage_key: arrays[storage_key] for storage_key in storage_keys},
  )
  tensors = weight_files.read(path)
  np.testing.assert_array_equal(tensors['a'], [3, 4])
  np.testing.assert_array_equal(tensors['b'], [7, 8, 9])
  np.testing.assert_array_equal(tensors['c'], [2, 3])


@pytest.mark.parametrize('cut', [1, 16, 17, 30, 100])
def test_a_cut_file_of_the_format_before_1_6_is_refused(tmp_path, cut):
  path = write_legacy(
    tmp_path / 'x.th', {'a': tensor_call()}, {'0': np.arange(4, dtype='<f4')}
  )
  path.write_bytes(path.read_bytes()[:-cut])
  with pytest.raises(UserError, match=r'x\.th: damaged'):
    weight_files.read(path)


@pytest.mark.parametrize(
  ('module', 'name'),
  [
    ('os', 'system'),
    ('builtins', 'eval'),
    ('torch', 'load'),
    ('torchvision.models.resnet', 'ResNet'),
    ('numpy._core.multiarray', 'scalar'),
    ('dualgan_jax.teachers.torch_file', 'load'),
  ],
)
@pytest.mark.parametrize('has_weights', [False, True])
def test_no_function_of_a_file_is_called(tmp_path, module, name, has_weights):
  evidence = tmp_path / 'ran'
  call = Call(module, name, f'touch {evidence}', state={'x': 1})
  weights = {'a': tensor_call()} if has_weights else {}
  path = write_archive(tmp_path / 'x.pt', {**weights, 'other': call})
  if has_weights:
    assert list(weight_files.read(path)) == ['a']
  else:
    with pytest.raises(
      UserError, match=rf"holds {module}\.{name} \(at 'other'\), .*state_dict"
    ):
      weight_files.read(path)
  assert not evidence.exists()


def test_attributes_of_a_state_dict_are_dropped(tmp_path):
  state = {'items': 1, '_metadata': {}}
  pairs = [['a', tensor_call()]]
  value = Call('collections', 'OrderedDict', pairs, state=state)
  tensors = weight_files.read(
    write_archive(tmp_path / 'x.pt', {'state_dict': value})
  )
  assert list(tensors) == ['a']


@pytest.mark.parametrize('protocol', range(6))
def test_plain_values_are_read_as_pickle_reads_them(protocol):
  values = [
    1,
    -(2**70),
    1.5,
    'ä',
    True,
    None,
    {'a': (1, 2, 3, 4)},
    [()],
    {1: []},
  ]
  if protocol > 2:
    values.append(b'bytes')
  stream = io.BytesIO(pickle.dumps(values, protocol) + b'more')
  assert safe_pickle.load(stream, {}, None) == values
  assert stream.read() == b'more'


@pytest.mark.parametrize(
  'value',
  [
    {1, 2},
    frozenset('a'),
    1j,
    range(3),
    ValueError('x'),
    pathlib.PurePath('a'),
  ],
)
@pytest.mark.parametrize('protocol', [2, 4])
def test_other_objects_are_inert(value, protocol):
  stream = io.BytesIO(pickle.dumps([value], protocol))
  (loaded,) = safe_pickle.load(stream, {}, None)
  assert isinstance(loaded, safe_pickle.Inert)


@pytest.mark.parametrize(
  ('value', 'reason'),
  [
    ({'a': tensor_call(2, (3,))}, 'a reaches beyond its storage'),
    ({'a': tensor_call(-1, (1,))}, 'of no sense'),
    ({'a': tensor_call(0, (2, 2), (-1, 1))}, 'of no sense'),
    ({'a': tensor_call(0, (2,), (1, 1))}, 'of no sense'),
    ({'a': tensor_call(0, (True,))}, 'of no sense'),
    ({'a': tensor_call(0, (1,) * 33, (1,) * 33)}, 'of no sense'),
    (
      {'a': tensor_call(0, (10**9, 10**9), (0, 0))},
      'a is larger than its file',
    ),
    ({'a': tensor_call(0, (2**61, 0), (1, 1))}, 'a is larger than its file'),
    ({'a': tensor_call(storage=Storage('7'))}, 'a is damaged'),
    ({'a': tensor_call(storage=Storage('../data.pkl'))}, 'a is damaged'),
    ({'a': tensor_call(storage=Storage(length=3))}, None),
    ({'a': tensor_call(storage=Storage(length=5))}, 'another storage'),
    (
      {'a': tensor_call(metadata=({'conj': True, 'zero': 1},))},
      'unknown metadata',
    ),
    ({'a': tensor_call(metadata=([((),)],))}, 'unknown metadata'),
    ({'a': tensor_call(storage='0')}, 'of no sense'),
    ({'a': _v3('bool', 0, (2,), (1,), {'neg': True})}, 'a has truth values'),
    ({'a': Call('torch', 'FloatStorage')}, 'holds torch.FloatStorage'),
  ],
)
def test_a_tensor_that_its_file_does_not_hold_is_refused(
  tmp_path, value, reason
):
  path = write_archive(tmp_path / 'x.pt', value)
  with pytest.raises(UserError, match=rf'x\.pt: .*{reason or "beyond"}'):
    weight_files.read(path)


_DEEP = 200_000
# Each is a pickle that once took for ever, took gigabytes, or ended Python.
HOSTILE_PICKLES = {
  'a memo of 2**28 entries': b'\x80\x02Nr' + struct.pack('<I', 2**28) + b'.',
  'a tuple of 200,000 levels': b'\x80\x02)' + b'\x85' * _DEEP + b'.',
  'a list of 200,000 levels': b'\x80\x02'
  + b']' * _DEEP
  + b'a' * (_DEEP - 1)
  + b'.',
  'a key of 200,000 levels': b'\x80\x02})' + b'\x85' * _DEEP + b'Ns.',
  'a key that doubles 60 times': b'\x80\x02})' + b'2\x86' * 60 + b'Ns.',
  'keys that all have one hash': b'\x80\x02}('
  + b''.join(
    b'\x8a\x0a' + (i * (2**61 - 1)).to_bytes(10, 'little') + b'N'
    for i in range(1, 30_000)
  )
  + b'u.',
  'a list that holds itself': b'\x80\x02]q\x00h\x00a.',
  'a text longer than the file': b'\x80\x02X\xff\xff\xff\x7fabc.',
  'a pickle without an end': b'\x80\x02' + b']' * 100,
  'a dict of the same pairs again and again': b'\x80\x02]('
  + b'](K\x01K\x02e' * 1000
  + b'eq\x00('
  + b'ccollections\nOrderedDict\nh\x00\x85R' * 5000
  + b't.',
  'a persistent id as text': b'\x80\x02Pstorage\n.',
  'an extension': b'\x80\x02\x82\x01.',
  'an old object': b'\x80\x02(cos\nsystem\no.',
  'a state for a tuple': b'\x80\x02)}b.',
  'a stack that is empty': b'\x80\x02\x86.',
}


@pytest.mark.parametrize('name', HOSTILE_PICKLES)
@pytest.mark.parametrize('file_format', ['zip', 'legacy'])
def test_a_hostile_pickle_is_one_sentence(tmp_path, name, file_format):
  path = tmp_path / 'x.pt'
  if file_format == 'zip':
    write_archive(path, HOSTILE_PICKLES[name])
  else:
    header = b''.join(map(pickle_value, (0x1950A86A20F9469CFC6C, 1001, {})))
    path.write_bytes(header + HOSTILE_PICKLES[name] + pickle_value([]))
  with pytest.raises(UserError, match=r'x\.pt: ') as error:
    weight_files.read(path)
  assert '\n' not in str(error.value)


def test_a_pickle_of_too_many_values_is_refused(tmp_path, monkeypatch):
  monkeypatch.setattr(safe_pickle, '_MAX_STEPS', 2000)
  path = write_archive(tmp_path / 'x.pt', b'\x80\x02' + b']' * 2000 + b'.')
  with pytest.raises(UserError, match='more than 2,000 values'):
    weight_files.read(path)


def test_a_compressed_file_is_refused(tmp_path):
  bomb = ('data/1', bytes(10**6))
  path = write_archive(
    tmp_path / 'x.pt',
    {'a': tensor_call()},
    members=[bomb],
    compression=zipfile.ZIP_DEFLATED,
  )
  with pytest.raises(UserError, match='compressed'):
    weight_files.read(path)


def test_members_that_share_their_bytes_are_refused(tmp_path):
  names = [str(i) for i in range(1000)]
  storages = {
    storage_key: tensor_call(storage=Storage(storage_key, length=10_000))
    for storage_key in names
  }
  path = write_archive(
    tmp_path / 'x.pt', storages, members=[('data/0', bytes(40_000))]
  )
  # Each member of the directory that is written lies where '0' does.
  with zipfile.ZipFile(path, 'a') as file:
    first_info = file.getinfo('x/data/0')
    for name in names[1:]:
      member_info = zipfile.ZipInfo(f'x/data/{name}')
      member_info.header_offset = first_info.header_offset
      member_info.file_size = member_info.compress_size = first_info.file_size
      member_info.CRC = first_info.CRC
      file.filelist.append(member_info)
      file.NameToInfo[member_info.filename] = member_info
    file._didModify = True
  with pytest.raises(UserError, match=r'x\.pt: '):
    weight_files.read(path)


@pytest.mark.parametrize('num_bytes', [0, 100, 2000, 4000, 4300])
def test_a_cut_file_is_refused(tmp_path, num_bytes):
  path = tmp_path / 'x.pt'
  path.write_bytes(_TINY.read_bytes()[:num_bytes])
  with pytest.raises(UserError, match=r'x\.pt: '):
    weight_files.read(path)


def test_values_of_a_file_are_plain(tmp_path):
  value = torch_file.load(_TINY)
  assert value['epoch'] == 3
  assert list(value) == ['epoch', 'state_dict']
