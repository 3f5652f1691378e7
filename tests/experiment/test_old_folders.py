"""Folders that earlier versions wrote still open."""

import json
import shutil

import pytest

from dualgan_jax import load, run
from dualgan_jax.errors import UserError
from dualgan_jax.presets import digits
from tests.paths import FILES


@pytest.fixture
def folder(tmp_path):
  """A finished run of the version before records had a format."""
  return shutil.copytree(FILES / 'run_0', tmp_path / 'run')


def test_a_finished_run_is_done_already(folder, capsys):
  before = (folder / 'results.json').read_text()
  config = digits.get_config('smoke')
  config.refine.branched_steps = 0  # there were none then
  results = run(config, str(folder))
  assert results == json.loads(before)
  stderr = capsys.readouterr().err
  assert stderr.endswith(f'evaluate: done already in {folder}\n')


def test_its_student_answers(folder):
  for name in ('student', 'branched'):
    assert load(folder / name).labels == tuple('0123456789')


def test_a_branched_net_that_was_not_refined_is_none_that_was(folder):
  message = r'^refine\.branched_steps \(0 there, 20 now\)'
  with pytest.raises(UserError, match=message):
    run(digits.get_config('smoke'), str(folder))


def test_another_value_of_a_field_is_refused(folder):
  config = digits.get_config('smoke')
  config.dual.steps = 30
  with pytest.raises(UserError, match=r'^dual\.steps \(20 there, 30 now\)'):
    run(config, str(folder))


def test_a_field_that_is_no_more_must_be_as_it_is_for_good(folder):
  file = folder / 'generator' / 'stage.json'
  record = json.loads(file.read_text())
  record['fields']['generator.b1'] = 0.9
  file.write_text(json.dumps(record))
  with pytest.raises(UserError, match=r'^generator\.b1 \(0\.9 there, 0\.5 now'):
    run(digits.get_config('smoke'), str(folder))


def test_a_record_of_a_newer_version_is_refused(folder):
  file = folder / 'dual' / 'stage.json'
  file.write_text(json.dumps({**json.loads(file.read_text()), 'format': 9}))
  with pytest.raises(UserError, match='is of a newer version of dualgan_jax'):
    run(digits.get_config('smoke'), str(folder))
