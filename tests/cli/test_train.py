"""Wrong command lines: one sentence, exit code 2, no traceback."""

import os
import subprocess
import sys

import pytest

from tests.paths import ROOT

_CONFIG = '--config=experiments/configs/digits.py'


def _launch(*flags, **environment):
  return subprocess.run(
    [sys.executable, '-m', 'experiments.main', *flags],
    cwd=ROOT,
    env={**os.environ, **environment},
    capture_output=True,
    text=True,
    check=False,
  )


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
  command = (
    f'{sys.executable} -m experiments.main {_CONFIG} --workdir={tmp_path} '
    '--dry_run | head -0; exit ${PIPESTATUS[0]}'
  )
  done = subprocess.run(
    ['bash', '-c', command],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert (done.returncode, done.stderr) == (0, '')


@pytest.mark.parametrize(
  ('flags', 'says'),
  [
    (['--config=nowhere.py', '--workdir=x'], 'nowhere.py'),
    ([f'{_CONFIG}:tiny', '--workdir=x'], 'tiny: no such variant'),
    ([_CONFIG, '--workdir=x', '--bogus=1'], 'bogus'),
    ([_CONFIG, '--workdir=x', '--config.generator.stepz=1'], 'stepz'),
    ([_CONFIG, '--workdir=x', '--config.generator.steps=no'], 'steps=no'),
    ([_CONFIG, '--workdir=x', '--config.seed=-1'], 'seed: -1'),
    ([_CONFIG, '--workdir=x', '--stage=teach'], 'stage=teach'),
    ([_CONFIG, '--workdir=x', "--config.labels=('0', 'x')"], "answers 'x'"),
    ([_CONFIG, '--workdir=x', '--config.devices=64'], 'devices: 64'),
    ([_CONFIG, '--workdir=/proc/x'], '/proc/x cannot be written'),
    ([_CONFIG, '--workdir=x', 'y'], 'y: not a flag'),
    ([_CONFIG], '--workdir: missing'),
    ([_CONFIG, '--workdir='], '--workdir: missing'),
    ([_CONFIG, '--workdir=x', '--init_from='], '--init_from: empty'),
    ([f'{_CONFIG}:paper,dafl', '--workdir=x'], 'dafl and paper exclude one'),
    (
      ['--config=experiments/configs/objectives.py', '--workdir=x'],
      'objectives.py defines no get_config()',
    ),
    (['--workdir=x'], '--config: missing'),
  ],
)
def test_a_wrong_command_line_is_one_sentence(tmp_path, flags, says):
  flags = [f.replace('--workdir=x', f'--workdir={tmp_path}/x') for f in flags]
  done = _launch(*flags)
  assert done.returncode == 2
  assert says in done.stderr
  assert 'Traceback' not in done.stderr
  assert len(done.stderr.strip().splitlines()) == 1
  assert not (tmp_path / 'x').exists()


def test_a_config_file_that_fails_is_one_sentence(tmp_path):
  path = tmp_path / 'config.py'
  path.write_text('def get_config():\n  raise ValueError("one\\ntwo")\n')
  done = _launch(f'--config={path}', f'--workdir={tmp_path}/x')
  assert done.returncode == 2
  assert (
    done.stderr == 'error: --config: config.py, line 2: ValueError: one two.\n'
  )


def test_a_platform_that_is_not_there_is_one_sentence(tmp_path):
  done = _launch(_CONFIG, f'--workdir={tmp_path}/x', JAX_PLATFORMS='gpuu')
  assert done.returncode == 2
  assert done.stderr.startswith(
    "error: devices: JAX finds none (JAX_PLATFORMS='gpuu': "
  )
  assert len(done.stderr.splitlines()) == 1


def test_help_shows_all_flags():
  done = _launch('--help')
  for flag in ('config', 'workdir', 'stage', 'init_from'):
    assert f'--{flag}' in done.stdout
