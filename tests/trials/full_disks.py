"""Fills the disk under a run, at many moments, and sees how the run ends.

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
_SMALLEST, _LARGEST = 100, 4800
_TWICE = """
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
  """Whether this machine lets us make a small disk."""
  tried = ['unshare', '-rm', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']
  try:
    return subprocess.run(tried, capture_output=True).returncode == 0
  except OSError:
    return False


def fault(size: int) -> str | None:
  """Runs on a disk of `size` KiB, then on a larger one.

  Returns:
    What went wrong; None if both ended as they should.
  """
  with (
    tempfile.TemporaryDirectory() as disk,
    tempfile.TemporaryDirectory() as x,
  ):
    script = _TWICE.format(size=size, disk=disk, logs=x, python=sys.executable)
    done = subprocess.run(
      ['unshare', '-rm', 'bash', '-c', script],
      cwd=ROOT,
      capture_output=True,
      text=True,
      timeout=600,
      check=False,
    )
    full, roomy = (
      pathlib.Path(x, name).read_text() for name in ('full', 'roomy')
    )
  codes = done.stdout.split()
  if codes[0] != '3' or codes[1] != '0':
    return f'exit codes {codes}: {full[-500:]} {roomy[-500:]}'
  errors = [line for line in full.splitlines() if line.startswith('error: ')]
  if len(errors) != 1 or 'the disk is full' not in errors[0]:
    return f'no sentence of a full disk: {full[-500:]}'
  if 'Traceback' in full + roomy:
    return f'a traceback: {full[-500:]} {roomy[-500:]}'
  return None


def main() -> None:
  """Tries disks of random sizes, and reports."""
  parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
  parser.add_argument('--disks', type=int, default=24)
  parser.add_argument('--seed', type=int, default=0, help='of the sizes')
  arguments = parser.parse_args()
  sizes = random.Random(arguments.seed)
  failed = 0
  for _ in range(arguments.disks):
    size = sizes.randint(_SMALLEST, _LARGEST)
    problem = fault(size)
    failed += problem is not None
    print(f'{size} KiB: {problem or "as it should be"}', flush=True)
  print(f'{arguments.disks} full disks tried, {failed} failed.')
  sys.exit(failed > 0)


if __name__ == '__main__':
  main()
