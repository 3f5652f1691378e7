"""Ctrl-C and SIGTERM end a command with one line and a documented code."""

import signal
import subprocess
import sys

import pytest

# Modules that take long to import.
_HEAVY_MODULES = ('jax', 'numpy', 'absl', 'flax', 'argparse')
_PROGRAM = """
import time
from dualgan_jax.cli import signals
signals.exit_on_signals('stopped')
print('so far')
try:
  print('ready', file=__import__('sys').stderr, flush=True)
  time.sleep(60)
except BaseException:
  print('swallowed')
"""


@pytest.mark.parametrize(
  ('signal_number', 'exit_code'), [(signal.SIGINT, 130), (signal.SIGTERM, 75)]
)
def test_a_signal_is_one_line_and_a_code(signal_number, exit_code):
  with subprocess.Popen(
    [sys.executable, '-c', _PROGRAM],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  ) as process:
    assert process.stderr.readline() == 'ready\n'
    process.send_signal(signal_number)
    stdout, stderr = process.communicate()
  assert (stdout, stderr) == ('so far\n', 'stopped\n')
  assert process.returncode == exit_code


def test_a_signal_while_python_ends_works_after_a_second_call():
  program = (
    'import atexit, os, signal; from dualgan_jax.cli import signals; '
    'signals.exit_on_signals("stopped"); '
    'atexit.register(os.kill, os.getpid(), signal.SIGTERM); '
    'signals.exit_on_signals("stopped")'
  )
  process = subprocess.run([sys.executable, '-c', program], capture_output=True)
  assert (process.returncode, process.stderr) == (75, b'stopped\n')


def test_importing_it_imports_nothing_heavy():
  program = (
    'import sys; from dualgan_jax.cli import signals; '
    f'print([name for name in {_HEAVY_MODULES} if name in sys.modules])'
  )
  process = subprocess.run(
    [sys.executable, '-c', program], capture_output=True, text=True, check=True
  )
  assert process.stdout == '[]\n'
