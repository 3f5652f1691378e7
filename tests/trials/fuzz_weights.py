"""Damages weight files: PyTorch's of both formats, and safetensors."""

import collections
import dataclasses
import functools
import importlib.util
import io
import json
import pathlib
import pickletools
import random
import struct
import tempfile
import zipfile
from collections.abc import Callable

import ml_dtypes
import numpy as np
from safetensors.numpy import save

from dualgan_jax.teachers import torch_file, weight_files
from dualgan_jax.teachers.torch_tensor import Tensor
from tests import torch_files
from tests.paths import FILES
from tests.torch_files import Call, Name, Storage, tensor_call

_TINY = FILES / 'tiny.pt'
_HAS_TORCH = importlib.util.find_spec('torch') is not None
# Numbers at which lengths, indices and products break.
_NUMBERS = (
  *(0, 1, 2, 3, 4, 5, 255, 256, 2**16, 2**28, 2**31 - 1, 2**32, 2**40),
  *(2**61 - 1, 2**63 - 1, 2**63, 2**64, 2**70, -1, -2, -(2**31), -(2**63)),
)
_INTEGERS = ('BININT', 'BININT1', 'BININT2', 'LONG1')


@dataclasses.dataclass(frozen=True)
class Trial:
  """A damaged file, and how to try it.

  Attributes:
    path: of the file.
    check: reads the file; raises AssertionError if what it gives is not what
      the file says.
  """

  path: pathlib.Path
  check: Callable[[], None]


@functools.cache
def _originals():
  """Files of PyTorch as pairs of the pickle and what makes a file of one."""
  untyped = Storage(length=16)
  untyped.storage_class = Name('torch.storage', 'UntypedStorage')
  float32 = Name('torch', 'float32')
  value = {
    'args': Call('argparse', 'Namespace', state={'lr': 0.1, 'x': (1, [2])}),
    'best': Call('numpy', 'scalar', 1.5),
    'nets': [
      Call(
        'collections',
        'OrderedDict',
        [['a.b', tensor_call()], ['c', tensor_call(1, (3,))]],
      ),
      collections.OrderedDict({'module.d': tensor_call(0, (2, 2), (1, 2))}),
    ],
    'state_dict': {
      'e': tensor_call(0, (2, 3), (1, 0)),
      'f': tensor_call(metadata=({'neg': True},)),
      'g': Call(
        'torch._utils', '_rebuild_parameter', tensor_call(3, ()), True, {}
      ),
      'h': Call(
        *('torch._utils', '_rebuild_tensor_v3', untyped, 1, (3,), (1,)),
        *(False, None, float32),
      ),
    },
  }
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / 'x.pt'
    big_endian = [
      ('byteorder', b'big'),
      ('data/0', np.arange(1, 5, dtype='>f4').tobytes()),
    ]
    little, big = (
      torch_files.write_archive(path, value, members=members).read_bytes()
      for members in ((), big_endian)
    )
    value['state_dict'].pop('h')
    numbers = np.arange(1, 5, dtype='<f4')
    legacy = torch_files.write_legacy(path, value, {'0': numbers}).read_bytes()
  return (
    *(_archive_of(x) for x in (_TINY.read_bytes(), little, big)),
    # The pickles of the format before 1.6 stand in the file as they are.
    (
      legacy[: -numbers.nbytes - 8],
      lambda x: x + legacy[-numbers.nbytes - 8 :],
    ),
  )


def _archive_of(content):
  """The pickle of an archive, and a function that puts in another one."""
  with zipfile.ZipFile(io.BytesIO(content)) as archive:
    members = {x: archive.read(x) for x in archive.namelist()}
  (name,) = [x for x in members if x.endswith('/data.pkl')]

  def replaced(pickle):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w') as archive:
      for member, data in members.items():
        archive.writestr(member, pickle if member == name else data)
    return stream.getvalue()

  return members[name], replaced


def torch_file_trial(numbers: random.Random, folder: pathlib.Path) -> Trial:
  """Damages a file of PyTorch, in its pickle or anywhere."""
  pickle, file_of = numbers.choice(_originals())
  path = folder / 'last.pt'
  whole = file_of(pickle)
  if numbers.random() < 0.3:
    path.write_bytes(_with_other_bytes(numbers, whole))
    if whole.startswith(b'PK'):
      return Trial(path, lambda: _check_archive(path, whole))
    return Trial(path, lambda: _check_torch_file(path))
  # Mostly little, so that much of what the file says can still be read.
  for _ in range(numbers.choice((1, 1, 1, 2, 3))):
    damage = numbers.choice(
      (
        *(_with_other_bytes, _with_moved_opcodes),
        *(_with_other_number, _with_other_number),
      )
    )
    pickle = damage(numbers, pickle)
  path.write_bytes(file_of(pickle))
  return Trial(path, lambda: _check_torch_file(path))


