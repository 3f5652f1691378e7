"""Finds images and labels among the columns of a data set's tables."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from dualgan_jax.config.fields import DataSet
from dualgan_jax.data.image_files import ImageFiles
from dualgan_jax.errors import UserError


def read(
  data_name: str, data_config: DataSet, tables: Mapping[str, Any]
) -> dict[str, ImageFiles]:
  """Finds images and labels by the types of columns, if they are not named.

  Args:
    data_name: the set's name in the config, for messages.
    data_config: the config's group `data.<data_name>`.
    tables: tables of the library `datasets`, by the names of the parts.

  Returns:
    The images of each part, by its name; all parts have the same labels.

  Raises:
    UserError: several columns may hold the images, none holds labels, or parts
      have different columns.
  """
  # The first part decides which columns are read in all of them.
  first_table, *_ = tables.values()
  image_column = _image_column(data_name, data_config, first_table.features)
  label_columns = _label_columns(data_name, data_config, first_table.features)
  for part, table in tables.items():
    for column in (image_column, *label_columns):
      if column not in table.features:
        raise UserError(
          f'data.{data_name}: its part {part} has no column {column}.'
        )
  label_values = {
    column: _label_values(data_name, column, tables) for column in label_columns
  }
  # A label that two columns share would have two columns of targets.
  label_names = [
    label for column_labels in label_values.values() for label in column_labels
  ]
  if len(set(label_names)) < len(label_names):
    raise UserError(
      f'data.{data_name}: two label columns share a label, name one of '
      f'{", ".join(label_columns)}: '
      f'--config.data.{data_name}.label_column={label_columns[0]}.'
    )
  return {
    part: _image_files(part, table, image_column, label_values)
    for part, table in tables.items()
  }


def are_labelled(features: Mapping[str, Any]) -> bool:
  """Returns whether a table has a column whose type is that of labels."""
  return any(class_label(feature) is not None for feature in features.values())


def class_label(feature: Any) -> Any:
  """Returns the ClassLabel of a label or label-list column, None for others."""
  import datasets

  # A list of labels has the type of its elements in `feature`.
  feature = getattr(feature, 'feature', feature)
  return feature if isinstance(feature, datasets.ClassLabel) else None


def _image_column(
  data_name: str, data_config: DataSet, features: Mapping[str, Any]
) -> str:
  """Returns the column of images: the config's, or the only one of the type.

  Raises:
    UserError: the config's column holds no images, or the only one of the type
      does not exist.
  """
  field = f'data.{data_name}.image_column'
  image_columns = [
    column for column, feature in features.items() if _is_image(feature)
  ]
  # Bytes may be image files, but are only tried if the config says so.
  bytes_columns = [
    column
    for column, feature in features.items()
    if _value_type(feature).endswith('binary')
  ]
  chosen_column = data_config.image_column
  if (
    chosen_column is not None
    and chosen_column not in image_columns + bytes_columns
  ):
    raise UserError(
      f'{field}: {chosen_column} holds no image files; there are '
      f'{_list_columns(features)}.'
    )
  # Of several, as an image and its mask, only the user can choose.
  if chosen_column is None and len(image_columns) != 1:
    example = (*image_columns, *bytes_columns, 'NAME')[0]
    raise UserError(
      f'{field}: '
      f'{"several columns hold" if image_columns else "no column holds"} '
      'images, name one of type Image or of the bytes of image files: '
      f'--config.{field}={example}; there are {_list_columns(features)}.'
    )
  return chosen_column or image_columns[0]


def _label_columns(
  data_name: str, data_config: DataSet, features: Mapping[str, Any]
) -> list[str]:
  """Returns the columns of labels: the config's, or all of type ClassLabel.

  Raises:
    UserError: the config's column holds no labels, or it names none and there
      is no column of type ClassLabel.
  """
  field = f'data.{data_name}.label_column'
  # Texts and whole numbers are labels only if the config says so.
  value_columns = [
    column
    for column, feature in features.items()
    if _is_text_or_integer(feature)
  ]
  label_columns = [
    column
    for column, feature in features.items()
    if class_label(feature) is not None
  ]
  chosen_column = data_config.label_column
  if (
    chosen_column is not None
    and chosen_column not in label_columns + value_columns
  ):
    raise UserError(
      f'{field}: {chosen_column} holds no labels; there are '
      f'{_list_columns(features)}.'
    )
  # Without any column to name, the cure is another set.
  if chosen_column is None and not label_columns and not value_columns:
    raise UserError(
      f'data.{data_name}: it has no labels, put the images of each label into '
      'DIR/train/LABEL and DIR/test/LABEL, or take a set with a column of type '
      f'ClassLabel; there are {_list_columns(features)}.'
    )
  if chosen_column is None and not label_columns:
    example = 'label' if 'label' in value_columns else value_columns[0]
    raise UserError(
      f'{field}: no column is of type ClassLabel or list of it, name one whose '
      'texts or whole numbers are to be the labels: '
      f'--config.{field}={example}; there are {_list_columns(features)}.'
    )
  return label_columns if chosen_column is None else [chosen_column]


def _list_columns(features: Mapping[str, Any]) -> str:
  """Lists columns and their types, for messages."""

  def type_name(feature):
    value_type = _value_type(feature)
    if _is_image(feature):
      return 'Image'
    if value_type and hasattr(feature, 'feature'):
      return f'list of {value_type}'
    return value_type or type(feature).__name__

  return ', '.join(
    f'{column}: {type_name(feature)}' for column, feature in features.items()
  )


def _is_image(feature: Any) -> bool:
  """Returns whether a column holds images, also as pandas writes them."""
  import datasets

  if isinstance(feature, dict):
    return feature.keys() == {'bytes', 'path'}
  return isinstance(feature, datasets.Image)


def _value_type(feature: Any) -> str:
  """Returns the type of a column of values or of lists of them, else ''."""
  import datasets

  feature = getattr(feature, 'feature', feature)
  return feature.dtype if isinstance(feature, datasets.Value) else ''


def _is_text_or_integer(feature: Any) -> bool:
  value_type = _value_type(feature)
  return value_type.endswith('string') or value_type.startswith(('int', 'uint'))


def _label_values(
  data_name: str, column: str, tables: Mapping[str, Any]
) -> dict[str, Any]:
  """Returns the labels of a column, each with the value that stands for it.

  A ClassLabel's values are numbers. Texts and whole numbers are their own
  names; their labels are those of all parts, sorted.

  Raises:
    UserError: parts have different ClassLabels.
  """
  class_labels = [
    class_label(table.features[column]) for table in tables.values()
  ]
  if any(part_label != class_labels[0] for part_label in class_labels):
    raise UserError(
      f'data.{data_name}: {column} has other labels in '
      f'{" than in ".join(tables)}; write both with the same ClassLabel.'
    )
  if class_labels[0] is not None:
    return {name: number for number, name in enumerate(class_labels[0].names)}
  # A label that only one part has needs its column in all of them.
  values = {
    value for table in tables.values() for value in _known_values(table[column])
  }
  return {str(value): value for value in sorted(values)}


def _known_values(cells: Iterable[Any]) -> Iterator[Any]:
  """Yields all label values in a column's cells, except for unknown ones."""
  for cell in cells:
    for value in cell if isinstance(cell, list) else [cell]:
      # The Hub writes -1 or nothing for a label that is not known.
      if value not in (None, '') and (isinstance(value, str) or value >= 0):
        yield value


