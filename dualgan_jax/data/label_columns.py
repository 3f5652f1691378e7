"""Images and labels among the columns of a data set's tables."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from dualgan_jax.data.image_files import ImageFiles
from dualgan_jax.errors import UserError


def read(
  name: str, own: Any, tables: Mapping[str, Any]
) -> dict[str, ImageFiles]:
  """Finds images and labels by the types of columns, if they are not named.

  Args:
    name: of the set in the config, for messages.
    own: the config's group `data.<name>`.
    tables: of the library `datasets`, by the names of the parts.

  Returns:
    The same parts; all have the same labels.

  Raises:
    UserError: which columns hold them cannot be told, or differs.
  """
  first, *_ = tables.values()
  image_column = _image_column(name, own, first.features)
  columns = _label_columns(name, own, first.features)
  for part, table in tables.items():
    for column in (image_column, *columns):
      if column not in table.features:
        raise UserError(f'data.{name}: its part {part} has no column {column}.')
  values = {x: _values(name, x, tables) for x in columns}
  labels = [label for column in values.values() for label in column]
  if len(set(labels)) < len(labels):
    raise UserError(
      f'data.{name}: two label columns share a label, name one of '
      f'{", ".join(columns)}: --config.data.{name}.label_column={columns[0]}.'
    )
  return {
    part: _image_files(part, table, image_column, values)
    for part, table in tables.items()
  }


def are_labelled(features: Mapping[str, Any]) -> bool:
  """Whether a table has a column of labels by its type."""
  return any(class_label(x) is not None for x in features.values())


def class_label(feature: Any) -> Any:
  """The ClassLabel of a label or label-list column, None for another."""
  import datasets

  feature = getattr(feature, 'feature', feature)
  return feature if isinstance(feature, datasets.ClassLabel) else None


def _image_column(name: str, own: Any, features: Mapping[str, Any]) -> str:
  field = f'data.{name}.image_column'
  found = [k for k, f in features.items() if _is_image(f)]
  files = [k for k, f in features.items() if _plain(f).endswith('binary')]
  column = own.image_column
  if column is not None and column not in found + files:
    raise UserError(
      f'{field}: {column} holds no image files; there are {_shown(features)}.'
    )
  if column is None and len(found) != 1:
    example = (*found, *files, 'NAME')[0]
    raise UserError(
      f'{field}: {"several columns hold" if found else "no column holds"} '
      'images, name one of type Image or of the bytes of image files: '
      f'--config.{field}={example}; there are {_shown(features)}.'
    )
  return column or found[0]


def _label_columns(
  name: str, own: Any, features: Mapping[str, Any]
) -> list[str]:
  field = f'data.{name}.label_column'
  plain = [k for k, f in features.items() if _is_text_or_integer(f)]
  found = [k for k, f in features.items() if class_label(f) is not None]
  column = own.label_column
  if column is not None and column not in found + plain:
    raise UserError(
      f'{field}: {column} holds no labels; there are {_shown(features)}.'
    )
  if column is None and not found and not plain:
    raise UserError(
      f'data.{name}: it has no labels, put the images of each label into '
      'DIR/train/LABEL and DIR/test/LABEL, or take a set with a column of type '
      f'ClassLabel; there are {_shown(features)}.'
    )
  if column is None and not found:
    example = 'label' if 'label' in plain else plain[0]
    raise UserError(
      f'{field}: no column is of type ClassLabel or list of it, name one whose '
      'texts or whole numbers are to be the labels: '
      f'--config.{field}={example}; there are {_shown(features)}.'
    )
  return found if column is None else [column]


def _shown(features: Mapping[str, Any]) -> str:
  """Lists columns and their types."""

  def kind(feature):
    plain = _plain(feature)
    if _is_image(feature):
      return 'Image'
    if plain and hasattr(feature, 'feature'):
      return f'list of {plain}'
    return plain or type(feature).__name__

  return ', '.join(f'{k}: {kind(f)}' for k, f in features.items())


def _is_image(feature: Any) -> bool:
  """Whether a column holds images, also as pandas writes them."""
  import datasets

  if isinstance(feature, dict):
    return feature.keys() == {'bytes', 'path'}
  return isinstance(feature, datasets.Image)


def _plain(feature: Any) -> str:
  """The type of a column of plain values or of lists of them, '' of another."""
  import datasets

  feature = getattr(feature, 'feature', feature)
  return feature.dtype if isinstance(feature, datasets.Value) else ''


def _is_text_or_integer(feature: Any) -> bool:
  plain = _plain(feature)
  return plain.endswith('string') or plain.startswith(('int', 'uint'))


def _values(
  name: str, column: str, tables: Mapping[str, Any]
) -> dict[str, Any]:
  """The labels of a column, each with the value that stands for it.

  Texts and whole numbers are their own names, of all parts together, in order.
  """
  labels = [class_label(x.features[column]) for x in tables.values()]
  if any(x != labels[0] for x in labels):
    raise UserError(
      f'data.{name}: {column} has other labels in {" than in ".join(tables)}; '
      'write both with the same ClassLabel.'
    )
  if labels[0] is not None:
    return {x: i for i, x in enumerate(labels[0].names)}
  values = {x for table in tables.values() for x in _known(table[column])}
  return {str(x): x for x in sorted(values)}


def _known(values: Iterable[Any]) -> Iterator[Any]:
  """All labels of a column, one after the other, but for unknown ones."""
  for value in values:
    for label in value if isinstance(value, list) else [value]:
      # The Hub writes -1 or nothing for a label that is not known.
      if label not in (None, '') and (isinstance(label, str) or label >= 0):
        yield label


def _image_files(
  part: str,
  table: Any,
  image_column: str,
  values: Mapping[str, Mapping[str, Any]],
) -> ImageFiles:
  """One part: its images, still encoded, and its targets."""
  import datasets

  targets = []
  for column, own in values.items():
    number = {value: i for i, value in enumerate(own.values())}
    found = np.zeros((len(table), len(own)), np.float32)
    for row, value in enumerate(table[column]):
      for label in _known([value]):
        found[row, number[label]] = 1
    targets.append(found)
  # Decoding them ourselves is faster, and tells which one is broken.
  images = table.select_columns(image_column).cast_column(
    image_column, datasets.Image(decode=False)
  )
  return ImageFiles(
    part,
    np.arange(len(table)),
    lambda rows: images.select(rows)[image_column],
    np.concatenate(targets, axis=1),
    tuple(label for own in values.values() for label in own),
  )
