"""Two processes of four devices each are one of eight, and one of one."""

import os
import pathlib
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from dualgan_jax import loop, parallel, workdir
from dualgan_jax.checkpoint import Checkpoints
from tests import tiny

_ROOT = pathlib.Path(__file__).parents[1]
_MAIN = ('-m', 'experiments.main', '--multihost')
_SMOKE = '--config=experiments/configs/digits.py:smoke'


class _Nowhere:
  def write(self, *_):
    pass


def _phase():
  """One step of the generator; its optimiser's state is the gradient."""
  return tiny.generator_phase(tiny.keep_gradient())


def _train(folder):
  return loop.train(
    _phase(),
    jax.random.PRNGKey(0),
    parallel.choose_devices(),
    Checkpoints(folder),
    _Nowhere(),
    log_every=1,
    save_every=100,
  )


def _together(*arguments, devices=4):
  """Starts the same program in processes that know of one another."""
  with socket.socket() as free:
    free.bind(('localhost', 0))
    address = f'localhost:{free.getsockname()[1]}'
  return [
    subprocess.Popen(
      [sys.executable, *map(str, arguments)],
      cwd=_ROOT,
      env={
        **os.environ,
        'JAX_NUM_CPU_DEVICES': str(devices),
        'JAX_COORDINATOR_ADDRESS': address,
        'JAX_NUM_PROCESSES': '2',
        'JAX_PROCESS_ID': str(number),
      },
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    for number in range(2)
  ]


def _ends(started):
  """Exit codes, what was printed, what was said on stderr."""
  said = [x.communicate(timeout=300) for x in started]
  return [x.returncode for x in started], *zip(*said, strict=True)


@pytest.mark.slow
def test_two_processes_take_the_step_of_one(tmp_path):
  code = (
    'import pathlib, sys; from dualgan_jax import parallel; '
    'parallel.connect(); from tests import test_multihost as own; '
    'own._train(pathlib.Path(sys.argv[1]))'
  )
  codes, _, said = _ends(_together('-c', code, tmp_path / 'c'))
  assert codes == [0, 0], said
  # One process, of any number of devices, reads what two have written.
  phase = _phase()
  step, state, _ = Checkpoints(tmp_path / 'c').newest(
    lambda: jax.eval_shape(phase.init, jax.random.PRNGKey(0))
  )
  assert step == phase.steps
  for devices in (1, 8):
    alone, _ = tiny.run(phase, devices=devices, steps=phase.steps)
    for part in ('params', 'opt_state', 'batch_stats'):
      jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5),
        getattr(state, part),
        getattr(alone, part),
      )


@pytest.mark.slow
def test_only_the_first_speaks_and_all_hear_a_signal(tmp_path):
  flags = [*_MAIN, _SMOKE, f'--workdir={tmp_path}/run', '--stage=pretrain']
  started = _together(*flags, '--config.pretrain.steps=100000')
  for line in started[0].stderr:
    if 'pretrain/high: step' in line:
      started[1].terminate()  # a signal to one of them
      break
  codes, _, said = _ends(started)
  assert codes == [75, 75], said
  assert 'stopped and saved at step' in said[0]
  # Nothing but why it leaves.
  (line,) = [x for x in said[1].splitlines() if 'pretrain' in x]
  assert line.startswith('error: pretrain/high: stopped and saved')


@pytest.mark.slow
def test_a_whole_run_by_two(tmp_path):
  codes, printed, said = _ends(
    _together(*_MAIN, _SMOKE, f'--workdir={tmp_path}/run', devices=1)
  )
  assert codes == [0, 0], said
  assert ['| model' in x for x in printed] == [True, False]
  assert (tmp_path / 'run' / 'results.json').exists()


@pytest.mark.slow
def test_what_the_first_refuses_ends_both(tmp_path):
  with workdir.Workdir(str(tmp_path)):  # the first alone looks at the lock
    started = _together(*_MAIN, _SMOKE, f'--workdir={tmp_path}', devices=1)
    codes, _, said = _ends(started)
  assert codes == [2, 2], said
  assert 'another process works in' in said[0]
  assert 'error: multihost: the first process cannot go on' in said[1]
  assert 'Traceback' not in said[0] + said[1]


def test_alone_there_is_nothing_to_connect_to(tmp_path):
  done = subprocess.run(
    [sys.executable, *_MAIN, _SMOKE, f'--workdir={tmp_path}/run'],
    cwd=_ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 2
  assert 'error: multihost: this process finds no others' in done.stderr
  assert 'Traceback' not in done.stderr
  assert not (tmp_path / 'run').exists()
