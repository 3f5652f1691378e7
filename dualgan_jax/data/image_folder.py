"""Folders with a folder of image files per label: `DIR/train/LABEL/1.png`.

`DIR/train` and `DIR/test` are the parts, whatever the labels are called. Left
to itself the library `datasets` takes any word of a path for the name of a
part, and puts images of a label `train` into two of them.
"""

import os
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from dualgan_jax.data.image_files import (
  ImageFiles,
  LabelledParts,
  other_test_part,
)
from dualgan_jax.errors import UserError


def read(name: str, own: Any, folder: pathlib.Path) -> LabelledParts | None:
  """Lists the images of a folder of this form.

  Args:
    name: of the set in the config, for messages.
    own: the config's group `data.<name>`.
    folder: with a folder for each part, or, as one part, for each label.

  Returns:
    The parts; None if the folder is of another form.

  Raises:
    UserError: it is of this form, but some images have no label.
  """
  inner = {x.name: x for x in _folders(folder)}
  parts = {x: inner[x] for x in (own.train_part, own.test_part) if x in inner}
  if any(map(_has_metadata, (folder, *parts.values()))):
    return None
  labels = inner.keys() - parts.keys()
  if own.train_part in parts and _folders(parts[own.train_part]):
    unread = tuple(sorted(x for x in labels if _folders(inner[x])))
  elif any(map(_folders, parts.values())):
    raise UserError(
      f'data.{name}.train_part: {folder} has no folder {own.train_part} with a '
      f'folder of images per label; it has {", ".join(inner)}: '
      f'--config.data.{name}.train_part=NAME.'
    )
  elif labels and all(map(_is_flat, inner.values())):
    # All of them are labels, one called `train` or `test` too.
    parts, unread = {own.train_part: folder}, ()
  else:
    return None
  files = {part: _files(name, place) for part, place in parts.items()}
  if not files[own.train_part]:
    return None
  if not files.get(own.test_part, True):
    raise UserError(
      f'data.{name}.path: {parts[own.test_part]} has no folder of images per '
      f'label; {other_test_part(name)}.'
    )
  names = tuple(sorted({x.parent.name for own in files.values() for x in own}))
  train, test = (
    _labelled(x, files[x], names) if x in files else None
    for x in (own.train_part, own.test_part)
  )
  return LabelledParts(train, test, unread)


def _labelled(
  part: str, files: list[pathlib.Path], names: tuple[str, ...]
) -> ImageFiles:
  column = {label: i for i, label in enumerate(names)}
  columns = [column[x.parent.name] for x in files]
  targets = np.eye(len(names), dtype=np.float32)[columns]
  return ImageFiles.of_paths(part, files, targets, names)


def _files(name: str, folder: pathlib.Path) -> list[pathlib.Path]:
  """All image files below a folder, in the order of their paths."""
  files = sorted(x for x in _walk(folder) if _is_image(x))
  nested = [x for x in files if x.parent != folder]
  if nested and len({len(x.parts) for x in files}) > 1:
    first, *_, last = sorted(files, key=lambda x: len(x.parts))
    raise UserError(
      f'data.{name}.path: {first} and {last} are not equally deep, so their '
      'folders cannot both be labels; put the images of each label into '
      f'{folder}/LABEL.'
    )
  return nested


def _walk(folder: pathlib.Path) -> Iterator[pathlib.Path]:
  # Of each folder, those that lead to it, itself included.
  ways = {os.fspath(folder): {_identity(folder)}}
  # Folders that are links to those of another set are a common subset.
  for place, folders, files in os.walk(folder, followlinks=True):
    way = ways.pop(place)
    visible = [x for x in folders if not x.startswith('.')]
    inner = {x: _identity(os.path.join(place, x)) for x in visible}
    # A link back to where one comes from would lead round for ever.
    folders[:] = [x for x in visible if inner[x] not in way]
    ways |= {os.path.join(place, x): way | {inner[x]} for x in folders}
    yield from (pathlib.Path(place, x) for x in files if not x.startswith('.'))


def _identity(path: str | pathlib.Path) -> tuple[int, int]:
  """The device and number of a folder, the same under all its names."""
  status = os.stat(path)
  return status.st_dev, status.st_ino


def _is_image(file: pathlib.Path) -> bool:
  kind = Image.registered_extensions().get(file.suffix.lower())
  # A pipe would keep one waiting; of a link to nothing the reader tells.
  return kind in Image.OPEN and (
    os.path.isfile(file) or not os.path.exists(file)
  )


def _folders(folder: pathlib.Path) -> list[pathlib.Path]:
  return sorted(
    x for x in folder.iterdir() if x.is_dir() and not x.name.startswith('.')
  )


def _is_flat(folder: pathlib.Path) -> bool:
  """Whether a folder holds images and no folders, like that of a label."""
  return (
    not _folders(folder)
    and not _has_metadata(folder)
    and any(map(_is_image, folder.iterdir()))
  )


def _has_metadata(folder: pathlib.Path) -> bool:
  """Whether labels stand in a file, which `datasets` can read."""
  return any(folder.glob('metadata.*'))
