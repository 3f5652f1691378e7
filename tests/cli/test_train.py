"""Wrong command lines: one sentence, exit code 2, no traceback."""

import os
import subprocess
import sys

import pytest

from tests.paths import ROOT

_CONFIG = '--config=experiments/configs/digits.py'


def _launch(*flags, **environment):
  """Starts a training as a checkout does, and returns how it ended."""
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
  process = subprocess.run(
    ['bash', '-c', command],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert (process.returncode, process.stderr) == (0, '')


@pytest.mark.parametrize(
  ('flags', 'message'),
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
    (['--workdir=x', '--bogus=1'], "flag 'bogus'"),
  ],
)
def test_a_wrong_command_line_is_one_sentence(tmp_path, flags, message):
  flags = [
    flag.replace('--workdir=x', f'--workdir={tmp_path}/x') for flag in flags
  ]
  process = _launch(*flags)
  assert process.returncode == 2
  assert message in process.stderr
  assert 'Traceback' not in process.stderr
  assert len(process.stderr.strip().splitlines()) == 1
  assert not (tmp_path / 'x').exists()


def test_a_config_file_that_fails_is_one_sentence(tmp_path):
  path = tmp_path / 'config.py'
  path.write_text('def get_config():\n  raise ValueError("one\\ntwo")\n')
  process = _launch(f'--config={path}', f'--workdir={tmp_path}/x')
  assert process.returncode == 2
  assert (
    process.stderr
    == 'error: --config: config.py, line 2: ValueError: one two.\n'
  )


def test_a_platform_that_is_not_there_is_one_sentence(tmp_path):
  process = _launch(_CONFIG, f'--workdir={tmp_path}/x', JAX_PLATFORMS='gpuu')
  assert process.returncode == 2
  assert process.stderr.startswith(
    "error: devices: JAX finds none (JAX_PLATFORMS='gpuu': "
  )
  assert len(process.stderr.splitlines()) == 1


def test_a_configs_file_may_have_used_jax(tmp_path):
  file = tmp_path / 'mine.py'
  file.write_text(
    'import jax.numpy as jnp\n'
    'from dualgan_jax.presets import digits\n'
    'WIDTH = int(jnp.arange(5).sum())\n'
    'get_config = digits.get_config\n'
  )
  done = _launch(
    f'--config={file}:smoke', f'--workdir={tmp_path / "run"}', '--dry_run'
  )
  assert done.returncode == 0, done.stderr
