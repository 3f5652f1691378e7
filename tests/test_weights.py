"""Weight files are data: read whole, or refused with the reason."""

import collections
import errno
import io
import pathlib
import pickle
import zipfile

import hypothesis
import ml_dtypes
import numpy as np
import pytest
from hypothesis import strategies as st
from safetensors.numpy import save_file

from dualgan_jax import weights
from dualgan_jax.errors import UserError

# One number, of a kind that NumPy has not.
_HEADER = b'{"w":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}'
_FLOAT8 = len(_HEADER).to_bytes(8, 'little') + _HEADER + b'\0'
# Written by PyTorch: {'epoch': 3, 'state_dict': ...} of views, a parameter, a
# batch norm, an empty tensor, half precision; test_against_torch holds it so.
_TINY = pathlib.Path(__file__).with_name('tiny.pt')


class _Storage:
  """What a handmade pickle refers to."""

  def __init__(self, key):
    self.key = key


class _Named:
  """Pickles as a call of a name with arguments."""

  def __init__(self, module, name, *arguments):
    self.named, self.arguments = (module, name), arguments

  def __reduce__(self):
    return _Name(*self.named), self.arguments


class _Name:
  def __init__(self, module, name):
    self.module, self.name = module, name

  def __call__(self):
    raise AssertionError


class _Pickler(pickle._Pickler):
  """Writes names of modules that are not there."""

  dispatch = pickle._Pickler.dispatch.copy()

  def persistent_id(self, obj):
    if not isinstance(obj, _Storage):
      return None
    return ('storage', _Name('torch', 'FloatStorage'), obj.key, 'cpu', 4)

  def _save_name(self, obj):
    self.write(f'c{obj.module}\n{obj.name}\n'.encode())

  dispatch[_Name] = _save_name


def _write(path, value, compression=zipfile.ZIP_STORED):
  """A file as torch.save writes it, with one storage of 1, 2, 3, 4."""
  held = io.BytesIO()
  _Pickler(held, 2).dump(value)
  with zipfile.ZipFile(path, 'w', compression) as archive:
    archive.writestr('x/data.pkl', held.getvalue())
    archive.writestr('x/data/0', np.arange(1, 5, dtype='<f4').tobytes())
  return path


def _tensor(offset, size, stride, key='0'):
  return _Named(
    'torch._utils',
    '_rebuild_tensor_v2',
    _Storage(key),
    offset,
    size,
    stride,
    False,
    collections.OrderedDict,
  )


