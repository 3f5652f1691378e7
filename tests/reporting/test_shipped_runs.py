"""Figures of stored runs are summarised as counted by hand."""

import json

from dualgan_jax.reporting import shipped_runs

# Nothing can be said against them; an earlier version knew no distance.
_FINDINGS = {
  'verdict': 'not usable',
  'num_images': 10,
  'label_counts': {'a': 5, 'b': 5},
  'label_agreement': {'a': 0.8, 'b': 0.8},
  'empty_share': 0.0,
  'agreement': 0.8,
  'sure_share': 0.25,
  'mean_top_probability': 0.75,
  'contradictions': None,
  'blend_agreement': 0.75,
}


def _results(score_share, **diagnosis):
  return {
    'metrics': {
      'teachers': {'top1': 0.5},
      'compact': {'top1': 0.5 * score_share, 'agreement': 0.75},
    },
    'per_label': {},
    'diagnosis': diagnosis or None,
  }


def test_a_summary_has_what_was_measured():
  unmeasured = {
    'metrics': {'teachers': {}, 'compact': {'agreement': 1.0}},
    'per_label': {},
  }
  rows = shipped_runs.summarise(
    [
      _results(0.95),
      _results(0.5, **_FINDINGS),
      unmeasured,
    ]
  )
  assert rows == [
    {'score_share': 0.95, 'agreement': 0.75},
    {
      'score_share': 0.5,
      'agreement': 0.8,
      'blend_agreement': 0.75,
      'sure_share': 0.25,
      'mean_top_probability': 0.75,
      'empty_share': 0.0,
      # Though half of the score is lost: the findings alone are judged.
      'verdict': 'usable',
    },
  ]


def test_good_runs_are_apart_from_others(tmp_path, monkeypatch):
  file = tmp_path / 'shipped_runs.json'
  rows = [
    {'score_share': 0.9, 'agreement': 0.5},
    {'score_share': 0.99, 'agreement': 0.75},
    {'score_share': 0.89, 'agreement': 1.0, 'sure_share': 0.125},
  ]
  file.write_text(json.dumps(rows))
  monkeypatch.setattr(shipped_runs, 'FILE', file)
  assert shipped_runs.compare() == {
    'agreement': {
      'good': (0.5, 0.75),
      'poor': (1.0, 1.0),
      'num_good': 2,
      'num_poor': 1,
    },
    'sure_share': {
      'good': None,
      'poor': (0.125, 0.125),
      'num_good': 0,
      'num_poor': 1,
    },
  }


def test_the_odds_of_runs_that_look_good(tmp_path, monkeypatch):
  file = tmp_path / 'shipped_runs.json'
  monkeypatch.setattr(shipped_runs, 'FILE', file)
  rows = [
    {'score_share': 0.95, 'verdict': 'usable'},
    {'score_share': 0.89, 'verdict': 'usable'},
    {'score_share': 0.95, 'verdict': 'doubtful'},
    {'score_share': 0.95},
  ]
  file.write_text(json.dumps(rows))
  assert shipped_runs.describe_odds() == (
    'of 2 runs that come with this software and look as good, 1 keep 90% or '
    'more of their teachers’ score on real images'
  )
  file.write_text('[]')
  assert shipped_runs.describe_odds() == ''
