"""Tables of how far verdicts and probabilities are right, by hand."""

from experiments import evidence


def _cells(table):
  return [
    [cell.strip() for cell in line.strip('|').split('|')]
    for line in table.splitlines()[2:]
  ]


def test_verdicts_are_counted_by_what_students_keep():
  rows = [
    {'verdict': 'usable', 'score_share': share} for share in (0.9, 0.7, 0.2)
  ]
  rows += [{'verdict': 'not usable', 'score_share': 0.69}, {'score_share': 0.9}]
  assert _cells(evidence.format_verdicts(rows)) == [
    ['usable', '1', '1', '1'],
    ['doubtful', '0', '0', '0'],
    ['not usable', '0', '0', '1'],
  ]


def test_students_are_sure_and_right_over_all_bins():
  bins = [
    {'confidence': 0.5, 'accuracy': 0.75, 'count': 3},
    {'confidence': 0.9, 'accuracy': 0.95, 'count': 1},
    {'confidence': None, 'accuracy': None, 'count': 0},
  ]
  runs = {
    'a': {'default': [{'calibration': bins}, {}]},
    'b': {'default': [{'calibration': None}]},
  }
  table = evidence.format_calibration(['a', 'b'], runs.get)
  assert _cells(table) == [['`a`', '0.800', '0.600', '0.200', '1']]