def test_tensors_of_all_kinds_are_what_pytorch_wrote():
  found = weights.read(_TINY)
  base = np.arange(24, dtype=np.float32)
  expected = {
    'plain': base.reshape(2, 3, 4),
    'transposed': base.reshape(4, 6).T,
    'part': base[5:9],
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
  assert list(found) == list(expected)
  for name, x in expected.items():
    np.testing.assert_array_equal(found[name], x, strict=True)


def test_a_handmade_file_is_read(tmp_path):
  path = _write(tmp_path / 'x.pth', {'a': _tensor(1, (3,), (1,))})
  np.testing.assert_array_equal(weights.read(path)['a'], [2, 3, 4])


@pytest.mark.parametrize(
  ('names', 'wanted'),
  [
    (('module.a.b', 'module.c'), ['a.b', 'c']),  # DataParallel
    (('module._orig_mod.a.b', 'module._orig_mod.c'), ['a.b', 'c']),  # compile
    (('n_averaged', 'module.a'), ['a']),  # AveragedModel
    (('net.model.a', 'net.b'), ['model.a', 'b']),
    (('model.a', 'head.b'), ['model.a', 'head.b']),
    (('conv.a', 'conv.b'), ['conv.a', 'conv.b']),
    (('model', 'model.a'), ['model', 'model.a']),
    (('n_averaged',), []),
  ],
)
def test_prefixes_of_wrappers_are_dropped(tmp_path, names, wanted):
  x = _tensor(0, (2, 2), (2, 1))
  path = _write(tmp_path / 'x.pth', dict.fromkeys(names, x))
  assert list(weights.read(path)) == wanted


@pytest.mark.parametrize('name', ['x.safetensors', 'X.SAFETENSORS'])
def test_safetensors_are_read(tmp_path, name):
  x = np.arange(6, dtype=np.float32).reshape(2, 3)
  save_file({'a': x}, tmp_path / name)
  np.testing.assert_array_equal(
    weights.read(tmp_path / name)['a'], x, strict=True
  )


@pytest.mark.parametrize(
  ('module', 'name'),
  [
    ('os', 'system'),
    ('builtins', 'eval'),
    ('torch', 'load'),
    ('torchvision.models.resnet', 'ResNet'),
    ('numpy._core.multiarray', 'scalar'),
    ('collections', 'defaultdict'),
    ('dualgan_jax.weights', '_Tensor'),
  ],
)
def test_any_other_name_is_refused_and_nothing_runs(tmp_path, module, name):
  ran = tmp_path / 'ran'
  value = {'a': _Named(module, name, f'touch {ran}')}
  path = _write(tmp_path / 'x.pt', value)
  with pytest.raises(
    UserError, match=rf'x\.pt: holds {module}\.{name}, .*state_dict\(\)'
  ):
    weights.read(path)
  assert not ran.exists()


class _Changed:
  """Pickles as an ordered dict with attributes."""

  def __init__(self, attributes):
    self.attributes = attributes

  def __reduce__(self):
    return _Name('collections', 'OrderedDict'), (), self.attributes


def test_what_pytorch_hangs_on_a_state_dict_is_dropped(tmp_path):
  value = {
    'state_dict': {'a': _tensor(0, (1,), (1,))},
    'other': _Changed({'items': 1, '_metadata': {}}),
  }
  assert list(weights.read(_write(tmp_path / 'x.pt', value))) == ['a']


@pytest.mark.parametrize(
  ('value', 'said'),
  [
    ({}, 'holds no dict of tensors'),
    ([1, 2], 'holds no dict of tensors'),
    ({'a': _tensor(0, (1,), (1,)), 'lr': 0.1}, "'lr' is no tensor"),
    ({'a': _tensor(2, (3,), (1,))}, 'reaches beyond its storage'),
    ({'a': _tensor(-1, (1,), (1,))}, 'of no sense'),
    ({'a': _tensor(0, (2, 2), (-1, 1))}, 'of no sense'),
    ({'a': _tensor(0, (2,), (1, 1))}, 'of no sense'),
    ({'a': _tensor(0, (10**9, 10**9), (0, 0))}, 'larger than its storage'),
    ({'a': _tensor(0, (1,), (1,), key='7')}, 'damaged'),
    ({'a': _tensor(0, (1,), (1,), key='../data.pkl')}, 'damaged'),
    ({'a': _Named('torch', 'FloatStorage')}, 'damaged'),
  ],
)
def test_what_is_no_dict_of_tensors_is_refused(tmp_path, value, said):
  path = _write(tmp_path / 'x.pt', value)
  with pytest.raises(UserError, match=rf'x\.pt: .*{said}'):
    weights.read(path)


def test_a_compressed_file_is_refused(tmp_path):
  value = {'a': _tensor(0, (1,), (1,))}
  path = _write(tmp_path / 'x.pt', value, zipfile.ZIP_DEFLATED)
  with pytest.raises(UserError, match='compressed'):
    weights.read(path)


@pytest.mark.parametrize(
  ('name', 'content', 'said'),
  [
    ('x.pt', None, 'no such file'),
    ('x.pt', b'', 'not in the zip format'),
    ('x.pth', pickle.dumps({'a': 1}), 'not in the zip format'),
    ('x.safetensors', b'nothing', 'no safetensors file'),
    ('x.safetensors', _FLOAT8, 'no safetensors file of numbers that NumPy'),
  ],
)
def test_what_is_no_such_file_is_one_sentence(tmp_path, name, content, said):
  path = tmp_path / name
  if content is not None:
    path.write_bytes(content)
  with pytest.raises(UserError, match=said):
    weights.read(path)


@hypothesis.given(
  place=st.integers(0, _TINY.stat().st_size - 1), byte=st.integers(0, 255)
)
def test_a_flipped_byte_is_refused_or_does_not_matter(
  tmp_path_factory, place, byte
):
  content = bytearray(_TINY.read_bytes())
  content[place] = byte
  path = tmp_path_factory.mktemp('flipped') / 'x.pt'
  path.write_bytes(content)
  whole = weights.read(_TINY)
  try:
    found = weights.read(path)
  except UserError:
    return
  assert list(found) == list(whole)
  for name, x in whole.items():
    np.testing.assert_array_equal(found[name], x)


@pytest.mark.parametrize('kept', [0, 100, 2000, 4000, 4300])
def test_a_cut_file_is_refused(tmp_path, kept):
  path = tmp_path / 'x.pt'
  path.write_bytes(_TINY.read_bytes()[:kept])
  with pytest.raises(UserError, match=r'x\.pt: '):
    weights.read(path)


def _hub_cache(folder, content):
  """A cache as huggingface_hub keeps it, with one repository."""
  repository = folder / 'models--someone--teachers'
  snapshot = repository / 'snapshots' / 'abc'
  snapshot.mkdir(parents=True)
  (repository / 'refs').mkdir()
  (repository / 'refs' / 'main').write_text('abc')
  for name, tensors in content.items():
    save_file(tensors, snapshot / name)


@pytest.fixture
def hub(tmp_path, monkeypatch):
  x = np.ones(2, np.float32)
  _hub_cache(
    tmp_path, {'model.safetensors': {'a': x}, 'best.safetensors': {'b': x}}
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
  path = weights.find('teachers.x.weights', address)
  assert list(weights.read(path)) == [name]


def test_whatever_the_hubs_library_raises_is_one_sentence(monkeypatch):
  class ProxyError(Exception):
    """As of its HTTP client: no OSError, no ValueError."""

  def refuse(*args):
    raise ProxyError('403 Forbidden')

  monkeypatch.setattr('huggingface_hub.hf_hub_download', refuse)
  with pytest.raises(
    UserError, match=r'brought \(403 Forbidden\); look for it'
  ):
    weights.find('teachers.x.weights', 'hf://someone/teachers')


@pytest.mark.parametrize(
  ('address', 'said'),
  [
    ('hf://someone', 'names no repository; write hf://owner/name'),
    ('hf://someone/others', 'cannot be brought .* local file'),
    ('hf://someone/teachers/none.safetensors', 'cannot be brought'),
    ('hf://-/teachers', 'cannot be brought'),
    ('nowhere.pt', r'there is no file .*nowhere\.pt'),
  ],
)
def test_a_file_that_is_not_there_is_one_sentence(hub, address, said):
  with pytest.raises(UserError, match=rf'^teachers\.x\.weights: .*{said}') as e:
    weights.find('teachers.x.weights', address)
  assert '\n' not in str(e.value)


def test_the_sum_is_that_of_sha256sum(tmp_path):
  path = tmp_path / 'x'
  path.write_bytes(b'abc')
  assert weights.digest(path).startswith('ba7816bf8f01cfea414140de5dae2223')


def test_a_file_that_may_not_be_read_is_one_sentence(tmp_path, monkeypatch):
  path = tmp_path / 'x.pth'
  path.touch()

  def refuse(*_):
    raise PermissionError(errno.EACCES, 'Permission denied')

  monkeypatch.setattr(pathlib.Path, 'open', refuse)  # root may read anything
  with pytest.raises(
    UserError, match=rf'^teachers.x.weights: {path} cannot be read \(Perm'
  ):
    weights.find('teachers.x.weights', str(path))


def test_a_home_of_nobody_is_no_file():
  with pytest.raises(UserError, match='there is no file .*~nobody-here/a.pt'):
    weights.find('teachers.x.weights', '~nobody-here/a.pt')
