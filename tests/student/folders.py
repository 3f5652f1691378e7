"""Writes folders of students, for tests of what reads them."""

import pathlib

import jax

from dualgan_jax.networks import classifier
from dualgan_jax.student import student

LABELS, IMAGE = ('a', 'b', 'c'), (8, 8, 1)
_NET = {
  'kind': 'conv',
  'widths': (3, 5),
  'depths': (1, 1),
  'strides': (2, 2),
  'batch_norm': True,
}


def write_student(
  folder: pathlib.Path, single_label: bool = False, seed: int = 0
) -> pathlib.Path:
  """Writes the folder of a student with random weights."""
  net = {**_NET, 'single_label': single_label}
  model = classifier.create(**net, num_labels=len(LABELS))
  student.write(
    folder,
    model.init(jax.random.key(seed), IMAGE),
    labels=LABELS,
    image_shape=IMAGE,
    net=net,
    origin={'experiment': 'x'},
  )
  return folder
