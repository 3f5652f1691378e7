"""Random state dicts of every architecture, the same wherever they are made."""

import pathlib
import zlib

import numpy as np

from dualgan_jax.networks import architectures, torch_layers
from dualgan_jax.teachers import weight_files

LABELS = 7
BATCH = 3


def image(name):
  """The (height, width, channels) that an architecture is tried with."""
  size = 64 if name.startswith('resnet') else 32
  return (size, size, 1 if name == 'lenet5' else 3)


def tensors(name):
  """Weights of about the size that training gives, and running moments."""
  rng = np.random.default_rng(zlib.crc32(name.encode()))
  like = architectures.abstract(name, LABELS, image(name))
  found = {}
  for key, shape in sorted(torch_layers.names(like).items()):
    x = rng.standard_normal(shape).astype(np.float32)
    if key.endswith('running_var') or (
      key.endswith('weight') and len(shape) == 1
    ):
      found[key] = 0.5 + np.abs(x) / 2
    elif len(shape) == 1:
      found[key] = x / 5
    else:
      found[key] = x * np.sqrt(0.5 / np.prod(shape[1:]))
    found[key] = found[key].astype(np.float32)
  return found


def contents(tensors):
  """A file that holds these tensors, and nothing else."""
  whole = weight_files.StateDict('', tensors)
  return weight_files.Contents(pathlib.Path('x.pt'), (whole,))


def images(name):
  """Images in [0, 1], [BATCH, h, w, c]."""
  rng = np.random.default_rng(1)
  return rng.random((BATCH, *image(name)), np.float32)
