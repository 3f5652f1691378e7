"""Reads data sets of the Hugging Face Hub's form by the library `datasets`."""

import atexit
import functools
import logging
import os
import pathlib
import shutil
import tempfile
from collections.abc import Mapping
from typing import Any

from dualgan_jax.config.fields import DataSet
from dualgan_jax.data import label_columns
from dualgan_jax.data.image_files import LabelledParts, other_test_part
from dualgan_jax.errors import UserError, first_line


def read(
  data_name: str, data_config: DataSet, folder: pathlib.Path | None
) -> LabelledParts:
  """Opens a data set, and finds its images and labels.

  Args:
    data_name: the set's name in the config, for messages.
    data_config: the config's group `data.<data_name>`.
    folder: a folder to read instead of the Hub, or None.

  Returns:
    The training part, the test part if there is one, and the names of other
    parts that have labels.

  Raises:
    UserError: the set is not there, or not of a form that we can read.
  """
  tables = _open(data_name, data_config, folder)
  part_names = (data_config.train_part, data_config.test_part)
  # Other parts are named to the user only if they could be used.
  other_parts = [part for part in tables if part not in part_names]
  unread_parts = tuple(
    part
    for part in other_parts
    if label_columns.are_labelled(tables[part].features)
  )
  used_tables = {part: tables[part] for part in part_names if part in tables}
  if data_config.train_part not in used_tables:
    raise UserError(
      f'data.{data_name}.train_part: the set has no part '
      f'{data_config.train_part}; it has {", ".join(tables)}: '
      f'--config.data.{data_name}.train_part=NAME.'
    )
  for part, table in used_tables.items():
    if not len(table):
      raise UserError(
        f'data.{data_name}: its part {part} has no images; bring it again.'
      )
  parts = label_columns.read(data_name, data_config, used_tables)
  # Many test parts of the Hub come without their labels.
  for part, image_files in parts.items():
    if not image_files.targets.any():
      cure = (
        other_test_part(data_name, unread_parts)
        if part == data_config.test_part
        else f'put the images of each label into DIR/{part}/LABEL, or take a '
        'set whose labels are given'
      )
      raise UserError(
        f'data.{data_name}: no image of its part {part} has a label; {cure}.'
      )
  return LabelledParts(
    parts[data_config.train_part],
    parts.get(data_config.test_part),
    unread_parts,
  )


def _open(
  data_name: str, data_config: DataSet, folder: pathlib.Path | None
) -> Mapping[str, Any]:
  """Opens the set's tables, by the names of its parts."""
  try:
    import datasets
  except ImportError as error:
    raise UserError(
      f'data.{data_name}.source: reading it needs the library `datasets`; '
      "pip install 'dualgan_jax[data]' brings it."
    ) from error

  # Our error is one sentence; bars and logs would bury it.
  datasets.disable_progress_bars()
  logging.getLogger('huggingface_hub').setLevel(logging.CRITICAL)
  origin = data_config.source if folder is None else str(folder)
  try:
    # `load_dataset` does not read what `save_to_disk` wrote.
    if folder is not None and (folder / 'state.json').is_file():
      return {data_config.train_part: datasets.load_from_disk(origin)}
    if folder is not None and (folder / 'dataset_dict.json').is_file():
      return datasets.load_from_disk(origin)
    builder = datasets.load_dataset_builder(
      origin,
      data_config.subset,
      data_files=_files_by_part(data_config, folder) if folder else None,
      cache_dir=_cache_folder(),
      download_config=datasets.DownloadConfig(max_retries=0),
    )
    if folder is not None:
      _check_label_numbers(data_name, builder.config.data_files)
    builder.download_and_prepare()
    return builder.as_dataset()
  except UserError:
    raise
  except Exception as error:  # whatever the library's readers may raise
    # It raises ValueError, too, where a set has several subsets.
    if isinstance(error, ValueError):
      _check_subset(data_name, data_config, origin)
    place = origin if folder else f'{origin} on the Hugging Face Hub'
    raise UserError(
      f'data.{data_name}: nothing readable in {place} ({first_line(error)}); '
      'bring it into a folder, and name that: '
      f'--config.data.{data_name}.path=DIR.'
    ) from error


def _check_subset(data_name: str, data_config: DataSet, origin: str) -> None:
  """Raises UserError if the config names none of a set's several subsets."""
  import datasets

  try:
    subset_names = datasets.get_dataset_config_names(origin)
  except Exception:  # the set cannot be opened for another reason
    return
  if len(subset_names) > 1 and data_config.subset not in subset_names:
    raise UserError(
      f'data.{data_name}.subset: {origin} has the subsets '
      f'{", ".join(subset_names)}; name one: '
      f'--config.data.{data_name}.subset={subset_names[0]}.'
    )


def _files_by_part(
  data_config: DataSet, folder: pathlib.Path
) -> dict[str, list[str]] | None:
  """Returns patterns of the files of each part, if parts are folders."""
  if data_config.subset or not (folder / data_config.train_part).is_dir():
    return None
  part_names = (data_config.train_part, data_config.test_part)
  return {
    part: [f'{_escaped(folder / part)}/**']
    for part in part_names
    if (folder / part).is_dir()
  }


def _escaped(path: pathlib.Path) -> str:
  """Returns a pattern in which brackets and asterisks stand for themselves."""
  return ''.join(
    f'[{character}]' if character in '[?*' else character
    for character in str(path.resolve())
  )


def _cache_folder() -> str | None:
  """Returns the folder that the library unpacks into; None for its usual one.

  The usual one lies in the user's home, which containers and clusters may lack
  or may not let us write to.
  """
  import datasets

  usual_folder = pathlib.Path(datasets.config.HF_DATASETS_CACHE)
  try:
    # Without a home it is a relative path that begins with `~`.
    if usual_folder.is_absolute():
      usual_folder.mkdir(parents=True, exist_ok=True)
      if os.access(usual_folder, os.W_OK):
        return None
  except OSError:
    pass
  return _temporary_cache()


@functools.cache
def _temporary_cache() -> str:
  """Makes a folder that is removed when the process ends, once per process."""
  folder = tempfile.mkdtemp(prefix='dualgan_jax-')
  atexit.register(shutil.rmtree, folder, ignore_errors=True)
  return folder


def _check_label_numbers(
  data_name: str, files_by_part: Mapping[str, list[str]]
) -> None:
  """Checks that all Parquet files number their labels alike.

  `datasets` reads all of them by the label names of the first file.

  Raises:
    UserError: two files have different label names.
  """
  import datasets
  from pyarrow import parquet

  first_names = {}  # by column: label names, and the file that has them
  for file in sorted(
    file for part_files in files_by_part.values() for file in part_files
  ):
    if not file.endswith('.parquet'):
      continue
    # The schema is all that is read here, so large files cost little.
    features = datasets.Features.from_arrow_schema(parquet.read_schema(file))
    for column, feature in features.items():
      class_label = label_columns.class_label(feature)
      if class_label is None:
        continue
      label_names, first_file = first_names.setdefault(
        column, (class_label.names, file)
      )
      if label_names != class_label.names:
        raise UserError(
          f'data.{data_name}.path: {file} numbers the labels of its column '
          f'{column} otherwise than {first_file}; write both with the same '
          'ClassLabel.'
        )
