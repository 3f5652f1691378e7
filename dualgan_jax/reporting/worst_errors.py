"""Lists the errors of which a student is surest."""

from collections.abc import Sequence
from typing import Any

import numpy as np

NUM_ERRORS = 12


def list_errors(
  labels: Sequence[str],
  student_logits: np.ndarray,
  teacher_logits: np.ndarray,
  targets: np.ndarray,
  *,
  one_label: bool,
) -> list[dict[str, Any]]:
  """Lists the images that a student answers wrong, the surest errors first.

  Args:
    labels: L names.
    student_logits: the student's, [n, L].
    teacher_logits: the ensemble's, [n, L].
    targets: 0 or 1, or NaN if unknown, [n, L].
    one_label: whether images carry one label each: an error is a most probable
      label that is not there. Else it is a label on the wrong side of
      probability 0.5, the worst one of an image.

  Returns:
    At most `NUM_ERRORS` errors: `row`, of the image; `truth`, its labels;
    `label`, the one that is wrong; `probability` and `teachers_probability`,
    what student and teachers give it; and `teachers_label`, the teachers' most
    probable one.
  """
  # σ(x) without an overflow at -1e4.
  student, teachers = (
    0.5 * (1 + np.tanh(0.5 * np.asarray(logits, np.float64)))
    for logits in (student_logits, teacher_logits)
  )
  present = targets > 0.5
  if one_label:
    rows = np.flatnonzero(present.any(axis=1))
    columns = student_logits[rows].argmax(axis=1)
  else:
    # An unknown label is no error.
    distances = np.where(np.isnan(targets), 0, np.abs(student - present))
    rows, columns = np.arange(len(targets)), distances.argmax(axis=1)
  distances = np.abs(student[rows, columns] - present[rows, columns])
  is_wrong = (
    ~present[rows, columns] if one_label else distances > 0.5  # on either side
  )
  rows, columns = rows[is_wrong], columns[is_wrong]
  order = np.argsort(-distances[is_wrong], kind='stable')[:NUM_ERRORS]
  return [
    {
      'row': int(row),
      'truth': [labels[index] for index in np.flatnonzero(present[row])],
      'label': labels[column],
      'probability': float(student[row, column]),
      'teachers_probability': float(teachers[row, column]),
      'teachers_label': labels[teacher_logits[row].argmax()],
    }
    for row, column in zip(
      rows[order].tolist(), columns[order].tolist(), strict=True
    )
  ]
