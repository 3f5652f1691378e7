"""The processes of one run meet before JAX connects them.

The first waits until all have come, compares what each says of its code,
packages and config with its own, and lets all go on or none. They meet on the
port of JAX's coordinator, which the first then leaves to JAX; the connections
stay, for `peers`.
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

# Seconds that all have to come, and that a greeting may take.
_MEETING_SECONDS = 45
_GREETING_SECONDS = 5
# The system asks an idle connection after 10 s, and again every 5 s: a machine
# that has not answered after 30 s is gone.
_PROBES = {'TCP_KEEPIDLE': 10, 'TCP_KEEPINTVL': 5, 'TCP_KEEPCNT': 4}
_SHOWN_DIFFERENCES = 5
_NUM_PROCESSES = 'JAX_NUM_PROCESSES'
# What a message that is none of ours may raise.
_NO_GREETING = (
  *(ValueError, LookupError, AttributeError, TypeError),
  *(OverflowError, RecursionError),
)


@dataclasses.dataclass
class Connection:
  """The way to one other process.

  Attributes:
    name: of that process, for messages.
    socket: connected.
    reader: reads the socket's lines.
    parted: set when that process has come to its good end.
    closed: set when nothing more can come from there.
  """

  name: str
  socket: socket.socket
  reader: TextIO
  parted: threading.Event = dataclasses.field(default_factory=threading.Event)
  closed: threading.Event = dataclasses.field(default_factory=threading.Event)

  @classmethod
  def over(cls, connected: socket.socket) -> 'Connection':
    """Makes a connection whose other end has not said its name yet."""
    connected.settimeout(_GREETING_SECONDS)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _PROBES.items():
      if hasattr(socket, option):  # Linux has them all
        number = getattr(socket, option)
        connected.setsockopt(socket.IPPROTO_TCP, number, value)
    return cls('', connected, connected.makefile('r', encoding='utf-8'))

  def say(self, **message: Any) -> None:
    """Sends one message; it is no matter if nobody is there any more."""
    with contextlib.suppress(OSError):
      self.socket.sendall(json.dumps(message).encode() + b'\n')

  def hear(self) -> dict[str, Any]:
    """Waits for one message; raises OSError or ValueError if none comes."""
    message = json.loads(self.reader.readline(2**20))
    if not isinstance(message, dict):
      raise ValueError('no message of ours')
    return message

  def is_closed(self) -> bool:
    """Whether a process that has nothing to say yet has ended."""
    flags = socket.MSG_PEEK | socket.MSG_DONTWAIT
    try:
      return not self.socket.recv(1, flags)
    except BlockingIOError:
      return False
    except OSError:
      return True


def meet(cluster: Cluster, facts: Mapping[str, str]) -> list[Connection]:
  """Waits until all processes have come, and sees that they fit together.

  Args:
    cluster: where they meet, how many, and which of them this is.
    facts: what has to be the same for all, by name.

  Returns:
    The first process's connections to all others; those of another process to
    the first.

  Raises:
    UserError: some did not come, or are not the same; all processes that came
      raise it.
    TrainingError: the first process ended while it waited for others.
  """
  facts = {**facts, _NUM_PROCESSES: str(cluster.num_processes)}
  if cluster.process_id:
    return [_join(cluster, facts)]
  return _gather(cluster, facts)


def _gather(cluster: Cluster, facts: dict[str, str]) -> list[Connection]:
  """Waits, in the first process, for all others."""
  arrived, twins, others = {}, [], {}
  until = time.monotonic() + _MEETING_SECONDS
  with _server(cluster) as server:
    while len(arrived) + 1 < cluster.num_processes and not twins:
      server.settimeout(max(until - time.monotonic(), 0.001))
      try:
        connection = Connection.over(server.accept()[0])
      except TimeoutError:
        break
      try:
        number, connection.name, theirs = _greeting(connection, facts)
        differing = _differing(theirs, facts)
      except (*_NO_GREETING, OSError):
        # A stranger; the socket stays open for as long as its reader is.
        connection.reader.close()
        connection.socket.close()
        continue
      connection.say(name=cluster.name)
      if number in arrived and not arrived[number].is_closed():
        twins = [connection, arrived[number]]
        continue
      arrived[number] = connection
      if differing:
        others.setdefault(differing, []).append(connection.name)
  problem = _problem(cluster, [*arrived], twins, others)
  code = UserError.exit_code if problem else 0
  for connection in (*arrived.values(), *twins[:1]):
    connection.say(sentence=problem, code=code)
  if problem:
    raise UserError(problem)
  return [*arrived.values()]


def _greeting(
  connection: Connection, facts: dict[str, str]
) -> tuple[int, str, dict[str, str]]:
  """Hears the number, name and facts of another process.

  Raises:
    OSError: nothing comes.
    One of `_NO_GREETING`: it is from no process of a run.
  """
  hello = connection.hear()
  number, name, theirs = (hello[x] for x in ('process_id', 'name', 'facts'))
  # Of a run of more processes, the number may be too large for this one: that
  # is a difference to be named. Other versions do not send how many.
  num_processes = int(theirs.get(_NUM_PROCESSES, facts[_NUM_PROCESSES]))
  if type(number) is not int or not 0 < number < num_processes:
    raise ValueError('no number of another process')
  if not isinstance(name, str):
    raise TypeError('no name')
  return number, name, theirs


def _problem(
  cluster: Cluster,
  arrived: list[int],
  twins: list[Connection],
  others: dict[str, list[str]],
) -> str:
  """Says what is wrong with the processes that have come, if something is."""
  if twins:
    return (
      f'multihost: {" and ".join(x.name for x in twins)} have the same number; '
      'JAX_PROCESS_ID has to be another for each process.'
    )
  for differing, names in others.items():
    return (
      f'multihost: {", ".join([*names, cluster.name])} differ in {differing}; '
      'start the same command with the same code and packages on all hosts.'
    )
  missing = sorted({*range(1, cluster.num_processes)} - {*arrived})
  if missing:
    return (
      f'multihost: {len(arrived) + 1} of {cluster.num_processes} processes '
      f'came within {_MEETING_SECONDS} s; start the same command with '
      f'JAX_PROCESS_ID={", ".join(map(str, missing))}, too.'
    )
  return ''


def _server(cluster: Cluster) -> socket.socket:
  _, port = cluster.host_and_port()
  both = socket.has_dualstack_ipv6()
  try:
    return socket.create_server(
      ('', port),
      family=socket.AF_INET6 if both else socket.AF_INET,
      backlog=cluster.num_processes,
      dualstack_ipv6=both,
    )
  except OSError as e:
    raise UserError(
      f'multihost: port {port} of this machine cannot be used '
      f'({os.strerror(e.errno)}); stop what uses it, perhaps an earlier run, '
      'or set another port in JAX_COORDINATOR_ADDRESS on all hosts.'
    ) from e


def _join(cluster: Cluster, facts: dict[str, str]) -> Connection:
  """Goes to the first process, and waits until all have come."""
  until = time.monotonic() + _MEETING_SECONDS
  while True:
    try:
      connection = Connection.over(
        socket.create_connection(cluster.host_and_port(), _GREETING_SECONDS)
      )
      connection.say(
        process_id=cluster.process_id, name=cluster.name, facts=facts
      )
      connection.name = connection.hear()['name']
      break
    # Not there yet, or something else is.
    except (OSError, ValueError, LookupError) as e:
      if time.monotonic() > until:
        raise UserError(
          'multihost: the first process did not answer at '
          f'{cluster.coordinator_address} within {_MEETING_SECONDS} s '
          f'({first_line(e)}); start it, or correct JAX_COORDINATOR_ADDRESS.'
        ) from e
      time.sleep(0.2)
  connection.socket.settimeout(None)
  try:
    verdict = connection.hear()
  except (OSError, ValueError) as e:
    raise TrainingError(
      f'multihost: {connection.name} ended before all had come; start the same '
      'command on all hosts again.'
    ) from e
  if verdict['code']:
    raise UserError(verdict['sentence'])
  return connection


def _differing(theirs: dict[str, str], ours: dict[str, str]) -> str:
  """What two processes differ in, for a sentence."""
  names = [k for k in {**ours, **theirs} if theirs.get(k) != ours.get(k)]
  shown = [
    f'{k} ({theirs.get(k, "nothing")} and {ours.get(k, "nothing")})'
    for k in names[:_SHOWN_DIFFERENCES]
  ]
  more = len(names) - len(shown)
  return ', '.join(shown) + (f' and {more} more' if more else '')
