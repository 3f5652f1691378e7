"""Reads PASCAL VOC 2007 from its `VOCdevkit` (Everingham et al., 2010).

An image carries the labels of the objects in it. If all its objects of a label
are marked as difficult, VOC counts the image neither as a positive nor as a
negative of that label: the target is NaN.
"""

import os
import pathlib
from xml.etree import ElementTree

import numpy as np

from dualgan_jax.data.image_files import ImageFiles
from dualgan_jax.errors import UserError

SOURCE = 'PASCAL/VOC2007'
LABELS = (
  'aeroplane',
  'bicycle',
  'bird',
  'boat',
  'bottle',
  'bus',
  'car',
  'cat',
  'chair',
  'cow',
  'diningtable',
  'dog',
  'horse',
  'motorbike',
  'person',
  'pottedplant',
  'sheep',
  'sofa',
  'train',
  'tvmonitor',
)
# VOC's names of the parts.
_PART_NAMES = {'train': 'trainval', 'test': 'test'}


def read(data_name: str, path: str | None, part: str) -> ImageFiles:
  """Lists the images of a part, with their targets.

  Args:
    data_name: the set's name in the config, for messages.
    path: path of the folder `VOCdevkit`, or of `VOC2007` in it.
    part: 'train', which is VOC's trainval, or 'test'.

  Returns:
    The images; targets are 0, 1 or NaN, and their columns are `LABELS`.

  Raises:
    UserError: the folder or one of its files is missing, or not of VOC's form.
  """
  if path is None:
    raise UserError(
      f'data.{data_name}.path: {SOURCE} is read from a folder only; name your '
      f'VOCdevkit: --config.data.{data_name}.path=DIR.'
    )
  # Users may name the devkit, or the folder of the year in it.
  folder = pathlib.Path(os.path.expanduser(path))
  if (folder / 'VOC2007').is_dir():
    folder /= 'VOC2007'
  voc_part = _PART_NAMES[part]
  list_file = folder / 'ImageSets' / 'Main' / f'{voc_part}.txt'
  try:
    # Lists of one label have a second column; the list of all images has none.
    image_names = [
      line.split()[0] for line in list_file.read_text().splitlines()
    ]
    targets = [
      _targets(folder / 'Annotations' / f'{image_name}.xml')
      for image_name in image_names
    ]
  except (OSError, IndexError, ElementTree.ParseError, ValueError) as error:
    raise UserError(
      f'data.{data_name}.path: {folder} is no VOC2007 folder with a part '
      f'{voc_part} ({error}); bring it again.'
    ) from error
  if not image_names:
    raise UserError(
      f'data.{data_name}.path: {list_file} names no images; bring it again.'
    )
  image_paths = [
    folder / 'JPEGImages' / f'{image_name}.jpg' for image_name in image_names
  ]
  return ImageFiles.of_paths(
    voc_part, image_paths, np.array(targets, np.float32), LABELS
  )


def _targets(annotation_file: pathlib.Path) -> list[float]:
  """Reads an image's annotation, and returns its targets, as `LABELS`."""
  label_targets = dict.fromkeys(LABELS, 0.0)
  for annotated_object in ElementTree.parse(annotation_file).iter('object'):
    label = annotated_object.findtext('name', '').strip()
    if label not in label_targets:
      raise ValueError(f'{annotation_file.name} has an object {label!r}')
    if annotated_object.findtext('difficult', '0').strip() == '0':
      label_targets[label] = 1.0
    elif label_targets[label] == 0:
      # An easy object of this label that comes later sets it to 1.
      label_targets[label] = np.nan
  return list(label_targets.values())
