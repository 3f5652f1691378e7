"""Damages weight files of PyTorch, in both of its formats."""

import collections
import dataclasses
import functools
import importlib.util
import io
import pathlib
import pickletools
import random
import struct
import tempfile
import zipfile
from collections.abc import Callable

import numpy as np

from dualgan_jax.teachers import torch_file, weight_files
from dualgan_jax.teachers.torch_tensor import Tensor
from tests import torch_files
from tests.paths import FILES
from tests.torch_files import Call, Name, Storage, tensor_call

_TINY = FILES / 'tiny.pt'
_HAS_TORCH = importlib.util.find_spec('torch') is not None
# Numbers at which lengths, indices and products break.
NUMBERS = (
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
  """Makes files of PyTorch: pairs of a pickle, and a function of one.

  The function returns the bytes of a file with another pickle in it.
  """
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
    *map(_split_archive, (_TINY.read_bytes(), little, big)),
    # The pickles of the format before 1.6 stand in the file as they are.
    (
      legacy[: -numbers.nbytes - 8],
      lambda pickle: pickle + legacy[-numbers.nbytes - 8 :],
    ),
  )


def _split_archive(content):
  """Returns an archive's pickle, and a function that replaces it."""
  with zipfile.ZipFile(io.BytesIO(content)) as archive:
    members = {member: archive.read(member) for member in archive.namelist()}
  (pickle_name,) = [
    member for member in members if member.endswith('/data.pkl')
  ]

  def replace_pickle(pickle):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w') as archive:
      for member, data in members.items():
        archive.writestr(member, pickle if member == pickle_name else data)
    return stream.getvalue()

  return members[pickle_name], replace_pickle


def torch_file_trial(numbers: random.Random, folder: pathlib.Path) -> Trial:
  """Damages a file of PyTorch, in its pickle or anywhere."""
  pickle, make_file = numbers.choice(_originals())
  path = folder / 'last.pt'
  whole_file = make_file(pickle)
  if numbers.random() < 0.3:
    path.write_bytes(change_bytes(numbers, whole_file))
    if whole_file.startswith(b'PK'):
      return Trial(path, lambda: _check_archive(path, whole_file))
    return Trial(path, lambda: _check_torch_file(path))
  # Mostly little, so that much of what the file says can still be read.
  for _ in range(numbers.choice((1, 1, 1, 2, 3))):
    damage_pickle = numbers.choice(
      (
        *(change_bytes, _move_opcodes),
        *(_change_number, _change_number),
      )
    )
    pickle = damage_pickle(numbers, pickle)
  path.write_bytes(make_file(pickle))
  return Trial(path, lambda: _check_torch_file(path))


def change_bytes(numbers, content):
  """Changes, removes, inserts or repeats bytes, or cuts the content."""
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


def _read_opcodes(pickle):
  """Reads the opcodes of one pickle or several in a row, and their places."""
  stream, opcodes = io.BytesIO(pickle), []
  try:
    while stream.tell() < len(pickle):
      opcodes += pickletools.genops(stream)
  except Exception:
    pass  # it was damaged before
  places = [place for *_, place in opcodes]
  return opcodes, [*places, len(pickle)]


def _change_number(numbers, pickle):
  """Replaces one of the numbers in a pickle."""
  opcodes, places = _read_opcodes(pickle)
  integer_indices = [
    index
    for index, (opcode, *_) in enumerate(opcodes)
    if opcode.name in _INTEGERS
  ]
  if not integer_indices:
    return pickle
  index = numbers.choice(integer_indices)
  _, integer, _ = opcodes[index]
  near_number = integer + numbers.choice((-1, 1, 2))
  number = numbers.choice((near_number, near_number, numbers.choice(NUMBERS)))
  number = max(min(number, 2**79 - 1), -(2**79))
  encoded = number.to_bytes(10, 'little', signed=True)
  return (
    pickle[: places[index]]
    + b'\x8a\x0a'
    + encoded
    + pickle[places[index + 1] :]
  )


def _move_opcodes(numbers, pickle):
  """Copies opcodes to another place, or puts others there."""
  _, places = _read_opcodes(pickle)
  start = numbers.randrange(len(places) - 1) if len(places) > 1 else 0
  end = min(len(places) - 1, start + numbers.randint(1, 20))
  moved_opcodes = pickle[places[start] : places[end]] * numbers.choice(
    (1, 1, 2, 500)
  )
  first_place, last_place = sorted(numbers.choices(places, k=2))
  if numbers.random() < 0.5:
    return pickle[:first_place] + moved_opcodes + pickle[first_place:]
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
  inserted_opcodes = b''.join(
    numbers.choices(opcodes + more, k=numbers.randint(1, 9))
  )
  end_place = last_place if numbers.random() < 0.2 else first_place
  return pickle[:first_place] + inserted_opcodes + pickle[end_place:]


def _check_archive(path, whole_file):
  """Compares the tensors of a damaged archive with those of the whole one.

  An archive has sums of all its members. PyTorch does not look at them, and
  reads other numbers from some.
  """
  tensors = weight_files.read(path)
  whole_path = path.with_name('whole.pt')
  whole_path.write_bytes(whole_file)
  for name, whole_tensor in weight_files.read(whole_path).items():
    np.testing.assert_array_equal(tensors[name], whole_tensor)


def _check_torch_file(path):
  """Reads a file in both ways, and compares with PyTorch if it is installed."""
  value = torch_file.load(path)
  if _HAS_TORCH:
    import torch

    try:
      theirs = torch.load(path, weights_only=True)
    except Exception:
      theirs = None  # it reads less than we do
    _compare(value, theirs, levels=6)
  for name, array in weight_files.read(path).items():
    assert isinstance(name, str)
    assert isinstance(array, np.ndarray)
    # All its numbers can be reached.
    doubles = array.astype(np.float64)
    np.sum(doubles, where=np.isfinite(doubles))


def _compare(ours, theirs, levels):
  """Compares the numbers of each tensor that both have read."""
  if hasattr(theirs, 'untyped_storage') and isinstance(ours, Tensor):
    try:
      our_array = ours.array()
    except ValueError:
      return
    assert our_array.shape == tuple(theirs.shape), (
      'another shape than in PyTorch'
    )
    are_same = np.array_equal(
      our_array.astype(np.float64),
      theirs.detach().double().numpy(),
      equal_nan=True,
    )
    assert are_same, 'other numbers than in PyTorch'
  elif isinstance(theirs, dict) and isinstance(ours, dict) and levels:
    for key in theirs.keys() & ours.keys():
      _compare(ours[key], theirs[key], levels - 1)
  elif isinstance(theirs, list | tuple) and isinstance(ours, list | tuple):
    for our_item, their_item in (
      zip(ours, theirs, strict=True) if levels else ()
    ):
      _compare(our_item, their_item, levels - 1)
