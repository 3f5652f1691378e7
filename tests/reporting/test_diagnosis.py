"""The verdict on a run follows from its generated images, by hand."""

import dataclasses
import json

import numpy as np
import pytest

from dualgan_jax.reporting import diagnosis
from tests.paths import ROOT

_NAN = np.nan
# Two labels, four images: the teachers see a, a, b and nothing.
_TEACHERS = np.array([[3.0, -3], [1, -1], [-2, 2], [-1, -2]])
_STUDENT = np.array([[2.0, -2], [-1, 1], [-2, 2], [-1, -2]])


def _findings(**changes):
  """Numbers that nothing can be said against."""
  findings = diagnosis.Findings(
    num_images=100,
    label_counts={'a': 50, 'b': 50},
    empty_share=0.0,
    agreement=0.9,
    label_agreement={'a': 0.9, 'b': 0.9},
    mean_top_probability=0.95,
    sure_share=0.8,
    contradictions=None,
  )
  return dataclasses.replace(findings, **changes)


def test_the_findings_by_hand():
  findings = diagnosis.examine(('a', 'b'), _STUDENT, _TEACHERS)
  assert findings.num_images == 4
  assert findings.label_counts == {'a': 2, 'b': 1}
  assert findings.empty_share == 0.25
  # The second image is a for the teachers, and b for the student.
  assert findings.agreement == 0.75
  assert findings.label_agreement == {'a': pytest.approx(2 / 3), 'b': 1.0}
  # 1 / (1 + e^-3), ^-1, ^-2 and ^1.
  expected = (0.9525741 + 0.7310586 + 0.8807971 + 0.2689414) / 4
  assert findings.mean_top_probability == pytest.approx(expected)
  assert findings.sure_share == 0.25
  assert findings.contradictions is None


def test_of_one_label_both_say_alike_whether_it_is_there():
  findings = diagnosis.examine(('a',), _STUDENT[:, :1], _TEACHERS[:, :1])
  assert findings.agreement == 0.75


def test_extreme_logits_are_probabilities():
  logits = np.array([[1e4, -1e4], [-1e4, -1e4]])
  findings = diagnosis.examine(('a', 'b'), logits, logits)
  assert findings.mean_top_probability == 0.5
  assert findings.label_agreement == {'a': 1.0, 'b': None}


def test_contradictions_by_hand():
  # Label a has two owners, who contradict on the first image only; b has one.
  owner_logits = [[[1, -1], [2, _NAN]], [[1, 2], [-2, _NAN]]]
  assert diagnosis.contradiction_share(np.array(owner_logits)) == 0.5
  only_one = np.array(owner_logits)[:, 1:]
  assert diagnosis.contradiction_share(only_one) is None


def test_nothing_against_it_is_usable():
  verdict, reasons = diagnosis.judge(_findings())
  assert verdict == 'usable'
  assert reasons == [
    'generated images show every label; how it does on real images was not '
    'measured'
  ]
  _, reasons = diagnosis.judge(_findings(), score_share=0.998)
  assert reasons == [
    'generated images show every label, and on real test images the student '
    'keeps 99.8% of the teachers’ score'
  ]


@pytest.mark.parametrize(
  ('changes', 'reason'),
  [
    (
      {'label_counts': dict.fromkeys('0246', 20) | dict.fromkeys('19', 0)},
      'no generated image shows 1 or 9: the student has not learned them',
    ),
    ({'label_counts': {'a': 99, 'b': 4}}, 'few generated images show b'),
    (
      {'label_counts': {'a': 100}},
      'all generated images show a: the student has seen nothing else',
    ),
    (
      {'agreement': 0.49},
      'student and teachers give the same label on 49% of the generated images',
    ),
    (
      {'label_agreement': {'a': 0.9, 'b': 0.2}},
      'the student mostly gives other labels to generated images of b',
    ),
    (
      {'sure_share': 0.08},
      'teachers are sure of 8% of the generated images only',
    ),
    (
      {'contradictions': 0.95},
      'on 95% of the generated images teachers that share a label contradict '
      'one another',
    ),
  ],
)
def test_each_reason_to_doubt(changes, reason):
  findings = _findings(**{'label_agreement': {}, **changes})
  assert diagnosis.judge(findings) == ('doubtful', [reason])


def test_real_images_count_more_than_answers_to_generated_ones():
  findings = _findings(contradictions=0.95, sure_share=0.05)
  assert diagnosis.judge(findings, score_share=0.95)[0] == 'usable'
  assert len(diagnosis.judge(findings, score_share=0.85)[1]) == 3
  # Whole labels may be wrong all the same.
  findings = _findings(label_counts={'a': 99, 'b': 4}, label_agreement={})
  assert diagnosis.judge(findings, score_share=0.95)[0] == 'doubtful'


@pytest.mark.parametrize(
  ('changes', 'score_share', 'reason'),
  [
    (
      {'empty_share': 0.95},
      None,
      '95% of the generated images show no label: no teacher gives one a '
      'probability above 0.5',
    ),
    (
      {'label_counts': {'a': 50, 'b': 50, **dict.fromkeys('cd', 0)}},
      None,
      'no generated image shows c or d: the student has not learned them',
    ),
    (
      {},
      0.49,
      'on real test images the student keeps 49% of the teachers’ score',
    ),
  ],
)
def test_each_fatal_reason(changes, score_share, reason):
  findings = _findings(**{'label_agreement': {}, **changes})
  assert diagnosis.judge(findings, score_share) == ('not usable', [reason])


def test_many_labels_are_not_all_named():
  counts = {f'label {number}': 0 for number in range(20)} | {'a': 9}
  _, (reason, *_) = diagnosis.judge(
    _findings(label_counts=counts, label_agreement={})
  )
  assert 'label 7 and 12 more labels: the student has not' in reason


def test_the_line_for_a_terminal():
  entry = diagnosis.diagnose(_findings(agreement=0.4, sure_share=0.05))
  line = diagnosis.verdict_line({'diagnosis': json.loads(json.dumps(entry))})
  assert line == (
    'Verdict: doubtful: student and teachers give the same label on 40% of the '
    'generated images; teachers are sure of 5% of the generated images only.'
  )
  assert diagnosis.verdict_line({'metrics': {}}) == ''


def test_the_kept_share_is_of_top1_or_else_of_map():
  metrics = {
    'teachers': {'top1': None, 'mAP': 0.8},
    'compact': {'top1': None, 'mAP': 0.4},
  }
  assert diagnosis.kept_share(metrics) == 0.5
  assert diagnosis.kept_share({'teachers': {}, 'compact': {}}) is None


def test_no_good_student_of_the_stored_results_is_doubted_for_agreement():
  runs = []
  for path in ROOT.glob('experiments/results/*/*.json'):
    metrics = json.loads(path.read_text())['metrics']
    if metrics['compact'].get('agreement') is not None:
      score_share = diagnosis.kept_share(metrics)
      runs.append((score_share, metrics['compact']['agreement']))
  good = [agreement for share, agreement in runs if share >= diagnosis.MIN_KEPT]
  assert len(good) > 10
  assert min(good) > diagnosis.MIN_AGREEMENT
