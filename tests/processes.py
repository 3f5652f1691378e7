"""Several processes of one run, as tests start them."""

import os
import socket
import subprocess
import sys
import time

from tests.paths import ROOT

MAIN = ('-m', 'experiments.main', '--multihost')
SMOKE = '--config=experiments/configs/digits.py:smoke'


def free_port():
  """Finds a port that nothing uses."""
  with socket.socket() as free:
    free.bind(('localhost', 0))
    return free.getsockname()[1]


def start(number, *arguments, port, processes=2, devices=4):
  """Starts one of several processes that know of one another."""
  return subprocess.Popen(
    [sys.executable, *map(str, arguments)],
    cwd=ROOT,
    env={
      **os.environ,
      'JAX_NUM_CPU_DEVICES': str(devices),
      'JAX_COORDINATOR_ADDRESS': f'localhost:{port}',
      'JAX_NUM_PROCESSES': str(processes),
      'JAX_PROCESS_ID': str(number),
    },
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def together(*arguments, devices=4):
  """Starts the same program in two processes."""
  port = free_port()
  return [
    start(number, *arguments, port=port, devices=devices) for number in range(2)
  ]


def patched(code, *flags):
  """Makes the arguments of the command with some of its code replaced."""
  lines = (
    code,
    'import sys; from dualgan_jax.cli import main',
    'sys.exit(main.main(["train", *sys.argv[1:]]))',
  )
  return '-c', '\n'.join(lines), '--multihost', SMOKE, *flags


def ends(started):
  """Waits; gives exit codes, what was printed, what was said on stderr."""
  said = [x.communicate(timeout=300) for x in started]
  return [x.returncode for x in started], *zip(*said, strict=True)


def reasons(started, codes):
  """Reads the one sentence of each process; all end with their code in time."""
  began = time.monotonic()
  actual, _, said = ends(started)
  assert actual == codes, said
  assert time.monotonic() - began < 60
  assert 'Traceback' not in ''.join(said)
  lines = [
    [x for x in text.splitlines() if x.startswith('error: ')] for text in said
  ]
  assert [len(x) for x in lines] == [bool(code > 0) for code in codes], said
  return [''.join(x) for x in lines]
