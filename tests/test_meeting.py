"""Processes that do not fit together, or do not come, train nothing."""

import contextlib
import socket
import time

import pytest

from tests import processes

_IMPATIENT = 'from dualgan_jax import meeting; meeting._MEETING_SECONDS = 3'


@pytest.mark.slow
def test_all_that_came_say_who_did_not(tmp_path):
  port, arguments = (
    processes.free_port(),
    processes.patched(_IMPATIENT, f'--workdir={tmp_path}'),
  )
  started = [
    processes.start(number, *arguments, port=port, processes=3)
    for number in (0, 2)
  ]
  first, third = processes.reasons(started, [2, 2])
  assert first == third
  assert '2 of 3 processes came within 3 s' in first
  assert 'JAX_PROCESS_ID=1,' in first


@pytest.mark.slow
def test_the_first_did_not_come(tmp_path):
  port, arguments = (
    processes.free_port(),
    processes.patched(_IMPATIENT, f'--workdir={tmp_path}'),
  )
  (reason,) = processes.reasons(
    [processes.start(1, *arguments, port=port)], [2]
  )
  assert f'the first process did not answer at localhost:{port}' in reason


def test_a_port_in_use_is_said(tmp_path):
  with socket.create_server(('', 0)) as other:
    port = other.getsockname()[1]
    started = processes.start(
      0, *processes.MAIN, processes.SMOKE, f'--workdir={tmp_path}', port=port
    )
    (reason,) = processes.reasons([started], [2])
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
  port, flag = processes.free_port(), f'--workdir={tmp_path}/run'
  first, second = processes.reasons(
    [
      processes.start(0, *processes.patched('', flag), port=port),
      processes.start(1, *processes.patched(code, flag, *flags), port=port),
    ],
    [2, 2],
  )
  assert first == second
  assert 'process 1 on ' in first
  assert sentence in first
  assert not (tmp_path / 'run').exists()


@pytest.mark.slow
def test_other_numbers_of_devices_do_not_work_together(tmp_path):
  port, arguments = (
    processes.free_port(),
    (*processes.MAIN, processes.SMOKE, f'--workdir={tmp_path}/run'),
  )
  first, second = processes.reasons(
    [
      processes.start(x, *arguments, port=port, devices=4 >> x)
      for x in range(2)
    ],
    [2, 2],
  )
  assert first == second
  assert 'process 0 has 4 devices (cpu), but process 1 has 2' in first
  assert not (tmp_path / 'run').exists()


def test_a_signal_ends_the_wait_for_others(tmp_path):
  port = processes.free_port()
  started = processes.start(
    0, *processes.MAIN, processes.SMOKE, f'--workdir={tmp_path}', port=port
  )
  while True:  # it listens
    with (
      contextlib.suppress(OSError),
      socket.create_connection(('localhost', port)),
    ):
      break
    time.sleep(0.05)
  started.terminate()
  (reason,) = processes.reasons([started], [75])
  assert 'stopped at once' in reason
