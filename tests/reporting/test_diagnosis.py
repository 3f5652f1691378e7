"""The verdict on a run follows from its generated images, by hand."""

import dataclasses
import json

import numpy as np
import pytest

from dualgan_jax.reporting import diagnosis, shipped_runs
from dualgan_jax.reporting.findings import Findings
from tests.paths import ROOT


def _findings(**changes):
  """Numbers that nothing can be said against."""
  findings = Findings(
    num_images=100,
    label_counts={'a': 50, 'b': 50},
    empty_share=0.0,
    agreement=0.9,
    label_agreement={'a': 0.9, 'b': 0.9},
    blend_agreement=0.8,
    mean_top_probability=0.95,
    sure_share=0.8,
    contradictions=None,
    statistics_distance=None,
  )
  return dataclasses.replace(findings, **changes)


def _kept(score, **by_label):
  return diagnosis.KeptScores(score, by_label)


def test_nothing_against_it_is_usable():
  verdict, reasons = diagnosis.judge(_findings())
  assert verdict == 'usable'
  assert reasons == [
    'generated images show every label; how it does on real images was not '
    'measured'
  ]
  _, reasons = diagnosis.judge(_findings(), _kept(0.998))
  assert reasons == [
    'on real test images the student keeps 99.8% of the teachers’ score'
  ]


def test_without_real_images_the_odds_are_a_reason():
  odds = 'of 3 runs that look as good, 2 keep 90% or more'
  assert diagnosis.judge(_findings(), odds=odds)[1][1:] == [odds]
  # Not where something is against it, nor where the score was measured.
  assert odds not in diagnosis.judge(_findings(agreement=0.4), odds=odds)[1]
  assert odds not in diagnosis.judge(_findings(), _kept(0.99), odds)[1]


@pytest.mark.parametrize(
  ('changes', 'reason'),
  [
    (
      {'label_counts': dict.fromkeys('0246', 20) | dict.fromkeys('19', 0)},
      'no generated image shows 1 or 9: the student may not have learned them',
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
      {'blend_agreement': 0.55},
      'student and teachers give the same label on 55% of blends of two '
      'generated images: the student may know these images by heart',
    ),
    (
      {'sure_share': 0.04},
      'teachers are sure of 4.0% of the generated images only, less than 5%',
    ),
    (
      {'contradictions': 0.96},
      'on 96% of the generated images teachers that share a label contradict '
      'one another',
    ),
    (
      {'statistics_distance': 0.7},
      'generated images lie 0.7 standard deviations from what teachers '
      'remember of their training images',
    ),
  ],
)
def test_each_reason_to_doubt(changes, reason):
  findings = _findings(**{'label_agreement': {}, **changes})
  assert diagnosis.judge(findings) == ('doubtful', [reason])


def test_real_images_count_more_than_generated_ones():
  findings = _findings(
    contradictions=0.96,
    sure_share=0.04,
    label_counts={'a': 100, 'b': 0, 'c': 0},
    label_agreement={},
  )
  assert diagnosis.judge(findings)[0] == 'not usable'
  assert diagnosis.judge(findings, _kept(0.95, b=0.9))[0] == 'usable'
  # What generated images say then explains what the real ones do.
  verdict, reasons = diagnosis.judge(findings, _kept(0.85))
  assert verdict == 'doubtful'
  assert reasons[0].startswith('on real test images the student keeps 85%')
  assert reasons[1].startswith('no generated image shows b or c')
  assert len(reasons) == 4


@pytest.mark.parametrize(
  ('kept_scores', 'verdict', 'reason'),
  [
    (
      _kept(0.69),
      'not usable',
      'on real test images the student keeps 69% of the teachers’ score, less '
      'than 70%',
    ),
    (
      _kept(0.89),
      'doubtful',
      'on real test images the student keeps 89% of the teachers’ score, less '
      'than 90%',
    ),
    (
      _kept(0.95, a=0.99, b=0.79),
      'doubtful',
      'on real test images the student is much worse than the teachers at b',
    ),
    (
      _kept(0.95, a=0.7, b=0.79),
      'doubtful',
      'on real test images the student is much worse than the teachers at '
      'every label',
    ),
  ],
)
def test_each_reason_of_real_images(kept_scores, verdict, reason):
  assert diagnosis.judge(_findings(), kept_scores) == (verdict, [reason])


