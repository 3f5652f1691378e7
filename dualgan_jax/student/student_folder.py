"""Reads and writes the folder of a student: files, digests, safe replacement.

The folder holds `config.json`, `model.safetensors`, perhaps a model card,
`README.md`, and exports, `model.<format>`. Everything is written under another
name and then renamed, so that a reader always finds a complete folder. Files
that a user has put there are never removed.
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

STUDENT = 'student'  # name of a student's folder in that of a run
CONFIG = 'config.json'
MODEL = 'model.safetensors'
CARD = 'README.md'
_CARD_MARK = b'library_name: dualgan_jax'  # stands in every card
# The tensor that holds the program of a net that no config describes.
PROGRAM = 'program'
QUANTISED = 'model.int8.onnx'
_EXPORTS = ('model.stablehlo', 'model.onnx', QUANTISED)
_PART_SUFFIX = '.part'  # of files and folders that are being written
# In the order in which people look at them.
FILES = (CARD, CONFIG, MODEL, *_EXPORTS)
_KNOWN_FILES = {
  *FILES,
  *(name + _PART_SUFFIX for name in (CONFIG, *_EXPORTS)),
}
_MAX_BYTES = 2**31


def read(
  folder: pathlib.Path,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
  """Reads and checks config and tensors.

  Args:
    folder: a folder that `write` wrote, or one that a user claims to be one.

  Raises:
    UserError: it is no student's, damaged, too large, or its weights are not
      finite.
  """
  try:
    config = student_config.read(folder / CONFIG)
    tensors = _read_tensors(folder / MODEL, config.get('sha256', {}))
  except (OSError, ValueError) as error:
    is_system_error = isinstance(error, OSError) and error.strerror
    reason = error.strerror if is_system_error else error
    raise UserError(
      f'{printable(folder)}: no folder of a student, or damaged '
      f'({printable(reason, 300)}); give the folder `student` or `branched` of '
      f'a finished run, with its {CONFIG} and {MODEL}.'
    ) from error
  return config, tensors


def write(
  folder: pathlib.Path,
  tensors: Mapping[str, np.ndarray],
  config: Mapping[str, Any],
  card: str | None = None,
) -> None:
  """Writes a folder, and replaces a student's that is there.

  Args:
    folder: the folder to write.
    tensors: arrays of any shapes, by their names.
    config: content of `config.json`, without digests.
    card: text of `README.md`; None for no such file.

  Raises:
    UserError: the folder is not a student's, a symbolic link, or has other
      files in it; or it could not be read again.
  """
  # In C order: `save` writes memory as it lies, and ignores strides.
  model_bytes = save(
    {name: np.asarray(tensor, order='C') for name, tensor in tensors.items()}
  )
  digests = {MODEL: hashlib.sha256(model_bytes).hexdigest()}
  if card is not None:
    # Tells whether the user has changed it, and it must not be replaced.
    digests[CARD] = hashlib.sha256(card.encode()).hexdigest()
  config_text = _to_json({**config, 'sha256': digests})
  # Check what a reader would check, on the values that it would read.
  written_config = json.loads(config_text)
  fault = student_config.config_fault(written_config)
  if not fault and PROGRAM not in tensors:
    fault = student_config.net_fault(written_config)
  if len(model_bytes) > _MAX_BYTES:
    fault = f'more than {_MAX_BYTES:,} bytes'
  if fault:
    raise UserError(
      f'{printable(folder)}: not written, since it could not be read again '
      f'({fault}).'
    )
  # Write beside the folder; a write that was killed may have left either.
  part_folder, old_folder = (
    folder.with_name(folder.name + suffix) for suffix in (_PART_SUFFIX, '.old')
  )
  for path in (folder, part_folder, old_folder):
    check_replaceable(path)
  shutil.rmtree(part_folder, ignore_errors=True)
  part_folder.mkdir(parents=True)
  # Not by `save_file`, whose files only their owner may read.
  (part_folder / MODEL).write_bytes(model_bytes)
  (part_folder / CONFIG).write_text(config_text, encoding='utf-8')
  if card is not None:
    (part_folder / CARD).write_bytes(card.encode())
  if folder.exists():
    # If this is killed halfway, the next write removes the old folder.
    shutil.rmtree(old_folder, ignore_errors=True)
    folder.rename(old_folder)
  part_folder.rename(folder)
  shutil.rmtree(old_folder, ignore_errors=True)


def copy(folder: pathlib.Path, target: pathlib.Path) -> None:
  """Copies a student's files, and no others, into a new folder.

  Args:
    folder: a student's.
    target: the folder to make; it replaces an unfinished copy.

  Raises:
    OSError: it cannot be made.
    UserError: there is such a folder, which is not a student's.
  """
  check_replaceable(target)
  shutil.rmtree(target, ignore_errors=True)
  target.mkdir(parents=True)
  for name in FILES:
    if (folder / name).is_file():
      shutil.copy(folder / name, target)


def add_export(folder: pathlib.Path, part_file: pathlib.Path) -> None:
  """Adds a written export, and its digest to the config.

  Args:
    folder: a student's.
    part_file: a file in it whose name ends in `.part`, which it loses.
  """
  name = part_file.name.removesuffix(_PART_SUFFIX)
  config = student_config.read(folder / CONFIG)
  # Folders of older versions have no digests.
  digests = config.get('sha256', {MODEL: _digest(folder / MODEL)})
  config['sha256'] = {**digests, name: _digest(part_file)}
  os.replace(part_file, folder / name)
  config_file = folder / (CONFIG + _PART_SUFFIX)
  config_file.write_text(_to_json(config), encoding='utf-8')
  os.replace(config_file, folder / CONFIG)


def _read_tensors(
  path: pathlib.Path, digests: Mapping[str, str]
) -> dict[str, np.ndarray]:
  """Reads the tensors, and checks that training could have left them.

  Raises:
    OSError: there is no file that may be read.
    ValueError: it is damaged; the message is the end of a sentence.
  """
  # Reading a pipe would wait for ever, and a device would never end.
  if not path.is_file():
    raise FileNotFoundError(f'there is no file {path.name}')
  if path.stat().st_size > _MAX_BYTES:
    raise ValueError(f'{path.name} has more than {_MAX_BYTES:,} bytes')
  # Folders of older versions have no digests.
  if path.name in digests and digests[path.name] != _digest(path):
    raise ValueError(f'{path.name} has not the sum that {CONFIG} names')
  try:
    tensors = load_file(path)
  # NumPy lacks some of the number types that a file may declare.
  except (SafetensorError, AttributeError, LookupError, TypeError) as error:
    raise ValueError(f'{path.name}: {error}') from error
  for name, tensor in tensors.items():
    if not np.isfinite(tensor).all():
      raise ValueError(f'{path.name}: {name!r} holds NaN or infinity')
    is_variance = 'batch_stats' in name and name.endswith('/var')
    if is_variance and (tensor < 0).any():
      raise ValueError(f'{path.name}: {name!r} holds negative variances')
  return tensors


def _digest(path: pathlib.Path) -> str:
  """Computes a file's SHA-256 digest, as hexadecimal digits."""
  with path.open('rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def _to_json(config: Mapping[str, Any]) -> str:
  return json.dumps(config, indent=1, ensure_ascii=False) + '\n'


def check_replaceable(folder: pathlib.Path) -> None:
  """Checks that a folder is not there, or a student's that may be replaced.

  Raises:
    UserError: it may not be replaced.
  """
  # A link to nothing does not exist, but is in the way.
  if not os.path.lexists(folder):
    return
  if folder.is_symlink() or not folder.is_dir():
    fault = 'it is no folder'
  else:
    file_names = {path.name for path in folder.iterdir()}
    other_files = sorted(file_names - _KNOWN_FILES)
    fault = (
      f'it holds {other_files[0]}, too'
      if other_files
      else _origin_fault(folder) or _card_fault(folder)
    )
  if fault:
    raise UserError(
      f'{printable(folder)}: not replaced, since it is not a student’s folder '
      f'alone ({printable(fault, 200)}); move it away.'
    )


def _origin_fault(folder: pathlib.Path) -> str | None:
  """Returns a fault if a folder's `config.json` is another program's.

  A config that is missing or damaged may be a student's, and is none.
  """
  try:
    config = json.loads((folder / CONFIG).read_bytes())
  except (OSError, ValueError, RecursionError):
    return None
  is_student = (
    isinstance(config, dict) and {'format', 'labels'} <= config.keys()
  )
  return None if is_student else f'its {CONFIG} is of another program'


def _card_fault(folder: pathlib.Path) -> str | None:
  """Returns a fault if a folder's `README.md` is not as it was written."""
  card = folder / CARD
  if not os.path.lexists(card):
    return None
  try:
    card_bytes = card.read_bytes()
  except OSError as error:
    return f'its {CARD} cannot be read ({error.strerror})'
  try:
    digests = student_config.read(folder / CONFIG).get('sha256', {})
  except (OSError, ValueError):
    # Beside a config that is missing or damaged, it may still be a card.
    is_card = _CARD_MARK in card_bytes
    return None if is_card else f'its {CARD} is not of a student'
  is_unchanged = digests.get(CARD) == hashlib.sha256(card_bytes).hexdigest()
  return None if is_unchanged else f'its {CARD} was changed'
