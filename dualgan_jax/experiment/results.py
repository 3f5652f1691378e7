"""Reads the results of stage `evaluate`, and finds damage in them."""

import json
import pathlib
from typing import Any

from dualgan_jax.errors import UserError, first_line
from dualgan_jax.reporting import report
from dualgan_jax.student import student


def find_damage(workdir: pathlib.Path) -> list[str]:
  """Finds the files of a finished evaluation that cannot be read any more.

  Args:
    workdir: the run's folder.

  Returns:
    A sentence per file or folder, without its full stop.
  """
  faults = []
  try:
    report.results_table(read(workdir))
  # The file may hold anything, so a table may fail in any way.
  except Exception as error:
    file = workdir / 'results.json'
    faults.append(f'{file} is lost or damaged ({first_line(error)})')
  for folder in ('student', 'branched'):
    # A branched net may be missing: code of a teacher need not be exportable.
    if folder == 'student' or (workdir / folder).exists():
      try:
        student.load(workdir / folder)
      except UserError as error:
        faults.append(str(error).rstrip('.'))
  return faults


def read(workdir: pathlib.Path) -> dict[str, Any]:
  """Reads `results.json` of a run's folder."""
  return json.loads((workdir / 'results.json').read_text(encoding='utf-8'))