@pytest.mark.parametrize(
  ('changes', 'reason'),
  [
    (
      {'empty_share': 0.95},
      '95% of the generated images show no label: no teacher gives one a '
      'probability above 0.5',
    ),
    (
      {'label_counts': {'a': 50, 'b': 50, **dict.fromkeys('cd', 0)}},
      'no generated image shows c or d: the student may not have learned them',
    ),
    (
      {'agreement': 0.34},
      'student and teachers give the same label on 34% of the generated images',
    ),
  ],
)
def test_each_fatal_reason(changes, reason):
  findings = _findings(**{'label_agreement': {}, **changes})
  assert diagnosis.judge(findings) == ('not usable', [reason])


def test_many_labels_are_not_all_named():
  counts = {f'label {number}': 0 for number in range(20)} | {'a': 9}
  _, (reason, *_) = diagnosis.judge(
    _findings(label_counts=counts, label_agreement={})
  )
  assert 'label 7 and 12 more labels: the student may not' in reason


def test_the_line_for_a_terminal():
  entry = diagnosis.diagnose(_findings(agreement=0.4, sure_share=0.04))
  results = {'diagnosis': json.loads(json.dumps(entry)), 'config': {}}
  line = diagnosis.verdict_line(results)
  assert line == (
    'Verdict: doubtful. Student and teachers give the same label on 40% of the '
    'generated images; teachers are sure of 4.0% of the generated images only, '
    'less than 5%.'
  )
  assert diagnosis.verdict_line({'metrics': {}}) == ''
  short_run = {'generator.steps': 20, 'refine.steps': 20}
  line = diagnosis.verdict_line({**results, 'config': short_run})
  assert line == 'No verdict: the run was too short.'


def test_kept_scores_are_of_top1_or_else_of_map():
  metrics = {
    'teachers': {'top1': None, 'mAP': 0.8},
    'compact': {'top1': None, 'mAP': 0.4},
  }
  # No test image carries c, and the teachers find no d.
  precisions = {
    'a': (0.6, 0.8),
    'b': (0.9, 0.6),
    'c': (None, None),
    'd': (1, 0),
  }
  per_label = {
    label: {'student_ap': student, 'teachers_ap': teachers}
    for label, (student, teachers) in precisions.items()
  }
  kept_scores = diagnosis.compute_kept_scores(metrics, per_label)
  assert kept_scores.score == 0.5
  assert kept_scores.by_label == pytest.approx({'a': 0.75, 'b': 1.5})
  no_scores = {'teachers': {}, 'compact': {}}
  assert diagnosis.compute_kept_scores(no_scores, per_label) is None


def _stored_runs():
  """Yields the kept scores, and the content, of each stored `results.json`."""
  for path in ROOT.glob('experiments/results/*/*.json'):
    results = json.loads(path.read_text())
    kept_scores = diagnosis.compute_kept_scores(
      results['metrics'], results['per_label']
    )
    yield kept_scores, results


def test_no_good_student_of_the_stored_results_is_doubted_for_agreement():
  good = [
    results['metrics']['compact']['agreement']
    for kept_scores, results in _stored_runs()
    if kept_scores.score >= diagnosis.MIN_KEPT
    and results['metrics']['compact'].get('agreement') is not None
  ]
  assert len(good) > 10
  assert min(good) > diagnosis.MIN_AGREEMENT


def test_few_good_students_of_the_stored_results_are_doubted_for_a_label():
  good = [
    min(kept_scores.by_label.values()) >= diagnosis.MIN_LABEL_KEPT
    for kept_scores, _ in _stored_runs()
    if kept_scores.score >= diagnosis.MIN_KEPT
  ]
  assert 0.8 < np.mean(good) < 1


def test_labels_without_images_are_known_less_often_in_the_stored_results():
  is_known = {'missing': [], 'rare': [], 'shown': []}
  for kept_scores, results in _stored_runs():
    # Results of earlier versions have no diagnosis.
    found = results.get('diagnosis') or {'label_counts': {}, 'num_images': 0}
    for label, count in found['label_counts'].items():
      kind = 'shown' if count else 'missing'
      even_count = found['num_images'] / len(found['label_counts'])
      if 0 < count < diagnosis.MIN_EVENNESS * even_count:
        kind = 'rare'
      if label in kept_scores.by_label:
        precision = kept_scores.by_label[label]
        is_known[kind].append(precision >= diagnosis.MIN_LABEL_KEPT)
  shares = {kind: np.mean(labels) for kind, labels in is_known.items()}
  assert shares['missing'] < shares['rare'] < shares['shown']


def test_how_often_usable_without_real_images_is_wrong():
  shares = [
    row['score_share']
    for row in json.loads(shipped_runs.FILE.read_text())
    if row.get('verdict') == diagnosis.USABLE
  ]
  # Nothing that is known without data tells the others apart.
  assert len(shares) > 10
  assert 0.5 < np.mean(np.array(shares) >= diagnosis.MIN_KEPT) < 1
