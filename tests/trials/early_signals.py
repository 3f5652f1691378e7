"""Stops commands soon after their start, and checks how they end.

    python -m tests.trials.early_signals

sends SIGINT or SIGTERM to each command at moments from its first imports on. It
must end with the documented code and one line, without a traceback, or have
done its work already. Prints what was tried and what failed.
"""

import argparse
import itertools
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from tests.paths import ROOT
from tests.student.test_student import write_toy

_EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 75}
# Seconds after the start; before, Python itself starts.
_DELAYS = (0.1, 0.3, 0.7, 1.5)
_CONFIG = '--config=experiments/configs/digits.py:smoke'


def make_commands(folder: pathlib.Path) -> dict[str, list[str]]:
  """Returns commands by name, without the interpreter.

  Args:
    folder: folder that they may use.
  """
  student = write_toy(folder / 'student')
  training_commands = {
    name: ['-m', f'experiments.{name}', _CONFIG, f'--workdir={folder}/{name}']
    for name in ('main', 'sweep')
  }
  return {
    **training_commands,
    'export': [
      *('-m', 'experiments.export', '--format=stablehlo'),
      f'--workdir={folder}',
    ],
    'dualgan': ['-m', 'dualgan_jax', 'info', str(student)],
  }


def find_fault(
  words: list[str], sent_signal: signal.Signals, delay: float
) -> str | None:
  """Starts a command and sends it a signal.

  Args:
    words: the command, without the interpreter.
    sent_signal: SIGINT or SIGTERM.
    delay: seconds from its start to the signal.

  Returns:
    What is wrong with its end, or None.
  """
  process = subprocess.Popen(
    [sys.executable, *words],
    cwd=ROOT,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    # What a shell starts in the background ignores SIGINT.
    preexec_fn=lambda: signal.signal(sent_signal, signal.SIG_DFL),
  )
  time.sleep(delay)
  process.send_signal(sent_signal)
  _, stderr = process.communicate(timeout=300)
  # In a training the run is saved first, and can go on.
  allowed_codes = (_EXIT_CODES[sent_signal], _EXIT_CODES[signal.SIGTERM], 0)
  error_lines = [line for line in stderr.splitlines() if 'stopped' in line]
  if process.returncode not in allowed_codes or 'Traceback' in stderr:
    return f'exit code {process.returncode}: {stderr[-500:]}'
  if process.returncode and len(error_lines) != 1:
    return f'not one sentence: {stderr[-500:]}'
  return None


def main() -> None:
  """Tries every command, signal and delay, and prints those that fail."""
  argparse.ArgumentParser(description=__doc__.partition('\n')[0]).parse_args()
  num_tried = num_failed = 0
  with tempfile.TemporaryDirectory() as folder_name:
    folder = pathlib.Path(folder_name)
    for (name, words), sent_signal, delay in itertools.product(
      make_commands(folder).items(), _EXIT_CODES, _DELAYS
    ):
      fault = find_fault(words, sent_signal, delay)
      num_tried += 1
      if fault:
        num_failed += 1
        moment = f'{sent_signal.name} after {delay} s'
        print(f'{name}, {moment}: {fault}', flush=True)
  print(f'{num_tried} early signals tried, {num_failed} failed.')
  sys.exit(num_failed > 0)


if __name__ == '__main__':
  main()
