"""Starts several processes of one run, and waits for them; for tests."""

import os
import socket
import subprocess
import sys
import time

from tests.paths import ROOT

MULTIHOST_PROGRAM = ('-m', 'experiments.main', '--multihost')
SMOKE_CONFIG = '--config=experiments/configs/digits.py:smoke'
_MAX_SECONDS = 60  # in which an error ends all processes


def find_free_port():
  """Finds a port that nothing uses."""
  with socket.socket() as free_socket:
    free_socket.bind(('localhost', 0))
    return free_socket.getsockname()[1]


def start_process(number, *arguments, port, num_processes=2, num_devices=4):
  """Starts one of several processes that know of one another.

  Args:
    number: number of this process, from 0.
    *arguments: arguments of the Python interpreter.
    port: port at which process 0 waits for the others.
    num_processes: number of processes of the run.
    num_devices: number of simulated devices of this process.
  """
  return subprocess.Popen(
    [sys.executable, *map(str, arguments)],
    cwd=ROOT,
    env={
      **os.environ,
      'JAX_NUM_CPU_DEVICES': str(num_devices),
      'JAX_COORDINATOR_ADDRESS': f'localhost:{port}',
      'JAX_NUM_PROCESSES': str(num_processes),
      'JAX_PROCESS_ID': str(number),
    },
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def start_pair(*arguments, num_devices=4):
  """Starts the same program in two processes."""
  port = find_free_port()
  return [
    start_process(number, *arguments, port=port, num_devices=num_devices)
    for number in range(2)
  ]


def patched_arguments(patch, *flags):
  """Makes the arguments of a multi-host training that runs a patch first.

  Args:
    patch: Python code that replaces some of the command's code; may be empty.
    *flags: flags of `dualgan train`.
  """
  program_lines = (
    patch,
    'import sys; from dualgan_jax.cli import main',
    'sys.exit(main.main(["train", *sys.argv[1:]]))',
  )
  return '-c', '\n'.join(program_lines), '--multihost', SMOKE_CONFIG, *flags


def wait_for_all(processes):
  """Waits for processes; returns their exit codes, stdouts and stderrs."""
  outputs = [process.communicate(timeout=300) for process in processes]
  exit_codes = [process.returncode for process in processes]
  return exit_codes, *zip(*outputs, strict=True)


def read_errors(processes, expected_codes):
  """Waits for processes that fail or stop, and returns the sentence of each.

  Args:
    processes: processes of one run.
    expected_codes: their exit codes; one of 0 has no sentence.
  """
  start = time.monotonic()
  exit_codes, _, stderrs = wait_for_all(processes)
  assert exit_codes == expected_codes, stderrs
  assert time.monotonic() - start < _MAX_SECONDS
  assert 'Traceback' not in ''.join(stderrs)
  error_lines = [
    [
      line
      for line in stderr.splitlines()
      if line.startswith('error: ') or 'stopped' in line
    ]
    for stderr in stderrs
  ]
  # A process that a signal has killed, with a code below 0, says nothing.
  has_error = [code > 0 for code in expected_codes]
  assert [len(lines) for lines in error_lines] == has_error, stderrs
  return [''.join(lines) for lines in error_lines]
