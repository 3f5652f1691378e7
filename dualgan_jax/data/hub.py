"""Data sets of the Hugging Face Hub's form, read by the library `datasets`."""

import atexit
import functools
import logging
import os
import pathlib
import shutil
import tempfile
from collections.abc import Mapping
from typing import Any

from dualgan_jax.data import label_columns
from dualgan_jax.data.image_files import LabelledParts, other_test_part
from dualgan_jax.errors import UserError, first_line


def read(name: str, own: Any, folder: pathlib.Path | None) -> LabelledParts:
  """Opens a data set, and finds its images and labels.

  Args:
    name: of the set in the config, for messages.
    own: the config's group `data.<name>`.
    folder: to read instead of the Hub.

  Raises:
    UserError: the set is not there, or not of a form that we can read.
  """
  tables = _open(name, own, folder)
  others = [x for x in tables if x not in (own.train_part, own.test_part)]
  unread = tuple(
    x for x in others if label_columns.are_labelled(tables[x].features)
  )
  used = {x: tables[x] for x in (own.train_part, own.test_part) if x in tables}
  if own.train_part not in used:
    raise UserError(
      f'data.{name}.train_part: the set has no part {own.train_part}; it has '
      f'{", ".join(tables)}: --config.data.{name}.train_part=NAME.'
    )
  for part, table in used.items():
    if not len(table):
      raise UserError(
        f'data.{name}: its part {part} has no images; bring it again.'
      )
  parts = label_columns.read(name, own, used)
  for part, files in parts.items():
    if not files.targets.any():
      cure = (
        other_test_part(name, unread)
        if part == own.test_part
        else f'put the images of each label into DIR/{part}/LABEL, or take a '
        'set whose labels are given'
      )
      raise UserError(
        f'data.{name}: no image of its part {part} has a label; {cure}.'
      )
  return LabelledParts(parts[own.train_part], parts.get(own.test_part), unread)


def _open(
  name: str, own: Any, folder: pathlib.Path | None
) -> Mapping[str, Any]:
  """The set's tables by the names of its parts."""
  try:
    import datasets
  except ImportError as e:
    raise UserError(
      f'data.{name}.source: reading it needs the library `datasets`; '
      "pip install '.[data]' brings it."
    ) from e

  # One sentence of ours says it all.
  datasets.disable_progress_bars()
  logging.getLogger('huggingface_hub').setLevel(logging.CRITICAL)
  origin = own.source if folder is None else str(folder)
  try:
    if folder is not None and (folder / 'state.json').is_file():
      return {own.train_part: datasets.load_from_disk(origin)}
    if folder is not None and (folder / 'dataset_dict.json').is_file():
      return datasets.load_from_disk(origin)
    builder = datasets.load_dataset_builder(
      origin,
      own.subset,
      data_files=_files_by_part(own, folder) if folder else None,
      cache_dir=_cache(),
      download_config=datasets.DownloadConfig(max_retries=0),
    )
    if folder is not None:
      _refuse_unlike(name, builder.config.data_files)
    builder.download_and_prepare()
    return builder.as_dataset()
  except UserError:
    raise
  except Exception as e:  # whatever its many readers may raise
    if isinstance(e, ValueError):
      _check_subset(name, own, origin)
    where = origin if folder else f'{origin} on the Hugging Face Hub'
    raise UserError(
      f'data.{name}: nothing readable in {where} ({first_line(e)}); '
      f'bring it into a folder, and name that: --config.data.{name}.path=DIR.'
    ) from e


def _check_subset(name: str, own: Any, origin: str) -> None:
  """Sees that a set of several subsets is opened with one of them."""
  import datasets

  try:
    subsets = datasets.get_dataset_config_names(origin)
  except Exception:  # it cannot be opened for another reason
    return
  if len(subsets) > 1 and own.subset not in subsets:
    raise UserError(
      f'data.{name}.subset: {origin} has the subsets {", ".join(subsets)}; '
      f'name one: --config.data.{name}.subset={subsets[0]}.'
    )


def _files_by_part(
  own: Any, folder: pathlib.Path
) -> dict[str, list[str]] | None:
  """The files of each part, where the parts are folders."""
  if own.subset or not (folder / own.train_part).is_dir():
    return None
  parts = (own.train_part, own.test_part)
  return {
    x: [f'{_escaped(folder / x)}/**'] for x in parts if (folder / x).is_dir()
  }


def _escaped(path: pathlib.Path) -> str:
  """A path in whose name brackets and asterisks stand for themselves."""
  return ''.join(f'[{x}]' if x in '[?*' else x for x in str(path.resolve()))


def _cache() -> str | None:
  """Where the library may keep what it unpacks; None for its usual place."""
  import datasets

  usual = pathlib.Path(datasets.config.HF_DATASETS_CACHE)
  try:
    if usual.is_absolute():
      usual.mkdir(parents=True, exist_ok=True)
      if os.access(usual, os.W_OK):
        return None
  except OSError:
    pass
  return _passing_cache()


@functools.cache
def _passing_cache() -> str:
  """A folder that goes with the process, for who has no home."""
  folder = tempfile.mkdtemp(prefix='dualgan_jax-')
  atexit.register(shutil.rmtree, folder, ignore_errors=True)
  return folder


def _refuse_unlike(name: str, files: Mapping[str, list[str]]) -> None:
  """Sees that all Parquet files number their labels alike.

  `datasets` reads all of them by the names of the first.
  """
  import datasets
  from pyarrow import parquet

  first = {}
  for file in sorted(x for part in files.values() for x in part):
    if not file.endswith('.parquet'):
      continue
    features = datasets.Features.from_arrow_schema(parquet.read_schema(file))
    for column, feature in features.items():
      label = label_columns.class_label(feature)
      if label is None:
        continue
      names, other = first.setdefault(column, (label.names, file))
      if names != label.names:
        raise UserError(
          f'data.{name}.path: {file} numbers the labels of its column {column} '
          f'otherwise than {other}; write both with the same ClassLabel.'
        )
