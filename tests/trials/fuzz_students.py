"""Makes damaged and hostile folders of students, for `trials.fuzz`."""

import contextlib
import functools
import hashlib
import json
import pathlib
import random
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save

from dualgan_jax.student import student
from tests.paths import FILES
from tests.trials.fuzz_weights import Trial

ORIGINALS = FILES / 'format_1'
# A placeholder for nested lists, deeper than Python can write them.
_DEEP, _DEEP_JSON = '<deep>', '[' * 100_000 + ']' * 100_000
MISSING = object()  # a placeholder for no value at all
# Values for fields that take others.
ODD_VALUES = (
  *(None, True, 0, -1, 1.5, 10**9, 10**30, float('nan'), float('inf')),
  *('', 'a', '\x1b[2J\n', 'a' * 100_000, _DEEP, {'a': {'b': {'c': [1]}}}),
  *([], [0, 0, 0], [10**9] * 3, [-1, 8, 1], [65536, 64, 1], ['a', 'a', 'b']),
  *([None], [[1]], {}, {'a': 'b'}, [1] * 100_000, [2, 2], [10**5, 10**5]),
)
FIELDS = (
  *(('format',), ('labels',), ('labels', 0), ('image',), ('image', 0)),
  *(('image', 2), ('net',), ('net', 'kind'), ('net', 'widths')),
  *(('net', 'widths', 0), ('net', 'depths'), ('net', 'depths', 0)),
  *(('net', 'strides'), ('net', 'strides', 0), ('net', 'batch_norm')),
  *(('net', 'single_label'), ('net', 'more'), ('preparation',), ('answers',)),
  *(('origin',), ('origin', 'experiment'), ('sha256',)),
)


def set_value(folder: pathlib.Path, field: tuple, value: Any) -> None:
  """Sets a field of a folder's config.

  Args:
    folder: a student's folder.
    field: keys and positions, from the outermost.
    value: the value; `MISSING` removes the field.
  """
  path = folder / 'config.json'
  config = json.loads(path.read_text())
  *outer, last = field
  inner = config
  for key in outer:
    inner = inner[key]
  if value is MISSING:
    with contextlib.suppress(KeyError):
      del inner[last]
  else:
    inner[last] = value
  text = json.dumps(config).replace(f'"{_DEEP}"', _DEEP_JSON)
  path.write_text(text)


def update_digest(folder: pathlib.Path) -> None:
  """Updates the digest of a folder's weights, as an attacker would."""
  model = (folder / 'model.safetensors').read_bytes()
  digests = {'model.safetensors': hashlib.sha256(model).hexdigest()}
  set_value(folder, ('sha256',), digests)


def change_tensor(
  folder: pathlib.Path, name: str, change: Callable[[np.ndarray], np.ndarray]
) -> None:
  """Changes one tensor of a folder, and the digest with it."""
  path = folder / 'model.safetensors'
  tensors = load_file(path)
  tensors[name] = change(tensors[name])
  path.write_bytes(save(tensors))
  update_digest(folder)


def copy_original(name: str, folder: pathlib.Path) -> pathlib.Path:
  """Copies the folder 'student' or 'branched' into `folder`."""
  path = folder / name
  shutil.rmtree(path, ignore_errors=True)
  shutil.copytree(ORIGINALS / name, path)
  return path


def student_trial(numbers: random.Random, folder: pathlib.Path) -> Trial:
  """Damages config or weights of a student's folder, or makes them strange.

  Programs are damaged behind their sums only: JAX reads them in native code,
  which is not made for strange bytes.
  """
  name = numbers.choice(('student', 'branched'))
  path = copy_original(name, folder)
  update_digest(path)
  damage_folder = numbers.choice(
    (_damage_config, _damage_bytes, _damage_tensor)
  )
  damage_folder(numbers, path)
  return Trial(path, functools.partial(_check, path))


def _check(path: pathlib.Path) -> None:
  loaded = student.load(path)
  height, width, _ = loaded.image_shape
  if height * width <= 64 * 64:  # else it is slow, and no fault
    answers = loaded.predict(np.full((1, *loaded.image_shape), 127, np.uint8))
    assert answers.shape == (1, len(loaded.labels))


def _damage_config(numbers, path):
  """Puts odd values into the config."""
  for _ in range(numbers.choice((1, 1, 2))):
    value = numbers.choice((*ODD_VALUES, MISSING, 1, 2, [4, 5], [1, 2, 3]))
    # What was put in before may be too deep to read, or without the field.
    with contextlib.suppress(
      LookupError, TypeError, AttributeError, RecursionError
    ):
      set_value(path, numbers.choice(FIELDS), value)


def _damage_bytes(numbers, path):
  """Changes, removes or inserts bytes of a file."""
  file = path / numbers.choice(('config.json', 'model.safetensors'))
  content = bytearray(file.read_bytes())
  for _ in range(numbers.choice((1, 1, 4, 30))):
    start = numbers.randrange(len(content) + 1)
    match numbers.randrange(3):
      case 0:
        content[start : start + 1] = numbers.randbytes(1)
      case 1:
        del content[start : start + numbers.randrange(1, 100)]
      case 2:
        content[start:start] = numbers.randbytes(numbers.randrange(1, 9))
  file.write_bytes(content)
  if path.name == 'student' and file.name != 'config.json':
    update_digest(path)


def _damage_tensor(numbers, path):
  """Gives a tensor odd values, another type, shape or name."""
  file = path / 'model.safetensors'
  tensors = load_file(file)
  name = numbers.choice(sorted(set(tensors) - {'program'}))
  tensor = tensors.pop(name)
  match numbers.randrange(6):
    case 0:
      tensors[name] = np.full_like(
        tensor, numbers.choice((np.nan, np.inf, 1e38))
      )
    case 1:
      tensors[name] = tensor.astype(
        numbers.choice((np.float64, np.int32, bool))
      )
    case 2:
      tensors[name] = tensor[..., :0]
    case 3:
      tensors[name] = tensor[None]
    case 4:
      tensors[numbers.choice(('program', '', '/', f'{name}/a', 'a' * 999))] = (
        tensor
      )
    case 5:
      tensors[name] = -np.abs(tensor)
  file.write_bytes(save(tensors))
  update_digest(path)
