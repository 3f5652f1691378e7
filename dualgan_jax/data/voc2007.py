"""PASCAL VOC 2007 from its `VOCdevkit` folder (Everingham et al., 2010).

An image carries the labels of the objects in it. Of a label that only objects
marked as difficult have, VOC counts an image neither as one with it nor as one
without: its target is NaN.
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
# What VOC calls our parts.
_SETS = {'train': 'trainval', 'test': 'test'}


def read(name: str, path: str | None, part: str) -> ImageFiles:
  """Lists the images of a part, with their targets.

  Args:
    name: of the set in the config, for messages.
    path: of the folder `VOCdevkit`, or of `VOC2007` in it.
    part: 'train', which is VOC's trainval, or 'test'.

  Returns:
    The images; a target is NaN as said above, columns are as `LABELS`.

  Raises:
    UserError: the folder or one of its files is missing, or not of VOC's form.
  """
  if path is None:
    raise UserError(
      f'data.{name}.path: {SOURCE} is read from a folder only; name your '
      f'VOCdevkit: --config.data.{name}.path=DIR.'
    )
  folder = pathlib.Path(os.path.expanduser(path))
  if (folder / 'VOC2007').is_dir():
    folder /= 'VOC2007'
  listed = folder / 'ImageSets' / 'Main' / f'{_SETS[part]}.txt'
  try:
    # Lists of one label have a second column, and that of all has none.
    images = [line.split()[0] for line in listed.read_text().splitlines()]
    targets = [
      _targets(folder / 'Annotations' / f'{image}.xml') for image in images
    ]
  except (OSError, IndexError, ElementTree.ParseError, ValueError) as e:
    raise UserError(
      f'data.{name}.path: {folder} is no VOC2007 folder with a part '
      f'{_SETS[part]} ({e}); bring it again.'
    ) from e
  if not images:
    raise UserError(
      f'data.{name}.path: {listed} names no images; bring it again.'
    )
  files = [folder / 'JPEGImages' / f'{image}.jpg' for image in images]
  return ImageFiles.of_paths(
    _SETS[part], files, np.array(targets, np.float32), LABELS
  )


def _targets(file: pathlib.Path) -> list[float]:
  found = dict.fromkeys(LABELS, 0.0)
  for thing in ElementTree.parse(file).iter('object'):
    label = thing.findtext('name', '').strip()
    if label not in found:
      raise ValueError(f'{file.name} has an object {label!r}')
    if thing.findtext('difficult', '0').strip() == '0':
      found[label] = 1.0
    elif found[label] == 0:
      found[label] = np.nan
  return list(found.values())
