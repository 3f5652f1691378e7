"""Encodes the pictures of a run, so that a page with them is one file."""

import base64
import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from dualgan_jax.training.metrics_log import PICTURES

_MAX_PICTURES = 4  # of a stage's course, the first and last among them


def list_errors(
  folder: pathlib.Path, results: Mapping[str, Any]
) -> list[dict[str, Any]]:
  """Lists the student's worst errors, those whose images are there.

  Args:
    folder: the run's.
    results: content of `results.json`.

  Returns:
    The errors, each with its `picture`.
  """
  return [
    {**error, 'picture': _encode((folder / error['image']).read_bytes())}
    for error in results.get('worst_errors') or ()
    if (folder / error['image']).exists()
  ]


def list_samples(
  folder: pathlib.Path, labels: Sequence[str], max_labels: int
) -> dict[str, dict[str, str]]:
  """Cuts the grids of images into a strip per label.

  Args:
    folder: the run's.
    labels: the student's, one for each row of the grids.
    max_labels: of which a page has strips; further ones are left out.

  Returns:
    For 'generated' and, if there are any, 'real' images, the encoded strip of
    each label.
  """
  samples = {}
  for title in ('generated', 'real'):
    path = folder / 'evaluate' / f'{title}.png'
    if not path.exists():
      continue
    with Image.open(path) as grid:
      row_height = grid.height // len(labels)
      samples[title] = {
        label: _encode_strip(grid, row * row_height, (row + 1) * row_height)
        for row, label in enumerate(labels[:max_labels])
      }
  return samples


def list_progress(folder: pathlib.Path) -> list[dict[str, Any]]:
  """Lists pictures over the steps of the generator's stages, evenly spread.

  Returns:
    By picture, its `stage`, the `step` in it, and the `picture`, encoded.
  """
  progress = []
  for stage in ('generator', 'refine'):
    picture_of_step = {
      int(path.stem.rpartition('-')[2]): path
      for path in (folder / stage / PICTURES).glob('train-*.png')
    }
    steps = sorted(picture_of_step)
    # A single picture shows no course.
    if len(steps) < 2:
      continue
    places = np.linspace(0, len(steps) - 1, min(_MAX_PICTURES, len(steps)))
    progress += [
      {
        'stage': stage,
        'step': steps[place],
        'picture': _encode(picture_of_step[steps[place]].read_bytes()),
      }
      for place in places.round().astype(int)
    ]
  return progress


def _encode_strip(grid: Image.Image, top: int, bottom: int) -> str:
  """Encodes some rows of pixels."""
  file = io.BytesIO()
  grid.crop((0, top, grid.width, bottom)).save(file, 'PNG')
  return _encode(file.getvalue())


def _encode(png: bytes) -> str:
  """Encodes the bytes of a PNG for an image's URL."""
  return base64.b64encode(png).decode()
