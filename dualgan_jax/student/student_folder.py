"""The folder of a student on disk: its files, their sums, safe replacement.

It holds `config.json`, `model.safetensors` and perhaps exports,
`model.stablehlo` and `model.onnx`. All is written beside and renamed, so that
whoever reads the folder sees a whole one, and nothing that a user has put there
is ever removed.
"""

import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from dualgan_jax.display import printable
from dualgan_jax.errors import UserError
from dualgan_jax.student import student_config

CONFIG = 'config.json'
MODEL = 'model.safetensors'
# The tensor of bytes that a net has which no config describes.
PROGRAM = 'program'
_EXPORTS = ('model.stablehlo', 'model.onnx')
_PART = '.part'  # ends the name of what is being written
_FILES = {
  *(CONFIG, MODEL, *_EXPORTS),
  *(name + _PART for name in (CONFIG, *_EXPORTS)),
}
_MOST_BYTES = 2**31


def read(
  folder: pathlib.Path,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
  """Reads config and tensors, each checked.

  Args:
    folder: that `write` wrote, or what somebody says is one.

  Raises:
    UserError: it is none, damaged, too large, or its weights are not finite.
  """
  try:
    config = student_config.read(folder / CONFIG)
    tensors = _tensors(folder / MODEL, config.get('sha256', {}))
  except (OSError, ValueError) as e:
    reason = e.strerror if isinstance(e, OSError) and e.strerror else e
    raise UserError(
      f'{printable(folder)}: no folder of a student, or damaged '
      f'({printable(reason, 300)}); give the folder `student` or `branched` of '
      f'a finished run, with its {CONFIG} and {MODEL}.'
    ) from e
  return config, tensors


def write(
  folder: pathlib.Path,
  tensors: Mapping[str, np.ndarray],
  config: Mapping[str, Any],
) -> None:
  """Writes a folder, in place of a student's that is there.

  Args:
    folder: to write.
    tensors: by name.
    config: `config.json`, without sums.

  Raises:
    UserError: the folder is not a student's, a symbolic link, or has other
      files in it; or it could not be read again.
  """
  # In C order: it writes memory as it lies, and looks at no strides.
  model = save({k: np.asarray(x, order='C') for k, x in tensors.items()})
  config = {**config, 'sha256': {MODEL: hashlib.sha256(model).hexdigest()}}
  text = _json(config)
  written = json.loads(text)
  problem = student_config.fault(written)
  if not problem and PROGRAM not in tensors:
    problem = student_config.net_fault(written)
  if len(model) > _MOST_BYTES:
    problem = f'more than {_MOST_BYTES:,} bytes'
  if problem:
    raise UserError(
      f'{printable(folder)}: not written, since it could not be read again '
      f'({problem}).'
    )
  part, old = (folder.with_name(folder.name + x) for x in (_PART, '.old'))
  for path in (folder, part, old):
    check_replaceable(path)
  shutil.rmtree(part, ignore_errors=True)
  part.mkdir(parents=True)
  # Not `save_file`, whose files only their owner may read.
  (part / MODEL).write_bytes(model)
  (part / CONFIG).write_text(text, encoding='utf-8')
  if folder.exists():
    # Killed in between, it leaves `old`, which the next write removes.
    shutil.rmtree(old, ignore_errors=True)
    folder.rename(old)
  part.rename(folder)
  shutil.rmtree(old, ignore_errors=True)


def copy(folder: pathlib.Path, target: pathlib.Path) -> None:
  """Copies a student's files, and no others, into a new folder.

  Args:
    folder: a student's.
    target: to make, in place of an unfinished one.

  Raises:
    OSError: it cannot be made.
    UserError: there is such a folder, which is not a student's.
  """
  check_replaceable(target)
  shutil.rmtree(target, ignore_errors=True)
  target.mkdir(parents=True)
  for name in (CONFIG, MODEL, *_EXPORTS):
    if (folder / name).is_file():
      shutil.copy(folder / name, target)


def add(folder: pathlib.Path, part: pathlib.Path) -> None:
  """Adds a written file, without `.part` in its name, and its sum.

  Args:
    folder: a student's.
    part: a file in it whose name ends in `.part`.
  """
  name = part.name.removesuffix(_PART)
  config = student_config.read(folder / CONFIG)
  sums = config.get('sha256', {MODEL: _digest(folder / MODEL)})
  config['sha256'] = {**sums, name: _digest(part)}
  os.replace(part, folder / name)
  new = folder / (CONFIG + _PART)
  new.write_text(_json(config), encoding='utf-8')
  os.replace(new, folder / CONFIG)


def _tensors(
  path: pathlib.Path, sums: Mapping[str, str]
) -> dict[str, np.ndarray]:
  if not path.is_file():
    raise FileNotFoundError(f'there is no file {path.name}')
  if path.stat().st_size > _MOST_BYTES:
    raise ValueError(f'{path.name} has more than {_MOST_BYTES:,} bytes')
  # Folders of older versions have no sums.
  if path.name in sums and sums[path.name] != _digest(path):
    raise ValueError(f'{path.name} has not the sum that {CONFIG} names')
  try:
    tensors = load_file(path)
  # NumPy has not all the kinds of numbers that there may be.
  except (SafetensorError, AttributeError, LookupError, TypeError) as e:
    raise ValueError(f'{path.name}: {e}') from e
  for name, x in tensors.items():
    if not np.isfinite(x).all():
      raise ValueError(f'{path.name}: {name!r} holds NaN or infinity')
    if 'batch_stats' in name and name.endswith('/var') and (x < 0).any():
      raise ValueError(f'{path.name}: {name!r} holds negative variances')
  return tensors


def _digest(path: pathlib.Path) -> str:
  with path.open('rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def _json(config: Mapping[str, Any]) -> str:
  return json.dumps(config, indent=1, ensure_ascii=False) + '\n'


def check_replaceable(folder: pathlib.Path) -> None:
  """Sees that a folder may be replaced: that it is not there, or a student's.

  Raises:
    UserError: it may not.
  """
  if not os.path.lexists(folder):
    return
  if folder.is_symlink() or not folder.is_dir():
    fault = 'it is no folder'
  else:
    others = sorted({x.name for x in folder.iterdir()} - _FILES)
    fault = f'it holds {others[0]}, too' if others else _config_fault(folder)
  if fault:
    raise UserError(
      f'{printable(folder)}: not replaced, since it is not a student’s folder '
      f'alone ({printable(fault, 200)}); move it away.'
    )


def _config_fault(folder: pathlib.Path) -> str | None:
  """Tells other programs' `config.json` from ours, which may be damaged."""
  try:
    config = json.loads((folder / CONFIG).read_bytes())
  except (OSError, ValueError, RecursionError):
    return None
  ours = isinstance(config, dict) and {'format', 'labels'} <= config.keys()
  return None if ours else f'its {CONFIG} is of another program'
