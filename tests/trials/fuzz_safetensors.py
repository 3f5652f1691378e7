"""Damages weight files in the format safetensors."""

import json
import pathlib
import random

import ml_dtypes
import numpy as np
from safetensors.numpy import save

from dualgan_jax.teachers import weight_files
from tests.trials import fuzz_weights
from tests.trials.fuzz_weights import Trial

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
_WHOLE_FILE = save(
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
    content = fuzz_weights.change_bytes(numbers, _WHOLE_FILE)
  else:
    content = _change_header(numbers)
  path = folder / 'last.safetensors'
  path.write_bytes(content)
  return Trial(path, lambda: _check_safetensors(path))


def _change_header(numbers):
  """Changes, renames or removes entries of the header, or its length."""
  length = int.from_bytes(_WHOLE_FILE[:8], 'little')
  header, data = (
    json.loads(_WHOLE_FILE[8 : 8 + length]),
    _WHOLE_FILE[8 + length :],
  )
  for _ in range(numbers.randint(1, 3)):
    name = numbers.choice(list(header))
    entry = header[name]
    entry = entry if isinstance(entry, dict) else {}
    match numbers.randrange(7):
      case 0 if 'dtype' in entry:
        entry['dtype'] = numbers.choice([*_DTYPES, 'F8_E4M3', '', 'f32'])
      case 1 if 'shape' in entry:
        entry['shape'] = numbers.choices(
          fuzz_weights.NUMBERS, k=numbers.randint(0, 4)
        )
      case 2 if 'shape' in entry:
        numbers.shuffle(entry['shape'])
      case 3 if 'shape' in entry:
        entry['data_offsets'][numbers.randrange(2)] = numbers.choice(
          fuzz_weights.NUMBERS
        )
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
    length = numbers.choice(
      [number for number in fuzz_weights.NUMBERS if 0 <= number < 2**64]
    )
  return length.to_bytes(8, 'little') + encoded + data


def _check_safetensors(path):
  """Compares what is read with what the header says."""
  arrays = weight_files.read(path)
  content = path.read_bytes()
  length = int.from_bytes(content[:8], 'little')
  header = json.loads(content[8 : 8 + length])
  data = content[8 + length :]
  assert arrays.keys() == header.keys() - {'__metadata__'}
  for name, array in arrays.items():
    entry = header[name]
    first, last = entry['data_offsets']
    expected = np.frombuffer(data[first:last], _DTYPES[entry['dtype']])
    np.testing.assert_array_equal(array, expected.reshape(entry['shape']))
    assert array.dtype == expected.dtype
