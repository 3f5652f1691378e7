"""Two processes of four devices each are one of eight, and end together."""

import json
import os
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from dualgan_jax.experiment import workdir
from dualgan_jax.training import parallel, train_loop
from dualgan_jax.training.checkpoints import Checkpoints
from tests import processes, tiny
from tests.paths import ROOT


class _Nowhere:
  failure = None

  def write(self, *_):
    pass

  def write_image(self, *_):
    pass


def _phase():
  """One step of the generator; its optimiser's state is the gradient."""
  return tiny.generator_phase(tiny.keep_gradient())


def _train(folder):
  return train_loop.train(
    _phase(),
    jax.random.PRNGKey(0),
    parallel.choose_devices(),
    Checkpoints(folder),
    _Nowhere(),
    log_every=1,
    save_every=0,
    save_minutes=60.0,
  )


def _wait_for(file):
  while not (file.exists() and file.stat().st_size):
    time.sleep(0.05)


@pytest.mark.slow
def test_two_processes_take_the_step_of_one(tmp_path):
  code = (
    'import pathlib, sys; from dualgan_jax.multihost import cluster; '
    'cluster.connect(cluster.find()); '
    'from tests.experiment import test_multihost; '
    'test_multihost._train(pathlib.Path(sys.argv[1]))'
  )
  codes, _, errors = processes.wait_for_all(
    processes.start_pair('-c', code, tmp_path / 'c')
  )
  assert codes == [0, 0], errors
  # One process, of any number of devices, reads what two have written.
  phase = _phase()
  step, state, _ = Checkpoints(tmp_path / 'c').restore_newest(
    lambda: jax.eval_shape(phase.init, jax.random.PRNGKey(0))
  )
  assert step == phase.steps
  for devices in (1, 8):
    expected, _ = tiny.run(phase, devices=devices, steps=phase.steps)
    for part in ('params', 'opt_state', 'batch_stats'):
      jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5),
        getattr(state, part),
        getattr(expected, part),
      )


@pytest.mark.slow
def test_only_the_first_speaks_and_all_hear_a_signal(tmp_path):
  flags = [
    *processes.MULTIHOST_PROGRAM,
    processes.SMOKE_CONFIG,
    f'--workdir={tmp_path}/run',
    '--stage=pretrain',
    # Their clocks differ, and yet both save at the same steps.
    '--config.save_minutes=0.002',
  ]
  started = processes.start_pair(*flags, '--config.pretrain.steps=100000')
  for line in started[0].stderr:
    if 'pretrain/high: step' in line:
      started[1].terminate()  # a signal to one of them
      break
  codes, _, errors = processes.wait_for_all(started)
  assert codes == [75, 75], errors
  assert 'stopped and saved at step' in errors[0]
  # Nothing but why it leaves.
  (line,) = [line for line in errors[1].splitlines() if 'pretrain' in line]
  assert line.startswith('pretrain/high: stopped and saved')


@pytest.mark.slow
def test_a_whole_run_by_two_is_that_of_one(tmp_path):
  flags = [processes.SMOKE_CONFIG, '--config.baselines.enabled=False']
  codes, tables, errors = processes.wait_for_all(
    processes.start_pair(
      *processes.MULTIHOST_PROGRAM, *flags, f'--workdir={tmp_path}/two'
    )
  )
  assert codes == [0, 0], errors
  assert ['| model' in table for table in tables] == [True, False]
  process = subprocess.run(
    [
      *(sys.executable, '-m', 'experiments.main', *flags),
      f'--workdir={tmp_path}/one',
    ],
    cwd=ROOT,
    env={**os.environ, 'JAX_NUM_CPU_DEVICES': '8'},
    check=False,
  )
  assert process.returncode == 0
  one, two = (
    json.loads((tmp_path / name / 'results.json').read_text())
    for name in ('one', 'two')
  )
  # They add in another order, so a few images are answered otherwise.
  for model, metrics in one['metrics'].items():
    assert two['metrics'][model] == pytest.approx(metrics, abs=0.02), model
  for part in ('misfits', 'branch_points'):
    assert two[part] == pytest.approx(one[part], rel=1e-2)


