"""Accuracy is measured on the way, and the training stays as it is."""

import json
import pathlib

import pytest

from dualgan_jax.errors import UserError
from dualgan_jax.experiment.run import run
from dualgan_jax.presets import digits
from experiments import accuracy_over_time


def _read_top1(workdir):
  results = json.loads(pathlib.Path(workdir, 'results.json').read_text())
  return results['metrics']['compact']['top1']


def test_the_curve_ends_with_the_accuracy_of_the_run(tmp_path):
  config = digits.get_config('smoke')
  # Only the compact student is followed.
  config.dual.steps = config.refine.branched_steps = 0
  config.baselines.enabled = False
  curve = accuracy_over_time.follow(config, str(tmp_path / 'run'), num_points=2)
  points = curve['points']
  assert {point['stage'] for point in points} == {'targetnet', 'refine'}
  seconds = [point['seconds'] for point in points]
  assert seconds == sorted(seconds) and seconds[0] > 0

  # What is left, the evaluation, measures the same student.
  run(config, str(tmp_path / 'run'))
  assert points[-1]['top1'] == _read_top1(tmp_path / 'run')


def test_what_cannot_be_followed_is_said_before_any_training(tmp_path):
  config = digits.get_config('smoke')
  with pytest.raises(UserError, match='is there; name a new folder'):
    accuracy_over_time.follow(config, str(tmp_path), num_points=2)
  config.data = {}
  with pytest.raises(UserError, match='needs real test images'):
    accuracy_over_time.follow(config, str(tmp_path / 'run'), num_points=2)
