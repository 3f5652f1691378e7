"""What generated images say stands beside the same of shipped runs."""

import json

from dualgan_jax.reporting import generated_figures, shipped_runs


def test_each_figure_has_a_value_and_a_sentence(tmp_path, monkeypatch):
  file = tmp_path / 'shipped_runs.json'
  row = {'score_share': 0.95, 'agreement': 0.84, 'statistics_distance': 0.256}
  file.write_text(json.dumps([row]))
  monkeypatch.setattr(shipped_runs, 'FILE', file)
  found = {
    'agreement': 0.9375,
    'contradictions': None,
    'statistics_distance': 0.3125,
  }
  agreement, distance = generated_figures.list_figures({'diagnosis': found})
  assert agreement['value'] == '93.8%'
  assert agreement['shipped'].startswith(
    'Runs that come with this software: 84% in one that keeps 90% or more'
  )
  assert distance['value'] == '0.31' and ': 0.26 in' in distance['shipped']


def test_results_of_earlier_versions_have_fewer_figures():
  assert generated_figures.list_figures({'diagnosis': None}) == []
  (gap,) = generated_figures.list_figures({'misfits': {'a': 1.5, 'b': 1.75}})
  assert gap['value'] == '1.75' and gap['shipped'] == ''


def test_figures_of_shipped_runs_are_a_sentence():
  ranges = {'good': (0.5, 0.98), 'num_good': 47, 'poor': (0.36, 0.36)}
  describe = generated_figures.describe_ranges
  assert describe({**ranges, 'num_poor': 1}, '.0%') == (
    'Runs that come with this software: 50% to 98% in 47 that keep 90% or more '
    'of their teachers’ accuracy, 36% in one that keeps less.'
  )
  assert describe(None, '.0%') == ''
