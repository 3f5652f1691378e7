"""Times a student's answers to images, beside its jitted net alone."""

import pathlib
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from dualgan_jax.student.student import load

_BATCH_SIZES = (1, 8, 64)
# A call takes microseconds, so that a step's number of repeats would be few.
_CALLS_PER_REPEAT = 50


def measure_student(
  folder: str | pathlib.Path, repeats: int
) -> list[dict[str, Any]]:
  """Measures `Student.predict` of uint8 images, and the jitted net of floats.

  Args:
    folder: a student's.
    repeats: hundreds of calls grow with it.

  Returns:
    One row per number of images: `images`, their number; `predict` and `net`,
    the median microseconds of a call; `ratio` of the two.
  """
  student = load(folder)
  net = jax.jit(student.answer)
  rows = []
  for batch_size in _BATCH_SIZES:
    images = np.full((batch_size, *student.image_shape), 127, np.uint8)
    floats = images.astype(np.float32) / 255
    num_calls = _CALLS_PER_REPEAT * repeats
    row = {
      'predict': _median_microseconds(student.predict, images, num_calls),
      'net': _median_microseconds(net, floats, num_calls),
    }
    ratio = row['predict'] / row['net']
    rows.append({'images': batch_size, **row, 'ratio': ratio})
  return rows


def _median_microseconds(
  answer: Callable[[np.ndarray], Any], images: np.ndarray, num_calls: int
) -> float:
  """Times calls one by one, without the first, which compiles."""
  np.asarray(answer(images))
  seconds = []
  for _ in range(num_calls):
    start_time = time.perf_counter()
    np.asarray(answer(images))
    seconds.append(time.perf_counter() - start_time)
  return 1e6 * statistics.median(seconds)
