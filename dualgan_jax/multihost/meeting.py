"""The processes of one run meet before JAX connects them.

The first process waits until all have come, compares the code, packages and
config that each reports with its own, and lets all continue or none. They meet
on the port of JAX's coordinator, which the first process then leaves to JAX;
the connections stay open, for `peers`.
"""

import contextlib
import dataclasses
import json
import os
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any, TextIO

from dualgan_jax.errors import TrainingError, UserError, first_line
from dualgan_jax.multihost.cluster import Cluster

# Within so many seconds all must have come, and each must have said its name.
_MEETING_SECONDS = 45
_GREETING_SECONDS = 5
_RETRY_SECONDS = 0.2
# A message of ours is one line, and never longer.
_MAX_MESSAGE_BYTES = 2**20
# The system probes an idle connection after 10 s, and again every 5 s: a
# machine that has not answered after 30 s is gone.
_KEEPALIVE_OPTIONS = {
  'TCP_KEEPIDLE': 10,
  'TCP_KEEPINTVL': 5,
  'TCP_KEEPCNT': 4,
}
_MAX_SHOWN_DIFFERENCES = 5
_NUM_PROCESSES_FACT = 'JAX_NUM_PROCESSES'
# A message that no process of a run has sent can raise any of these.
_INVALID_GREETING = (
  *(ValueError, LookupError, AttributeError, TypeError),
  *(OverflowError, RecursionError),
)


@dataclasses.dataclass
class Connection:
  """The connection to one other process.

  Attributes:
    name: of that process, for messages.
    socket: connected.
    reader: reads the socket's lines.
    finished: set when that process has finished its work.
    closed: set when no more messages can come from that process.
  """

  name: str
  socket: socket.socket
  reader: TextIO
  finished: threading.Event = dataclasses.field(default_factory=threading.Event)
  closed: threading.Event = dataclasses.field(default_factory=threading.Event)

  @classmethod
  def from_socket(cls, connected_socket: socket.socket) -> 'Connection':
    """Makes a connection to a process that has not said its name yet."""
    connected_socket.settimeout(_GREETING_SECONDS)
    connected_socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option_name, value in _KEEPALIVE_OPTIONS.items():
      if hasattr(socket, option_name):  # Linux has them all
        option = getattr(socket, option_name)
        connected_socket.setsockopt(socket.IPPROTO_TCP, option, value)
    reader = connected_socket.makefile('r', encoding='utf-8')
    return cls('', connected_socket, reader)

  def send(self, **message: Any) -> None:
    """Sends one message, if the other process is still there."""
    with contextlib.suppress(OSError):
      self.socket.sendall(json.dumps(message).encode() + b'\n')

  def receive(self) -> dict[str, Any]:
    """Waits for one message.

    Raises:
      OSError: the connection is closed, or its timeout is over.
      ValueError: it is no message of ours.
    """
    message = json.loads(self.reader.readline(_MAX_MESSAGE_BYTES))
    if not isinstance(message, dict):
      raise ValueError('no message of ours')
    return message

  def is_closed(self) -> bool:
    """Returns whether a process that has no message to send yet has ended."""
    peek_flags = socket.MSG_PEEK | socket.MSG_DONTWAIT
    try:
      return not self.socket.recv(1, peek_flags)
    except BlockingIOError:
      return False
    except OSError:
      return True


def meet(cluster: Cluster, facts: Mapping[str, str]) -> list[Connection]:
  """Waits until all processes have come, and checks that they fit together.

  Args:
    cluster: where they meet, and which of them this is.
    facts: by name, values that must be the same in all processes.

  Returns:
    In the first process, the connections to all others; in another process, the
    connection to the first.

  Raises:
    UserError: some did not come, or are not the same; all processes that came
      raise it.
    TrainingError: the first process ended while it waited for others.
  """
  facts = {**facts, _NUM_PROCESSES_FACT: str(cluster.num_processes)}
  if cluster.process_id:
    return [_join_first(cluster, facts)]
  return _gather_processes(cluster, facts)


def _gather_processes(
  cluster: Cluster, facts: dict[str, str]
) -> list[Connection]:
  """Waits, in the first process, for all others, and sends them the verdict.

  Raises:
    UserError: some did not come, or are not the same.
  """
  arrived, same_number, names_by_difference = {}, [], {}
  deadline = time.monotonic() + _MEETING_SECONDS
  with _open_server(cluster) as server:
    while len(arrived) + 1 < cluster.num_processes and not same_number:
      server.settimeout(max(deadline - time.monotonic(), 0.001))
      try:
        connection = Connection.from_socket(server.accept()[0])
      except TimeoutError:
        break
      try:
        process_id, connection.name, their_facts = _receive_greeting(
          connection, facts
        )
        difference = _describe_difference(their_facts, facts)
      except (*_INVALID_GREETING, OSError):
        # A stranger; the socket stays open for as long as its reader is.
        connection.reader.close()
        connection.socket.close()
        continue
      connection.send(name=cluster.name)
      # One that was killed and started again takes the old one's place.
      if process_id in arrived and not arrived[process_id].is_closed():
        same_number = [connection, arrived[process_id]]
        continue
      arrived[process_id] = connection
      if difference:
        names_by_difference.setdefault(difference, []).append(connection.name)

  # All that came hear the verdict, good or bad.
  problem = _find_problem(cluster, [*arrived], same_number, names_by_difference)
  exit_code = UserError.exit_code if problem else 0
  for connection in (*arrived.values(), *same_number[:1]):
    connection.send(sentence=problem, code=exit_code)
  if problem:
    raise UserError(problem)
  return [*arrived.values()]


