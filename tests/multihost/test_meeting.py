"""Processes that do not fit together, or do not come, train nothing."""

import contextlib
import json
import socket
import time
from concurrent import futures

import pytest

from dualgan_jax.errors import UserError
from dualgan_jax.multihost import meeting
from dualgan_jax.multihost.cluster import Cluster
from tests import processes

_IMPATIENT = (
  'from dualgan_jax.multihost import meeting; meeting._MEETING_SECONDS = 3'
)


@pytest.mark.slow
def test_a_missing_process_is_named_by_all_others(tmp_path):
  port, arguments = (
    processes.find_free_port(),
    processes.patched_arguments(_IMPATIENT, f'--workdir={tmp_path}'),
  )
  started = [
    processes.start_process(number, *arguments, port=port, num_processes=3)
    for number in (0, 2)
  ]
  first, third = processes.read_errors(started, [2, 2])
  assert first == third
  assert '2 of 3 processes came within 3 s' in first
  assert 'JAX_PROCESS_ID=1,' in first


@pytest.mark.slow
def test_the_first_did_not_come(tmp_path):
  port, arguments = (
    processes.find_free_port(),
    processes.patched_arguments(_IMPATIENT, f'--workdir={tmp_path}'),
  )
  (reason,) = processes.read_errors(
    [processes.start_process(1, *arguments, port=port)], [2]
  )
  assert f'the first process did not answer at localhost:{port}' in reason


def test_a_port_in_use_is_named(tmp_path):
  with socket.create_server(('', 0)) as busy_socket:
    port = busy_socket.getsockname()[1]
    started = processes.start_process(
      0,
      *processes.MULTIHOST_PROGRAM,
      processes.SMOKE_CONFIG,
      f'--workdir={tmp_path}',
      port=port,
    )
    (reason,) = processes.read_errors([started], [2])
  assert f'port {port} of this machine cannot be used' in reason
  assert 'in use' in reason


@pytest.mark.slow
@pytest.mark.parametrize(
  ('code', 'flags', 'sentence'),
  [
    ('', ['--config.seed=7'], '--config.seed (7 and 0)'),
    ('', ['--stage=generator'], '--stage (generator and None)'),
    (
      'import importlib.metadata as data; data.version = lambda name: "0.1"',
      [],
      ' jax (0.1 and ',
    ),
    (
      'import pathlib; read_bytes = pathlib.Path.read_bytes; '
      'pathlib.Path.read_bytes = lambda path: read_bytes(path) + b"#"',
      [],
      'the code of dualgan_jax (',
    ),
  ],
  ids=['config', 'stage', 'versions', 'code'],
)
def test_different_commands_are_refused(tmp_path, code, flags, sentence):
  port, flag = processes.find_free_port(), f'--workdir={tmp_path}/run'
  first, second = processes.read_errors(
    [
      processes.start_process(
        0, *processes.patched_arguments('', flag), port=port
      ),
      processes.start_process(
        1, *processes.patched_arguments(code, flag, *flags), port=port
      ),
    ],
    [2, 2],
  )
  assert first == second
  assert 'process 1 on ' in first
  assert sentence in first
  assert not (tmp_path / 'run').exists()


@pytest.mark.slow
def test_different_numbers_of_devices_are_refused(tmp_path):
  port, arguments = (
    processes.find_free_port(),
    (
      *processes.MULTIHOST_PROGRAM,
      processes.SMOKE_CONFIG,
      f'--workdir={tmp_path}/run',
    ),
  )
  first, second = processes.read_errors(
    [
      processes.start_process(
        number, *arguments, port=port, num_devices=4 >> number
      )
      for number in range(2)
    ],
    [2, 2],
  )
  assert first == second
  assert 'process 0 has 4 devices (cpu), but process 1 has 2' in first
  assert not (tmp_path / 'run').exists()


@pytest.fixture
def port(monkeypatch):
  """A free port; connections to it are closed in the end."""
  monkeypatch.setattr(meeting, '_MEETING_SECONDS', 20)
  connections, from_socket = [], meeting.Connection.from_socket

  def from_socket_recorded(connected_socket):
    connections.append(from_socket(connected_socket))
    return connections[-1]

  monkeypatch.setattr(meeting.Connection, 'from_socket', from_socket_recorded)
  yield processes.find_free_port()
  for connection in connections:
    connection.reader.close()
    connection.socket.close()


def _meet(port, number, num_processes=2):
  cluster = Cluster(f'localhost:{port}', num_processes, number)
  connections = meeting.meet(cluster, {'--config.seed': '0'})
  return [connection.name for connection in connections]


def _greet(port, greeting_bytes):
  """Sends bytes to the first process; returns once it closes or answers."""
  while True:
    with (
      contextlib.suppress(ConnectionRefusedError),
      socket.create_connection(('localhost', port), 10) as stranger,
    ):
      stranger.sendall(greeting_bytes + b'\n')
      with contextlib.suppress(ConnectionResetError):
        return stranger.recv(1000)
      return b''
    time.sleep(0.02)


def _greeting(**changes):
  facts = {'--config.seed': '0', 'JAX_NUM_PROCESSES': '2'}
  greeting = {'process_id': 1, 'name': 'stranger', 'facts': facts, **changes}
  return json.dumps(greeting).encode()


_STRANGERS = {
  'a list as number': _greeting(process_id=[]),
  'true as number': _greeting(process_id=True),
  'a fraction as number': _greeting(process_id=1.0),
  'a number beyond all': _greeting(process_id=7),
  'the number of the first': _greeting(process_id=0),
  'a negative number': _greeting(process_id=-1),
  'a list as name': _greeting(name=[]),
  'a text as facts': _greeting(facts='none'),
  'infinitely many processes': _greeting(
    facts={'JAX_NUM_PROCESSES': float('inf')}
  ),
  'many levels': b'[' * 100_000,
}


@pytest.mark.parametrize('stranger', _STRANGERS)
def test_strangers_do_not_count(port, stranger):
  with futures.ThreadPoolExecutor(2) as pool:
    first = pool.submit(_meet, port, 0)
    assert _greet(port, _STRANGERS[stranger]) == b''
    second = pool.submit(_meet, port, 1)
    assert [name[:9] for name in first.result()] == ['process 1']
    assert [name[:9] for name in second.result()] == ['process 0']


@pytest.mark.parametrize(('number', 'num_processes'), [(1, 3), (2, 3)])
def test_another_number_of_processes_is_named(port, number, num_processes):
  with futures.ThreadPoolExecutor(2) as pool:
    results = [
      pool.submit(_meet, port, 0),
      pool.submit(_meet, port, number, num_processes),
    ]
    for result in results:
      with pytest.raises(UserError, match=r'in JAX_NUM_PROCESSES \(3 and 2\);'):
        result.result()


def test_a_signal_ends_the_wait_for_others(tmp_path):
  port = processes.find_free_port()
  started = processes.start_process(
    0,
    *processes.MULTIHOST_PROGRAM,
    processes.SMOKE_CONFIG,
    f'--workdir={tmp_path}',
    port=port,
  )
  while True:  # it listens
    with (
      contextlib.suppress(OSError),
      socket.create_connection(('localhost', port)),
    ):
      break
    time.sleep(0.05)
  started.terminate()
  (reason,) = processes.read_errors([started], [75])
  assert 'stopped at once' in reason
