"""Two processes of four devices each are one of eight, and end together."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

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


def _free_port():
  with socket.socket() as free:
    free.bind(('localhost', 0))
    return free.getsockname()[1]


def _start(number, *arguments, port, processes=2, devices=4):
  """Starts one of several processes that know of one another."""
  return subprocess.Popen(
    [sys.executable, *map(str, arguments)],
    cwd=_ROOT,
    env={
      **os.environ,
      'JAX_NUM_CPU_DEVICES': str(devices),
      'JAX_COORDINATOR_ADDRESS': f'localhost:{port}',
      'JAX_NUM_PROCESSES': str(processes),
      'JAX_PROCESS_ID': str(number),
    },
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def _together(*arguments, devices=4):
  """Starts the same program in two processes."""
  port = _free_port()
  return [
    _start(number, *arguments, port=port, devices=devices)
    for number in range(2)
  ]


def _patched(code, *flags):
  """The arguments of the command with some of its code replaced."""
  lines = (
    code,
    'from absl import app; from experiments import cli, main',
    'app.run(main.main, flags_parser=cli.parse)',
  )
  return '-c', '\n'.join(lines), '--multihost', _SMOKE, *flags


def _ends(started):
  """Exit codes, what was printed, what was said on stderr."""
  said = [x.communicate(timeout=300) for x in started]
  return [x.returncode for x in started], *zip(*said, strict=True)


def _reasons(started, codes):
  """The one sentence of each process, which ends with its code in time."""
  began = time.monotonic()
  actual, _, said = _ends(started)
  assert actual == codes, said
  assert time.monotonic() - began < 60
  assert 'Traceback' not in ''.join(said)
  lines = [
    [x for x in text.splitlines() if x.startswith('error: ')] for text in said
  ]
  assert [len(x) for x in lines] == [bool(code > 0) for code in codes], said
  return [''.join(x) for x in lines]


def _wait_for(file):
  while not (file.exists() and file.stat().st_size):
    time.sleep(0.05)


@pytest.mark.slow
def test_two_processes_take_the_step_of_one(tmp_path):
  code = (
    'import pathlib, sys; from dualgan_jax import parallel; '
    'parallel.connect(parallel.find_cluster()); '
    'from tests import test_multihost; '
    'test_multihost._train(pathlib.Path(sys.argv[1]))'
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
def test_a_whole_run_by_two_is_that_of_one(tmp_path):
  flags = [_SMOKE, '--config.baselines.steps=0']
  codes, printed, said = _ends(
    _together(*_MAIN, *flags, f'--workdir={tmp_path}/two')
  )
  assert codes == [0, 0], said
  assert ['| model' in x for x in printed] == [True, False]
  alone = subprocess.run(
    [
      *(sys.executable, '-m', 'experiments.main', *flags),
      f'--workdir={tmp_path}/one',
    ],
    cwd=_ROOT,
    env={**os.environ, 'JAX_NUM_CPU_DEVICES': '8'},
    check=False,
  )
  assert alone.returncode == 0
  one, two = (
    json.loads((tmp_path / x / 'results.json').read_text())
    for x in ('one', 'two')
  )
  # They add in another order, so a few images are answered otherwise.
  for model, metrics in one['metrics'].items():
    assert two['metrics'][model] == pytest.approx(metrics, abs=0.02), model
  for part in ('misfits', 'branch_points'):
    assert two[part] == pytest.approx(one[part], rel=1e-2)


@pytest.mark.slow
def test_what_the_first_refuses_ends_both(tmp_path):
  with workdir.Workdir(str(tmp_path)):  # the first alone looks at the lock
    started = _together(*_MAIN, _SMOKE, f'--workdir={tmp_path}', devices=1)
    first, second = _reasons(started, [2, 2])
  assert 'another process works in' in first
  assert 'error: multihost: process 0 on ' in second
  assert 'another process works in' in second


_NO_DATA = """
from dualgan_jax import errors, real
def load(*_): raise errors.UserError('data.digits: there is nothing.')
real.load = load
"""


@pytest.mark.slow
@pytest.mark.parametrize('without', [0, 1])
def test_one_without_data_ends_both(tmp_path, without):
  port, flag = _free_port(), f'--workdir={tmp_path}/run'
  reasons = _reasons(
    [
      _start(x, *_patched(_NO_DATA if x == without else '', flag), port=port)
      for x in range(2)
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
  port, flag = _free_port(), f'--workdir={tmp_path}/run'
  bug = 'from dualgan_jax import real; real.load = lambda *_: {}["bug"]'
  codes, _, said = _ends(
    [_start(x, *_patched(bug if x else '', flag), port=port) for x in range(2)]
  )
  assert codes == [3, 3], said
  assert "cannot go on: KeyError: 'bug'" in said[0]
  assert 'Traceback' in said[1]


@pytest.mark.slow
@pytest.mark.parametrize('killed', [0, 1])
def test_a_killed_process_ends_the_other(tmp_path, killed):
  flags = [*_MAIN, _SMOKE, f'--workdir={tmp_path}', '--stage=pretrain']
  started = _together(*flags, '--config.pretrain.steps=100000')
  _wait_for(tmp_path / 'pretrain' / 'metrics.jsonl')
  started[killed].kill()
  codes = [3, 3]
  codes[killed] = -9
  reasons = _reasons(started, codes)
  assert f'process {killed} on ' in reasons[1 - killed]
  assert 'it was killed, or its machine is gone' in reasons[1 - killed]


_IMPATIENT = 'from dualgan_jax import peers; peers._MEETING_SECONDS = 3'


@pytest.mark.slow
def test_all_that_came_say_who_did_not(tmp_path):
  port, arguments = _free_port(), _patched(_IMPATIENT, f'--workdir={tmp_path}')
  started = [
    _start(number, *arguments, port=port, processes=3) for number in (0, 2)
  ]
  first, third = _reasons(started, [2, 2])
  assert first == third
  assert '2 of 3 processes came within 3 s' in first
  assert 'JAX_PROCESS_ID=1,' in first


@pytest.mark.slow
def test_the_first_did_not_come(tmp_path):
  port, arguments = _free_port(), _patched(_IMPATIENT, f'--workdir={tmp_path}')
  (reason,) = _reasons([_start(1, *arguments, port=port)], [2])
  assert f'the first process did not answer at localhost:{port}' in reason


def test_a_port_in_use_is_said(tmp_path):
  with socket.create_server(('', 0)) as other:
    port = other.getsockname()[1]
    started = _start(0, *_MAIN, _SMOKE, f'--workdir={tmp_path}', port=port)
    (reason,) = _reasons([started], [2])
  assert f'port {port} of this machine cannot be used' in reason
  assert 'in use' in reason


@pytest.mark.slow
@pytest.mark.parametrize(
  ('code', 'flags', 'sentence'),
  [
    ('', ['--config.seed=7'], '--config.seed (7 and 0)'),
    ('', ['--stage=generator'], '--stage (generator and None)'),
    (
      'import importlib.metadata as own; own.version = lambda name: "0.1"',
      [],
      ' jax (0.1 and ',
    ),
    (
      'import pathlib; own = pathlib.Path.read_bytes; '
      'pathlib.Path.read_bytes = lambda x: own(x) + b"#"',
      [],
      'the code of dualgan_jax (',
    ),
  ],
  ids=['config', 'stage', 'versions', 'code'],
)
def test_other_commands_do_not_work_together(tmp_path, code, flags, sentence):
  port, flag = _free_port(), f'--workdir={tmp_path}/run'
  first, second = _reasons(
    [
      _start(0, *_patched('', flag), port=port),
      _start(1, *_patched(code, flag, *flags), port=port),
    ],
    [2, 2],
  )
  assert first == second
  assert 'process 1 on ' in first
  assert sentence in first
  assert not (tmp_path / 'run').exists()


@pytest.mark.slow
def test_other_numbers_of_devices_do_not_work_together(tmp_path):
  port, arguments = _free_port(), (*_MAIN, _SMOKE, f'--workdir={tmp_path}/run')
  first, second = _reasons(
    [_start(x, *arguments, port=port, devices=4 >> x) for x in range(2)], [2, 2]
  )
  assert first == second
  assert 'process 0 has 4 devices (cpu), but process 1 has 2' in first
  assert not (tmp_path / 'run').exists()


@pytest.mark.slow
def test_a_signal_before_the_first_training_ends_both(tmp_path):
  port, flag = _free_port(), f'--workdir={tmp_path}/run'
  slow = 'from dualgan_jax import real; import time; '
  slow += 'real.load = lambda *_: (print(flush=True), time.sleep(60))'
  started = [
    _start(x, *_patched(slow if x else '', flag), port=port) for x in range(2)
  ]
  for line in started[1].stdout:  # it reads its data
    if not line.strip():
      break
  started[1].terminate()
  first, second = _reasons(started, [75, 75])
  assert 'stopped at once' in first
  assert second.startswith('error: stopped at once')


def test_a_signal_ends_the_wait_for_others(tmp_path):
  port = _free_port()
  started = _start(0, *_MAIN, _SMOKE, f'--workdir={tmp_path}', port=port)
  while True:  # it listens
    with (
      contextlib.suppress(OSError),
      socket.create_connection(('localhost', port)),
    ):
      break
    time.sleep(0.05)
  started.terminate()
  (reason,) = _reasons([started], [75])
  assert 'stopped at once' in reason


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