def _image_files(
  part_name: str,
  table: Any,
  image_column: str,
  label_values: Mapping[str, Mapping[str, Any]],
) -> ImageFiles:
  """Makes a part of a table: its images, still encoded, and its targets.

  Args:
    part_name: the part's name, for messages.
    table: a table of the library `datasets`.
    image_column: the column of images.
    label_values: for each column of labels, the value of each label.
  """
  import datasets

  # Columns of targets stand side by side, in the order of `label_values`.
  targets = []
  for column, column_labels in label_values.items():
    target_columns = {
      value: index for index, value in enumerate(column_labels.values())
    }
    column_targets = np.zeros((len(table), len(column_labels)), np.float32)
    for row, cell in enumerate(table[column]):
      for value in _known_values([cell]):
        column_targets[row, target_columns[value]] = 1
    targets.append(column_targets)
  # Decoding the files here is faster than in `datasets`, and a broken one can
  # be named.
  encoded_images = table.select_columns(image_column).cast_column(
    image_column, datasets.Image(decode=False)
  )
  label_names = [
    label for column_labels in label_values.values() for label in column_labels
  ]
  return ImageFiles(
    part_name,
    np.arange(len(table)),
    lambda row_indices: encoded_images.select(row_indices)[image_column],
    np.concatenate(targets, axis=1),
    tuple(label_names),
  )
