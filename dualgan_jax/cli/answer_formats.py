"""Prints a student's answers as a table, as JSON or as CSV."""

import csv
import json
import sys
from collections.abc import Iterable, Sequence

import numpy as np

from dualgan_jax.display import align, printable

# An image's name, and the probabilities of the L labels.
Answer = tuple[str, np.ndarray]


def print_json(answers: Iterable[Answer], labels: Sequence[str]) -> None:
  """Prints a line of JSON per image, with all labels.

  Args:
    answers: names and probabilities [L], printed as they come.
    labels: L labels.
  """
  for image_name, probabilities in answers:
    answer = {
      'image': image_name,
      'probabilities': dict(_sort_labels(labels, probabilities)),
    }
    # JSON is in ASCII, so that no terminal obeys the text of a label.
    print(json.dumps(answer))


def print_csv(answers: Iterable[Answer], labels: Sequence[str]) -> None:
  """Prints a line of CSV per image, with a column per label.

  Args:
    answers: names and probabilities [L], printed as they come.
    labels: L labels, which are the header with `image`.
  """
  writer = csv.writer(sys.stdout, lineterminator='\n')
  writer.writerow(['image', *map(printable, labels)])
  for image_name, probabilities in answers:
    cells = [f'{probability:.6g}' for probability in probabilities]
    writer.writerow([printable(image_name), *cells])


def print_table(
  answers: Iterable[Answer],
  labels: Sequence[str],
  *,
  num_labels: int,
  single_label: bool,
) -> None:
  """Prints a Markdown table, a row per image with its best labels.

  Args:
    answers: names and probabilities [L]; the table is printed in the end.
    labels: L labels.
    num_labels: labels per row; all at most.
    single_label: whether labels exclude one another; if not, a last column has
      the number of labels that are present.
  """
  num_labels = min(num_labels, len(labels))
  header = ['image', *['label', 'probability'] * num_labels]
  rule = ['---', *['---', '---:'] * num_labels]
  if not single_label:
    header.append('above 0.5')
    rule.append('---:')
  table_rows = [header, rule]
  for image_name, probabilities in answers:
    cells = [printable(image_name)]
    for label, probability in _sort_labels(labels, probabilities)[:num_labels]:
      cells += [printable(label), f'{probability:.4f}']
    if not single_label:
      cells.append(str(np.sum(probabilities > 0.5) or 'none'))
    table_rows.append(cells)
  print(align(table_rows))


def _sort_labels(
  labels: Sequence[str], probabilities: np.ndarray
) -> list[tuple[str, float]]:
  """Pairs labels with their probabilities, the most probable label first."""
  pairs = zip(labels, probabilities.tolist(), strict=True)
  return sorted(pairs, key=lambda pair: -pair[1])