def _receive_greeting(
  connection: Connection, facts: dict[str, str]
) -> tuple[int, str, dict[str, str]]:
  """Receives the number, name and facts of another process.

  Raises:
    OSError: none comes.
    One of `_INVALID_GREETING`: it is from no process of a run.
  """
  greeting = connection.receive()
  process_id, name, their_facts = (
    greeting[key] for key in ('process_id', 'name', 'facts')
  )
  # Of a run of more processes, the number may be too large for this one: that
  # is a difference to be named. Other versions do not send the fact.
  num_processes = int(
    their_facts.get(_NUM_PROCESSES_FACT, facts[_NUM_PROCESSES_FACT])
  )
  # `type`, since True is an int, too.
  if type(process_id) is not int or not 0 < process_id < num_processes:
    raise ValueError('no number of another process')
  if not isinstance(name, str):
    raise TypeError('no name')
  return process_id, name, their_facts


def _find_problem(
  cluster: Cluster,
  arrived_ids: list[int],
  same_number: list[Connection],
  names_by_difference: dict[str, list[str]],
) -> str:
  """Describes why the processes that came cannot work together.

  Args:
    cluster: of the first process.
    arrived_ids: the numbers of the others that came.
    same_number: two processes that came with the same number, if any.
    names_by_difference: the names of processes that differ from the first.

  Returns:
    A sentence for all of them; '' if they can work together.
  """
  if same_number:
    names = ' and '.join(connection.name for connection in same_number)
    return (
      f'multihost: {names} have the same number; '
      'JAX_PROCESS_ID has to be another for each process.'
    )
  # One difference is enough for a sentence.
  for difference, process_names in names_by_difference.items():
    return (
      f'multihost: {", ".join([*process_names, cluster.name])} differ in '
      f'{difference}; start the same command with the same code and packages '
      'on all hosts.'
    )
  missing_ids = sorted({*range(1, cluster.num_processes)} - {*arrived_ids})
  if missing_ids:
    return (
      f'multihost: {len(arrived_ids) + 1} of {cluster.num_processes} processes '
      f'came within {_MEETING_SECONDS} s; start the same command with '
      f'JAX_PROCESS_ID={", ".join(map(str, missing_ids))}, too.'
    )
  return ''


def _open_server(cluster: Cluster) -> socket.socket:
  """Listens on the coordinator's port, for IPv4 and, where possible, IPv6.

  Raises:
    UserError: the port cannot be used.
  """
  _, port = cluster.host_and_port()
  has_both_families = socket.has_dualstack_ipv6()
  try:
    return socket.create_server(
      ('', port),
      family=socket.AF_INET6 if has_both_families else socket.AF_INET,
      backlog=cluster.num_processes,
      dualstack_ipv6=has_both_families,
    )
  except OSError as error:
    raise UserError(
      f'multihost: port {port} of this machine cannot be used '
      f'({os.strerror(error.errno)}); stop what uses it, perhaps an earlier '
      'run, or set another port in JAX_COORDINATOR_ADDRESS on all hosts.'
    ) from error


def _join_first(cluster: Cluster, facts: dict[str, str]) -> Connection:
  """Connects to the first process, and waits for its verdict.

  Raises:
    UserError: the first process did not come, or its verdict is bad.
    TrainingError: it ended before its verdict.
  """
  deadline = time.monotonic() + _MEETING_SECONDS
  while True:
    try:
      connection = Connection.from_socket(
        socket.create_connection(cluster.host_and_port(), _GREETING_SECONDS)
      )
      connection.send(
        process_id=cluster.process_id, name=cluster.name, facts=facts
      )
      connection.name = connection.receive()['name']
      break
    # It does not listen yet, or another program does.
    except (OSError, ValueError, LookupError) as error:
      if time.monotonic() > deadline:
        raise UserError(
          'multihost: the first process did not answer at '
          f'{cluster.coordinator_address} within {_MEETING_SECONDS} s '
          f'({first_line(error)}); start it, or correct '
          'JAX_COORDINATOR_ADDRESS.'
        ) from error
      time.sleep(_RETRY_SECONDS)
  # The verdict comes when the last process has come.
  connection.socket.settimeout(None)
  try:
    verdict = connection.receive()
  except (OSError, ValueError) as error:
    raise TrainingError(
      f'multihost: {connection.name} ended before all had come; start the same '
      'command on all hosts again.'
    ) from error
  if verdict['code']:
    raise UserError(verdict['sentence'])
  return connection


def _describe_difference(
  their_facts: dict[str, str], our_facts: dict[str, str]
) -> str:
  """Lists the facts in which two processes differ, for a sentence."""
  different = [
    name
    for name in {**our_facts, **their_facts}
    if their_facts.get(name) != our_facts.get(name)
  ]
  shown = [
    f'{name} ({their_facts.get(name, "nothing")} and '
    f'{our_facts.get(name, "nothing")})'
    for name in different[:_MAX_SHOWN_DIFFERENCES]
  ]
  num_hidden = len(different) - len(shown)
  return ', '.join(shown) + (f' and {num_hidden} more' if num_hidden else '')
