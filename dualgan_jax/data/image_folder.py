"""Reads folders with a folder of images per label: `DIR/train/LABEL/1.png`.

`DIR/train` and `DIR/test` are the parts, whatever the labels are called. The
library `datasets` would take any word of a path for the name of a part, and
put images of a label `train` into two of them.
"""

import os
import pathlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from dualgan_jax.config.fields import DataSet
from dualgan_jax.data.image_files import (
  ImageFiles,
  LabelledParts,
  other_test_part,
)
from dualgan_jax.errors import UserError


def read(
  data_name: str, data_config: DataSet, folder: pathlib.Path
) -> LabelledParts | None:
  """Lists the images of a folder of this form.

  Args:
    data_name: the set's name in the config, for messages.
    data_config: the config's group `data.<data_name>`.
    folder: a folder with one folder per part, or, if the set has one part only,
      with one folder per label.

  Returns:
    The parts; None if the folder is of another form.

  Raises:
    UserError: it is of this form, but some images have no label.
  """
  train_part, test_part = data_config.train_part, data_config.test_part
  subfolders = {subfolder.name: subfolder for subfolder in _folders(folder)}
  part_folders = {
    part: subfolders[part]
    for part in (train_part, test_part)
    if part in subfolders
  }
  # Labels in a file beside the images are for `datasets` to read.
  if any(map(_has_metadata, (folder, *part_folders.values()))):
    return None
  # Decide which level the folders of the labels are on.
  other_names = subfolders.keys() - part_folders.keys()
  if train_part in part_folders and _folders(part_folders[train_part]):
    unread_parts = tuple(
      sorted(name for name in other_names if _folders(subfolders[name]))
    )
  elif any(map(_folders, part_folders.values())):
    raise UserError(
      f'data.{data_name}.train_part: {folder} has no folder {train_part} with '
      f'a folder of images per label; it has {", ".join(subfolders)}: '
      f'--config.data.{data_name}.train_part=NAME.'
    )
  elif other_names and all(map(_is_flat, subfolders.values())):
    # All of them are labels, also a label called `train` or `test`.
    part_folders, unread_parts = {train_part: folder}, ()
  else:
    return None
  # Folders without any image in them are of another form.
  part_files = {
    part: _labelled_files(data_name, part_folder)
    for part, part_folder in part_folders.items()
  }
  if not part_files[train_part]:
    return None
  if not part_files.get(test_part, True):
    raise UserError(
      f'data.{data_name}.path: {part_folders[test_part]} has no folder of '
      f'images per label; {other_test_part(data_name)}.'
    )
  # A label of one part is a label of the other one, too.
  all_files = [file for files in part_files.values() for file in files]
  label_names = tuple(sorted({file.parent.name for file in all_files}))
  train_files, test_files = (
    _image_files(part, part_files[part], label_names)
    if part in part_files
    else None
    for part in (train_part, test_part)
  )
  return LabelledParts(train_files, test_files, unread_parts)


def _image_files(
  part_name: str, files: list[pathlib.Path], label_names: tuple[str, ...]
) -> ImageFiles:
  """Makes a part whose labels are the names of the files' folders."""
  label_columns = {label: column for column, label in enumerate(label_names)}
  column_indices = [label_columns[file.parent.name] for file in files]
  targets = np.eye(len(label_names), dtype=np.float32)[column_indices]
  return ImageFiles.of_paths(part_name, files, targets, label_names)


def _labelled_files(data_name: str, folder: pathlib.Path) -> list[pathlib.Path]:
  """Lists the images below a part's folder that have a label, by path.

  The list is empty if all images lie directly in `folder`, without a label.

  Raises:
    UserError: images lie at several depths.
  """
  image_paths = sorted(path for path in _walk(folder) if _is_image(path))
  nested_paths = [path for path in image_paths if path.parent != folder]
  if nested_paths and len({len(path.parts) for path in image_paths}) > 1:
    highest_path, *_, deepest_path = sorted(
      image_paths, key=lambda path: len(path.parts)
    )
    raise UserError(
      f'data.{data_name}.path: {highest_path} and {deepest_path} are not '
      'equally deep, so their folders cannot both be labels; put the images of '
      f'each label into {folder}/LABEL.'
    )
  return nested_paths


def _walk(folder: pathlib.Path) -> Iterator[pathlib.Path]:
  """Yields all visible files below a folder.

  It follows links: a subset of a data set is often a folder of links to some
  folders of it.
  """
  # For each folder to visit, the identities of it and of all that lead to it.
  ancestors = {os.fspath(folder): {_identity(folder)}}
  for place, subfolders, files in os.walk(folder, followlinks=True):
    place_ancestors = ancestors.pop(place)
    visible_names = [name for name in subfolders if not name.startswith('.')]
    identities = {
      name: _identity(os.path.join(place, name)) for name in visible_names
    }
    # A link to a folder above it would be followed for ever. `os.walk` visits
    # only the folders that stay in its list.
    subfolders[:] = [
      name for name in visible_names if identities[name] not in place_ancestors
    ]
    ancestors |= {
      os.path.join(place, name): place_ancestors | {identities[name]}
      for name in subfolders
    }
    yield from (
      pathlib.Path(place, name) for name in files if not name.startswith('.')
    )


def _identity(path: str | pathlib.Path) -> tuple[int, int]:
  """Returns device and inode of a folder, which links to it share."""
  status = os.stat(path)
  return status.st_dev, status.st_ino


def _is_image(path: pathlib.Path) -> bool:
  """Returns whether a file's name ends as the images do that Pillow opens."""
  image_format = Image.registered_extensions().get(path.suffix.lower())
  # Reading a pipe would wait for ever. A link to nothing counts as an image, so
  # that decoding it names it to the user.
  return image_format in Image.OPEN and (
    os.path.isfile(path) or not os.path.exists(path)
  )


def _folders(folder: pathlib.Path) -> list[pathlib.Path]:
  """Lists the visible folders in a folder, by name."""
  return sorted(
    path
    for path in folder.iterdir()
    if path.is_dir() and not path.name.startswith('.')
  )


def _is_flat(folder: pathlib.Path) -> bool:
  """Returns whether a folder may be a label's: images, and no folders."""
  return (
    not _folders(folder)
    and not _has_metadata(folder)
    and any(map(_is_image, folder.iterdir()))
  )


def _has_metadata(folder: pathlib.Path) -> bool:
  """Returns whether a file holds the labels, which `datasets` can read."""
  return any(folder.glob('metadata.*'))