def _with_other_bytes(numbers, content):
  """Bytes changed, taken out, put in, repeated, or cut off."""
  content = bytearray(content)
  for _ in range(numbers.choice((1, 1, 1, 2, 4))):
    start = numbers.randrange(len(content) + 1)
    end = min(len(content), start + numbers.randint(1, 8))
    match numbers.randrange(6):
      case 0 | 1:
        content[start:end] = numbers.randbytes(end - start)
      case 2:
        del content[start:end]
      case 3:
        content[start:start] = numbers.randbytes(numbers.randint(1, 8))
      case 4:
        content[start:start] = content[start:end] * numbers.choice((1, 9, 999))
      case 5 if numbers.random() < 0.2:
        del content[start:]
  return bytes(content)


def _opcodes(pickle):
  """The opcodes of a pickle, or of pickles in a row, with their places."""
  stream, found = io.BytesIO(pickle), []
  try:
    while stream.tell() < len(pickle):
      found += pickletools.genops(stream)
  except Exception:
    pass  # it was damaged before
  places = [place for *_, place in found]
  return found, [*places, len(pickle)]


def _with_other_number(numbers, pickle):
  """One of the numbers in a pickle is another one."""
  found, places = _opcodes(pickle)
  chosen = [i for i, x in enumerate(found) if x[0].name in _INTEGERS]
  if not chosen:
    return pickle
  i = numbers.choice(chosen)
  near = found[i][1] + numbers.choice((-1, 1, 2))
  number = numbers.choice((near, near, numbers.choice(_NUMBERS)))
  number = max(min(number, 2**79 - 1), -(2**79))
  encoded = number.to_bytes(10, 'little', signed=True)
  return pickle[: places[i]] + b'\x8a\x0a' + encoded + pickle[places[i + 1] :]


def _with_moved_opcodes(numbers, pickle):
  """Some opcodes stand elsewhere, too, or others in their place."""
  _, places = _opcodes(pickle)
  start = numbers.randrange(len(places) - 1) if len(places) > 1 else 0
  end = min(len(places) - 1, start + numbers.randint(1, 20))
  moved = pickle[places[start] : places[end]] * numbers.choice((1, 1, 2, 500))
  i, j = sorted(numbers.choices(places, k=2))
  if numbers.random() < 0.5:
    return pickle[:i] + moved + pickle[i:]
  memo = b'r' + struct.pack('<I', numbers.choice((0, 2**28, 2**32 - 1)))
  opcodes = (b'.', b'0', b'1', b'2', b')', b']', b'}', b'(', b't', b'R', b'b')
  more = (
    b'\x85',
    b'\x86',
    b'\x87',
    b'\x81',
    b's',
    b'u',
    b'a',
    b'e',
    b'Q',
    memo,
  )
  inserted = b''.join(numbers.choices(opcodes + more, k=numbers.randint(1, 9)))
  return pickle[:i] + inserted + pickle[j if numbers.random() < 0.2 else i :]


def _check_archive(path, whole):
  """Sees that what is read is as it was: an archive has sums of all it holds.

  PyTorch, which does not look at them, reads other numbers from some.
  """
  found = weight_files.read(path)
  original = path.with_name('whole.pt')
  original.write_bytes(whole)
  for name, x in weight_files.read(original).items():
    np.testing.assert_array_equal(found[name], x)


def _check_torch_file(path):
  """Reads a file in both ways; compares with PyTorch, where that is there."""
  value = torch_file.load(path)
  if _HAS_TORCH:
    import torch

    try:
      theirs = torch.load(path, weights_only=True)
    except Exception:
      theirs = None  # it reads less than we do
    _compare(value, theirs, levels=6)
  for name, x in weight_files.read(path).items():
    assert isinstance(name, str)
    assert isinstance(x, np.ndarray)
    np.sum(x.astype(np.float64), where=np.isfinite(x.astype(np.float64)))


