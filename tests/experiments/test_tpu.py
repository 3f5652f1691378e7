"""The script for Cloud TPU: linted, and what it would do."""

import os
import pathlib
import shlex
import subprocess
import sys

import pytest

from tests.paths import ROOT

_SCRIPT = ROOT / 'experiments' / 'tpu.sh'


def _run(*arguments, **environment):
  return subprocess.run(
    ['bash', str(_SCRIPT), *arguments],
    cwd=ROOT,
    env={'PATH': os.environ['PATH'], **environment},
    capture_output=True,
    text=True,
    check=False,
  )


def test_a_linter_finds_nothing():
  done = subprocess.run(
    [pathlib.Path(sys.executable).with_name('shellcheck'), _SCRIPT],
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stdout


@pytest.mark.parametrize('action', ['create', 'install', 'log', 'delete'])
def test_printed_commands_name_the_machine(action):
  done = _run('--print', action, TPU_NAME='mine', TPU_ZONE='here')
  assert done.returncode == 0, done.stderr
  commands = [shlex.split(x) for x in done.stdout.splitlines()]
  cloud = [x for x in commands if x[0] == 'gcloud']
  assert cloud
  for command in cloud:
    assert '--zone=here' in command
    assert any(x.startswith('mine') for x in command)


def _on_the_worker(printed):
  """What a printed command does there, unpacked by this shell and by that."""
  unpack = f'for x in {printed.strip()}; do echo "$x"; done'
  there = subprocess.run(
    ['bash', '-c', unpack], capture_output=True, text=True, check=True
  ).stdout
  return there.partition('--command=')[2].rpartition('--zone=')[0]


def test_a_launch_reaches_all_workers_with_its_flags():
  labels = "--config.labels=('1', '2')"
  done = _run('--print', 'launch', 'mnist.py', 'm', labels, TPU_BUCKET='pail')
  assert done.returncode == 0, done.stderr
  assert done.stdout.startswith('gcloud compute tpus tpu-vm ssh dualgan ')
  assert '--worker=all' in done.stdout
  there = _on_the_worker(done.stdout)
  assert 'gcsfuse --implicit-dirs pail bucket' in there
  line = next(x for x in there.splitlines() if x.startswith('nohup'))
  command = shlex.split(line.partition(' > ')[0])
  assert command[2:] == [
    '-m',
    'experiments.main',
    '--multihost',
    '--config=experiments/configs/mnist.py',
    '--workdir=../bucket/m',
    labels,
  ]


@pytest.mark.parametrize('mounts', [True, False])
def test_nothing_starts_where_the_bucket_is_not_mounted(tmp_path, mounts):
  done = _run('--print', 'launch', 'mnist.py', 'm', TPU_BUCKET='pail')
  tools = tmp_path / 'tools'
  python = tmp_path / 'dualgan_jax' / '.venv' / 'bin' / 'python'
  for file, does in (
    (tools / 'mountpoint', 'exit 1'),
    (tools / 'gcsfuse', f'exit {0 if mounts else 1}'),
    (python, 'touch ../started'),
  ):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'#!/bin/sh\n{does}\n')
    file.chmod(0o755)
  there = subprocess.run(
    ['bash', '-c', f'{_on_the_worker(done.stdout)}\nwait'],
    cwd=tmp_path,
    env={'PATH': f'{tools}:{os.environ["PATH"]}'},
    check=False,
  )
  assert (there.returncode == 0) == mounts
  assert (tmp_path / 'started').exists() == mounts


def test_a_launch_without_a_bucket_names_it():
  done = _run('--print', 'launch', 'mnist.py', 'm')
  assert done.returncode == 2
  assert done.stderr.startswith('error: TPU_BUCKET: not set')


@pytest.mark.parametrize(
  'arguments',
  [(), ('start',), ('launch', 'mnist.py'), ('delete', '--print')],
)
def test_what_is_not_understood_shows_the_usage(arguments):
  done = _run(*arguments)
  assert done.returncode == 2
  assert 'tpu.sh [--print] launch CONFIG WORKDIR' in done.stderr
  assert done.stdout == ''
