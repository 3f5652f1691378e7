"""The script for Cloud TPU: the commands that it prints."""

import os
import shlex
import subprocess

import pytest

from tests.paths import ROOT

_SCRIPT = ROOT / 'experiments' / 'tpu.sh'


def _run(*arguments, **environment):
  """Runs the script, and returns how it ended."""
  return subprocess.run(
    ['bash', str(_SCRIPT), *arguments],
    cwd=ROOT,
    env={'PATH': os.environ['PATH'], **environment},
    capture_output=True,
    text=True,
    check=False,
  )


@pytest.mark.parametrize('action', ['create', 'install', 'log', 'delete'])
def test_printed_commands_name_the_machine(action):
  process = _run('--print', action, TPU_NAME='mine', TPU_ZONE='here')
  assert process.returncode == 0, process.stderr
  commands = [shlex.split(line) for line in process.stdout.splitlines()]
  cloud_commands = [command for command in commands if command[0] == 'gcloud']
  assert cloud_commands
  for command in cloud_commands:
    assert '--zone=here' in command
    assert any(word.startswith('mine') for word in command)


def _unpack_for_worker(printed_command):
  """Returns a worker's part of a command, as two shells unpack it."""
  program = f'for word in {printed_command.strip()}; do echo "$word"; done'
  words = subprocess.run(
    ['bash', '-c', program], capture_output=True, text=True, check=True
  ).stdout
  return words.partition('--command=')[2].rpartition('--zone=')[0]


def test_a_launch_reaches_all_workers_with_its_flags():
  labels = "--config.labels=('1', '2')"
  process = _run(
    '--print', 'launch', 'mnist.py', 'm', labels, TPU_BUCKET='pail'
  )
  assert process.returncode == 0, process.stderr
  assert process.stdout.startswith('gcloud compute tpus tpu-vm ssh dualgan ')
  assert '--worker=all' in process.stdout
  worker_commands = _unpack_for_worker(process.stdout)
  assert 'gcsfuse --implicit-dirs pail bucket' in worker_commands
  line = next(
    line for line in worker_commands.splitlines() if line.startswith('nohup')
  )
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
  process = _run('--print', 'launch', 'mnist.py', 'm', TPU_BUCKET='pail')
  tools = tmp_path / 'tools'
  python = tmp_path / 'dualgan_jax' / '.venv' / 'bin' / 'python'
  for program, action in (
    (tools / 'mountpoint', 'exit 1'),
    (tools / 'gcsfuse', f'exit {0 if mounts else 1}'),
    (python, 'touch ../started'),
  ):
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f'#!/bin/sh\n{action}\n')
    program.chmod(0o755)
  worker = subprocess.run(
    ['bash', '-c', f'{_unpack_for_worker(process.stdout)}\nwait'],
    cwd=tmp_path,
    env={'PATH': f'{tools}:{os.environ["PATH"]}'},
    check=False,
  )
  assert (worker.returncode == 0) == mounts
  assert (tmp_path / 'started').exists() == mounts


def test_a_launch_without_a_bucket_names_it():
  process = _run('--print', 'launch', 'mnist.py', 'm')
  assert process.returncode == 2
  assert process.stderr.startswith('error: TPU_BUCKET: not set')


@pytest.mark.parametrize(
  'arguments',
  [(), ('start',), ('launch', 'mnist.py'), ('delete', '--print')],
)
def test_wrong_arguments_show_the_usage(arguments):
  process = _run(*arguments)
  assert process.returncode == 2
  assert 'tpu.sh [--print] launch CONFIG WORKDIR' in process.stderr
  assert process.stdout == ''
