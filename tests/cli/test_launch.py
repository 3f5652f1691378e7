"""All commands: compiled programs, and signals before any training."""

import os
import signal
import subprocess
import sys

import pytest

from tests.paths import ROOT

_FLAGS = ('--config=experiments/configs/digits.py:smoke', '--stage=pretrain')
# Prints how often a program is compiled, and how often read from disk.
_COUNTING_PROGRAM = """
import collections, jax, sys
from dualgan_jax.cli import main
events = collections.Counter()
jax.monitoring.register_event_listener(
  lambda event, **_: events.update([event])
)
main.main(['train', *sys.argv[1:]])
prefix = '/jax/compilation_cache/cache_'
print(events[prefix + 'misses'], events[prefix + 'hits'])
"""


def _count_compilations(workdir, cache_root):
  """Trains a stage; returns cache misses and cache hits."""
  # The settings of the tests name a cache that they share.
  environment = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith('JAX_')
  }
  environment['XDG_CACHE_HOME'] = str(cache_root)
  process = subprocess.run(
    [sys.executable, '-c', _COUNTING_PROGRAM, *_FLAGS, f'--workdir={workdir}'],
    cwd=ROOT,
    env=environment,
    capture_output=True,
    text=True,
    check=False,
  )
  assert process.returncode == 0, process.stderr
  assert 'pretrain: done' in process.stderr
  assert 'arning' not in process.stderr
  return tuple(map(int, process.stdout.split()))


@pytest.mark.slow
def test_a_second_start_compiles_nothing(tmp_path):
  cache_root = tmp_path / 'cache'
  misses, hits = _count_compilations(tmp_path / 'first', cache_root)
  assert misses > 5
  cache_files = list((cache_root / 'dualgan_jax' / 'xla').glob('*-cache'))
  assert len(cache_files) == misses
  second_counts = _count_compilations(tmp_path / 'second', cache_root)
  assert second_counts == (0, misses + hits)


@pytest.mark.slow
def test_a_killed_process_does_not_keep_others_from_storing(tmp_path):
  cache_folder = tmp_path / 'cache' / 'dualgan_jax' / 'xla'
  cache_folder.mkdir(parents=True)
  # Killed before it wrote when the program was used.
  (cache_folder / 'jit_step-0123-cache').write_bytes(b'half a program')
  misses, _ = _count_compilations(tmp_path / 'run', tmp_path / 'cache')
  assert len(list(cache_folder.glob('*-cache'))) == misses


def test_a_command_runs_where_no_cache_can_be_written(tmp_path):
  (tmp_path / 'file').write_text('no folder')
  counts = _count_compilations(tmp_path / 'run', tmp_path / 'file')
  assert counts == (0, 0)


@pytest.mark.parametrize(
  ('signal_number', 'exit_code'), [(signal.SIGINT, 130), (signal.SIGTERM, 75)]
)
def test_a_signal_before_any_training_is_one_sentence(signal_number, exit_code):
  # What starts the tests in the background has SIGINT ignored.
  program = (
    'import os, signal, sys; '
    'from dualgan_jax.cli import experiment_flags, launch; '
    'signal.signal(signal.SIGINT, signal.default_int_handler); '
    'experiment_flags.parse(sys.argv); '
    f'launch.run(["x"], lambda: os.kill(os.getpid(), {signal_number.value}))'
  )
  process = subprocess.run(
    [sys.executable, '-c', program, *_FLAGS[:1], '--workdir=x'],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert process.returncode == exit_code
  assert process.stderr.startswith('stopped at once; the same command')
  assert len(process.stderr.splitlines()) == 1
