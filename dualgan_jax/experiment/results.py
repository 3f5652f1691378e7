"""What stage `evaluate` leaves in a run's folder: is it whole, what is it?"""

import json
import pathlib
from typing import Any

from dualgan_jax.errors import UserError, first_line
from dualgan_jax.reporting import report
from dualgan_jax.student import student


def damage(workdir: pathlib.Path) -> list[str]:
  """Names what a finished evaluation has left that cannot be read any more.

  Args:
    workdir: the run's folder.

  Returns:
    A sentence for each, without its full stop.
  """
  lines = []
  try:
    report.table(read(workdir))
  # Whatever a table trips over: the file may hold anything.
  except Exception as e:
    file = workdir / 'results.json'
    lines.append(f'{file} is lost or damaged ({first_line(e)})')
  for folder in ('student', 'branched'):
    # A branched net may be missing: code of a teacher need not be exportable.
    if folder == 'student' or (workdir / folder).exists():
      try:
        student.load(workdir / folder)
      except UserError as e:
        lines.append(str(e).rstrip('.'))
  return lines


def read(workdir: pathlib.Path) -> dict[str, Any]:
  """Reads `results.json` of a run's folder."""
  return json.loads((workdir / 'results.json').read_text(encoding='utf-8'))