def _compare(ours, theirs, levels):
  """Sees that each tensor that both read has the same numbers."""
  if hasattr(theirs, 'untyped_storage') and isinstance(ours, Tensor):
    try:
      found = ours.array()
    except ValueError:
      return
    assert found.shape == tuple(theirs.shape), 'another shape than in PyTorch'
    same = np.array_equal(
      found.astype(np.float64),
      theirs.detach().double().numpy(),
      equal_nan=True,
    )
    assert same, 'other numbers than in PyTorch'
  elif isinstance(theirs, dict) and isinstance(ours, dict) and levels:
    for key in theirs.keys() & ours.keys():
      _compare(ours[key], theirs[key], levels - 1)
  elif isinstance(theirs, list | tuple) and isinstance(ours, list | tuple):
    for one, other in zip(ours, theirs, strict=True) if levels else ():
      _compare(one, other, levels - 1)


_DTYPES = {
  'F64': np.float64,
  'F32': np.float32,
  'F16': np.float16,
  'BF16': ml_dtypes.bfloat16,
  'I64': np.int64,
  'I32': np.int32,
  'I16': np.int16,
  'I8': np.int8,
  'U64': np.uint64,
  'U32': np.uint32,
  'U16': np.uint16,
  'U8': np.uint8,
  'BOOL': np.bool_,
  'C64': np.complex64,
}
_SAFE = save(
  {
    'conv.weight': np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    'bias': np.arange(5, dtype=np.float16),
    'count': np.array(7),
    'empty': np.zeros((0, 3), np.float32),
    'mask': np.array([True, False]),
  },
  {'format': 'pt'},
)


def safetensors_trial(numbers: random.Random, folder: pathlib.Path) -> Trial:
  """Damages a safetensors file, in its header or anywhere."""
  if numbers.random() < 0.3:
    content = _with_other_bytes(numbers, _SAFE)
  else:
    content = _with_other_header(numbers)
  path = folder / 'last.safetensors'
  path.write_bytes(content)
  return Trial(path, lambda: _check_safetensors(path))


def _with_other_header(numbers):
  length = int.from_bytes(_SAFE[:8], 'little')
  header, data = json.loads(_SAFE[8 : 8 + length]), _SAFE[8 + length :]
  for _ in range(numbers.randint(1, 3)):
    name = numbers.choice(list(header))
    entry = header[name]
    entry = entry if isinstance(entry, dict) else {}
    match numbers.randrange(7):
      case 0 if 'dtype' in entry:
        entry['dtype'] = numbers.choice([*_DTYPES, 'F8_E4M3', '', 'f32'])
      case 1 if 'shape' in entry:
        entry['shape'] = numbers.choices(_NUMBERS, k=numbers.randint(0, 4))
      case 2 if 'shape' in entry:
        numbers.shuffle(entry['shape'])
      case 3 if 'shape' in entry:
        entry['data_offsets'][numbers.randrange(2)] = numbers.choice(_NUMBERS)
      case 4:
        header[numbers.choice(('bias', 'new', '', 'é\n', '\x1b[31m'))] = entry
      case 5:
        del header[name]
        header = header or {'x': {}}
      case 6:
        header[name] = numbers.choice((None, 1, [], {}, 'x', [[[]]] * 50))
  text = json.dumps(header)
  if numbers.random() < 0.2:  # a name twice, which JSON allows
    text = text[:-1] + ',' + text[1:]
  text = numbers.choice((text, text + ' ' * numbers.randint(0, 9)))
  encoded = text.encode('utf-8', 'surrogatepass')
  length = len(encoded)
  if numbers.random() < 0.1:
    length = numbers.choice([x for x in _NUMBERS if 0 <= x < 2**64])
  return length.to_bytes(8, 'little') + encoded + data


def _check_safetensors(path):
  """Compares what is read with what the header says."""
  found = weight_files.read(path)
  content = path.read_bytes()
  length = int.from_bytes(content[:8], 'little')
  header = json.loads(content[8 : 8 + length])
  data = content[8 + length :]
  assert found.keys() == header.keys() - {'__metadata__'}
  for name, x in found.items():
    entry = header[name]
    first, last = entry['data_offsets']
    expected = np.frombuffer(data[first:last], _DTYPES[entry['dtype']])
    np.testing.assert_array_equal(x, expected.reshape(entry['shape']))
    assert x.dtype == expected.dtype
