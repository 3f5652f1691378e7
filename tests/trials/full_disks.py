"""Fills the disk under a run, at any moment, and checks how the run ends.

    python -m tests.trials.full_disks [--disks=24] [--seed=0]

runs the digits experiment's `:smoke` on a disk that is too small (a tmpfs in a
mount namespace of its own, so Linux only, and root is not needed), makes room
and gives the same command again. The first must end with exit code 3 and one
sentence, the second with 0. Prints what was tried and what failed.
"""

import argparse
import pathlib
import random
import subprocess
import sys
import tempfile

from tests.paths import ROOT

# KiB: less holds no checkpoint of the first teacher, more holds the whole run.
_MIN_SIZE, _MAX_SIZE = 100, 4800
_TWO_STARTS = """
mount -t tmpfs -o size={size}k tmpfs {disk}
command=({python} -m experiments.main --workdir={disk}/run
  --config=experiments/configs/digits.py:smoke)
"${{command[@]}}" > /dev/null 2> {logs}/full
echo $?
mount -o remount,size=64m {disk}
"${{command[@]}}" > /dev/null 2> {logs}/roomy
echo $?
"""


def is_possible() -> bool:
  """Returns whether this machine lets us make a small disk."""
  command = ['unshare', '-rm', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']
  try:
    return subprocess.run(command, capture_output=True).returncode == 0
  except OSError:
    return False


def find_fault(size: int) -> str | None:
  """Starts a run on a small disk, then resumes it on a larger one.

  Args:
    size: size of the small disk in KiB.

  Returns:
    What is wrong with how the two starts ended, or None.
  """
  with (
    tempfile.TemporaryDirectory() as disk,
    tempfile.TemporaryDirectory() as logs,
  ):
    script = _TWO_STARTS.format(
      size=size, disk=disk, logs=logs, python=sys.executable
    )
    process = subprocess.run(
      ['unshare', '-rm', 'bash', '-c', script],
      cwd=ROOT,
      capture_output=True,
      text=True,
      timeout=600,
      check=False,
    )
    first_stderr, second_stderr = (
      pathlib.Path(logs, name).read_text() for name in ('full', 'roomy')
    )
  last_words = f'{first_stderr[-500:]} {second_stderr[-500:]}'
  exit_codes = process.stdout.split()
  if exit_codes != ['3', '0']:
    return f'exit codes {exit_codes}: {last_words}'
  error_lines = [
    line for line in first_stderr.splitlines() if line.startswith('error: ')
  ]
  if len(error_lines) != 1 or 'the disk is full' not in error_lines[0]:
    return f'no sentence of a full disk: {first_stderr[-500:]}'
  if 'Traceback' in first_stderr + second_stderr:
    return f'a traceback: {last_words}'
  return None


def main() -> None:
  """Tries disks of random sizes, and prints how the runs ended."""
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('--disks', type=int, default=24)
  parser.add_argument('--seed', type=int, default=0, help='of the sizes')
  arguments = parser.parse_args()
  random_sizes = random.Random(arguments.seed)
  num_failed = 0
  for _ in range(arguments.disks):
    size = random_sizes.randint(_MIN_SIZE, _MAX_SIZE)
    fault = find_fault(size)
    num_failed += fault is not None
    print(f'{size} KiB: {fault or "as it should be"}', flush=True)
  print(f'{arguments.disks} full disks tried, {num_failed} failed.')
  sys.exit(num_failed > 0)


if __name__ == '__main__':
  main()