@pytest.mark.slow
def test_what_the_first_refuses_ends_both(tmp_path):
  with workdir.Workdir(str(tmp_path)):  # only the first looks at the lock
    started = processes.start_pair(
      *processes.MULTIHOST_PROGRAM,
      processes.SMOKE_CONFIG,
      f'--workdir={tmp_path}',
      num_devices=1,
    )
    first, second = processes.read_errors(started, [2, 2])
  assert 'another process works in' in first
  assert 'error: multihost: process 0 on ' in second
  assert 'another process works in' in second


_NO_DATA = """
from dualgan_jax import errors
from dualgan_jax.experiment import real_data
def check(*_): raise errors.UserError('data.digits: there is nothing.')
real_data.check = check
"""


@pytest.mark.slow
@pytest.mark.parametrize('without', [0, 1])
def test_one_without_data_ends_both(tmp_path, without):
  port, flag = processes.find_free_port(), f'--workdir={tmp_path}/run'
  reasons = processes.read_errors(
    [
      processes.start_process(
        process_index,
        *processes.patched_arguments(
          _NO_DATA if process_index == without else '', flag
        ),
        port=port,
      )
      for process_index in range(2)
    ],
    [2, 2],
  )
  assert reasons[without] == 'error: data.digits: there is nothing.'
  assert f'process {without} on ' in reasons[1 - without]
  assert reasons[1 - without].endswith(
    'cannot go on: data.digits: there is nothing.'
  )


@pytest.mark.slow
def test_an_error_of_the_program_ends_both_too(tmp_path):
  port, flag = processes.find_free_port(), f'--workdir={tmp_path}/run'
  bug = (
    'from dualgan_jax.experiment import real_data; '
    'real_data.check = lambda *_: {}["bug"]'
  )
  codes, _, errors = processes.wait_for_all(
    [
      processes.start_process(
        process_index,
        *processes.patched_arguments(bug if process_index else '', flag),
        port=port,
      )
      for process_index in range(2)
    ]
  )
  assert codes == [3, 3], errors
  assert "cannot go on: KeyError: 'bug'" in errors[0]
  assert 'Traceback' in errors[1]


@pytest.mark.slow
@pytest.mark.parametrize('killed', [0, 1])
def test_a_killed_process_ends_the_other(tmp_path, killed):
  flags = [
    *processes.MULTIHOST_PROGRAM,
    processes.SMOKE_CONFIG,
    f'--workdir={tmp_path}',
    '--stage=pretrain',
  ]
  started = processes.start_pair(*flags, '--config.pretrain.steps=100000')
  _wait_for(tmp_path / 'pretrain' / 'metrics.jsonl')
  started[killed].kill()
  codes = [3, 3]
  codes[killed] = -9
  reasons = processes.read_errors(started, codes)
  assert f'process {killed} on ' in reasons[1 - killed]
  assert 'it was killed, or its machine is gone' in reasons[1 - killed]


@pytest.mark.slow
def test_a_signal_before_the_first_training_ends_both(tmp_path):
  port, flag = processes.find_free_port(), f'--workdir={tmp_path}/run'
  slow = 'from dualgan_jax.experiment import real_data; import time; '
  slow += 'real_data.check = lambda *_: (print(flush=True), time.sleep(60))'
  started = [
    processes.start_process(
      process_index,
      *processes.patched_arguments(slow if process_index else '', flag),
      port=port,
    )
    for process_index in range(2)
  ]
  for line in started[1].stdout:  # it reads its data
    if not line.strip():
      break
  started[1].terminate()
  first, second = processes.read_errors(started, [75, 75])
  assert 'stopped at once' in first
  assert second.startswith('stopped at once')


def test_alone_there_is_nothing_to_connect_to(tmp_path):
  done = subprocess.run(
    [
      sys.executable,
      *processes.MULTIHOST_PROGRAM,
      processes.SMOKE_CONFIG,
      f'--workdir={tmp_path}/run',
    ],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 2
  assert 'error: multihost: this process finds no others' in done.stderr
  assert 'Traceback' not in done.stderr
  assert not (tmp_path / 'run').exists()
