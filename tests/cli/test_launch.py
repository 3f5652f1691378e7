"""What all commands do before and around their work."""

import os
import signal
import subprocess
import sys

import pytest

from tests.paths import ROOT

_FLAGS = ('--config=experiments/configs/digits.py:smoke', '--stage=pretrain')
# Prints what is compiled anew, and what is read from disk.
_COUNTED = """
import collections, jax, sys
from dualgan_jax.cli import main
seen = collections.Counter()
jax.monitoring.register_event_listener(lambda event, **_: seen.update([event]))
main.main(['train', *sys.argv[1:]])
prefix = '/jax/compilation_cache/cache_'
print(seen[prefix + 'misses'], seen[prefix + 'hits'])
"""


def _counts(workdir, cache):
  environment = {**os.environ, 'XDG_CACHE_HOME': str(cache)}
  # ... but nothing of what the tests share.
  for name in [x for x in environment if x.startswith('JAX_')]:
    del environment[name]
  done = subprocess.run(
    [sys.executable, '-c', _COUNTED, *_FLAGS, f'--workdir={workdir}'],
    cwd=ROOT,
    env=environment,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  assert 'pretrain: done' in done.stderr
  assert 'arning' not in done.stderr
  return tuple(map(int, done.stdout.split()))


@pytest.mark.slow
def test_a_second_start_compiles_nothing(tmp_path):
  cache = tmp_path / 'cache'
  misses, hits = _counts(tmp_path / 'first', cache)
  assert misses > 5
  kept = list((cache / 'dualgan_jax' / 'xla').glob('*-cache'))
  assert len(kept) == misses
  assert _counts(tmp_path / 'second', cache) == (0, misses + hits)


def test_where_nothing_can_be_kept_it_runs_all_the_same(tmp_path):
  (tmp_path / 'file').write_text('no folder')
  assert _counts(tmp_path / 'run', tmp_path / 'file') == (0, 0)


@pytest.mark.parametrize(
  ('number', 'code'), [(signal.SIGINT, 130), (signal.SIGTERM, 75)]
)
def test_a_signal_before_any_training_is_one_sentence(number, code):
  # What starts the tests in the background has SIGINT ignored.
  program = (
    'import os, signal, sys; '
    'from dualgan_jax.cli import experiment_flags, launch; '
    'signal.signal(signal.SIGINT, signal.default_int_handler); '
    'experiment_flags.parse(sys.argv); '
    f'launch.call(["x"], lambda: os.kill(os.getpid(), {number.value}))'
  )
  done = subprocess.run(
    [sys.executable, '-c', program, *_FLAGS[:1], '--workdir=x'],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == code
  assert done.stderr.startswith('error: stopped at once; the same command')
  assert len(done.stderr.splitlines()) == 1
