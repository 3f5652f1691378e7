"""Stops commands soon after their start, and sees how they end.

    python -m tests.trials.early_signals

sends SIGINT or SIGTERM to each command at moments from its first imports on. It
must end with the documented code and one line, without a traceback, or have
done its work already. Prints what was tried and what failed.
"""

import itertools
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from tests.paths import ROOT
from tests.student.test_student import write_toy

_CODES = {signal.SIGINT: 130, signal.SIGTERM: 75}
# Seconds; what comes before is Python's own start.
_MOMENTS = (0.1, 0.3, 0.7, 1.5)
_CONFIG = '--config=experiments/configs/digits.py:smoke'


def commands(folder: pathlib.Path) -> dict[str, list[str]]:
  """Commands by name, without the interpreter; they may use `folder`."""
  student = write_toy(folder / 'student')
  runs = {
    name: ['-m', f'experiments.{name}', _CONFIG, f'--workdir={folder}/{name}']
    for name in ('main', 'sweep')
  }
  return {
    **runs,
    'export': [
      *('-m', 'experiments.export', '--format=stablehlo'),
      f'--workdir={folder}',
    ],
    'dualgan': ['-m', 'dualgan_jax', 'info', str(student)],
  }


def fault(
  words: list[str], number: signal.Signals, moment: float
) -> str | None:
  """Starts a command and signals it; says what is wrong with its end."""
  process = subprocess.Popen(
    [sys.executable, *words],
    cwd=ROOT,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    # What a shell starts in the background ignores SIGINT.
    preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
  )
  time.sleep(moment)
  process.send_signal(number)
  _, stderr = process.communicate(timeout=300)
  # In a training the run is saved first, and can go on.
  codes = (_CODES[number], _CODES[signal.SIGTERM], 0)
  errors = [line for line in stderr.splitlines() if 'error: ' in line]
  if process.returncode not in codes or 'Traceback' in stderr:
    return f'exit code {process.returncode}: {stderr[-500:]}'
  if process.returncode and len(errors) != 1:
    return f'not one sentence: {stderr[-500:]}'
  return None


def main() -> None:
  """Tries every command, signal and moment, and reports."""
  tried = failed = 0
  with tempfile.TemporaryDirectory() as place:
    folder = pathlib.Path(place)
    for (name, words), number, moment in itertools.product(
      commands(folder).items(), _CODES, _MOMENTS
    ):
      problem = fault(words, number, moment)
      tried += 1
      if problem:
        failed += 1
        print(f'{name}, {number.name} after {moment} s: {problem}', flush=True)
  print(f'{tried} early signals tried, {failed} failed.')
  sys.exit(failed > 0)


if __name__ == '__main__':
  main()
