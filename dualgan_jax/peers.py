"""The processes of one run: they meet, watch one another and end together.

Every process holds one TCP connection to the first, made before those of JAX on
the port of JAX's coordinator, which the first then leaves to JAX.

Meeting. The first waits until all have come, compares what each says of its
code, packages and config with its own, and lets all go on or none.

Watching. A thread reads each connection; so the first watches all, and all
watch the first. A process that cannot go on says why before it ends; a killed
one has its connection closed by the system; and a machine that vanished no
longer answers the system's probes. Whatever the first hears it passes on, and
all end with the sentence and the exit code of the one that could not go on.

Parting. At a good end all wait for the last.

JAX watches, too, but it aborts a process within whatever it is doing, without
a sentence, and where no process was killed it waits for 300 seconds.
"""

import contextlib
import ctypes
import dataclasses
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, TextIO

from dualgan_jax.display import printable
from dualgan_jax.errors import TrainingError, UserError, first_line
from dualgan_jax.parallel import Cluster

# Seconds that all have to come, and that a greeting may take.
_MEETING_SECONDS = 45
_GREETING_SECONDS = 5
# Seconds in which a process may say by itself what it hears from another: what
# ends one, such as a loss that is not finite, is often seen by all at once.
_GRACE_SECONDS = 5
# Seconds that the first stays, so that all others hear it.
_PASSING_ON_SECONDS = 10
# The system asks an idle connection after 10 s, and again every 5 s: a machine
# that has not answered after 30 s is gone.
_PROBES = {'TCP_KEEPIDLE': 10, 'TCP_KEEPINTVL': 5, 'TCP_KEEPCNT': 4}
_SHOWN_DIFFERENCES = 5


@dataclasses.dataclass
class _Connection:
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
  def over(cls, connected: socket.socket) -> '_Connection':
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


class Peers:
  """The other processes, once all have met."""

  def __init__(self, name: str, connections: list[_Connection], first: bool):
    """Begins to watch.

    Args:
      name: of this process.
      connections: to all others if this is the first process, else to that.
      first: whether it is.
    """
    self._name, self._connections, self._first = name, connections, first
    self._ending = threading.Lock()  # taken once, and never released
    self._at_a_loss = threading.Event()
    _delay_abort()
    for connection in connections:
      connection.socket.settimeout(None)
      threading.Thread(
        target=self._watch, args=(connection,), daemon=True
      ).start()

  def leave(self, sentence: str, code: int) -> None:
    """Says why this process ends, tells the others, and ends it.

    Args:
      sentence: for the user.
      code: the exit code, for all processes.
    """
    _ignore_signals()
    self._ending.acquire()
    for connection in self._connections:
      connection.say(name=self._name, sentence=sentence, code=code)
    self._end(sentence, code)

  def follow(self) -> None:
    """Ends as another process has ended, if one has; else returns."""
    _ignore_signals()
    self._at_a_loss.set()
    time.sleep(_GRACE_SECONDS)

  def part(self) -> None:
    """Waits until all have come to their good end."""
    if not self._first:
      self._say_parted()
    for connection in self._connections:
      connection.parted.wait()
    if self._first:
      self._say_parted()

  def _say_parted(self):
    for connection in self._connections:
      connection.say(code=0)

  def _watch(self, connection: _Connection) -> None:
    """Reads a connection to its end."""
    ending = None
    with contextlib.suppress(OSError, ValueError):
      while True:
        message = connection.hear()
        if message['code']:
          ending = message
          self._hear(ending)
        else:
          connection.parted.set()
    connection.closed.set()
    if not (ending or connection.parted.is_set()):
      self._at_a_loss.set()  # nothing can be computed together any more
      self._hear(
        {
          'name': connection.name,
          'sentence': 'it was killed, or its machine is gone; the same command '
          'on all hosts goes on from what is saved.',
          'code': TrainingError.exit_code,
        }
      )

  def _hear(self, ending: dict[str, Any]) -> None:
    if self._first:
      for connection in self._connections:
        connection.say(**ending)
    # This thread has to go on reading.
    threading.Thread(target=self._go_too, kwargs=ending, daemon=True).start()

  def _go_too(self, name: str, sentence: str, code: int) -> None:
    self._at_a_loss.wait(_GRACE_SECONDS)
    self._ending.acquire()
    self._end(f'multihost: {name} cannot go on: {sentence}', code)

  def _end(self, sentence: str, code: int) -> None:
    """Ends the process at once: JAX would wait for the others first."""
    with contextlib.suppress(OSError, ValueError):
      print(f'error: {printable(sentence)}', file=sys.stderr, flush=True)
    if self._first:
      until = time.monotonic() + _PASSING_ON_SECONDS
      for connection in self._connections:
        connection.closed.wait(max(until - time.monotonic(), 0))
    with contextlib.suppress(OSError, ValueError):
      sys.stdout.flush()
    os._exit(code)


def meet(cluster: Cluster, facts: Mapping[str, str]) -> Peers:
  """Waits until all processes have come, and sees that they fit together.

  Args:
    cluster: where they meet, how many, and which of them this is.
    facts: what has to be the same for all, by name.

  Raises:
    UserError: some did not come, or are not the same; all processes that came
      raise it.
    TrainingError: the first process ended while it waited for others.
  """
  name = f'process {cluster.process_id} on {socket.gethostname()}'
  if cluster.process_id:
    connections = [_join(cluster, name, dict(facts))]
  else:
    connections = _gather(cluster, name, dict(facts))
  return Peers(name, connections, first=cluster.process_id == 0)


def _gather(
  cluster: Cluster, name: str, facts: dict[str, str]
) -> list[_Connection]:
  """Waits, in the first process, for all others."""
  arrived, twins, others = {}, [], {}
  until = time.monotonic() + _MEETING_SECONDS
  with _server(cluster) as server:
    while len(arrived) + 1 < cluster.num_processes and not twins:
      server.settimeout(max(until - time.monotonic(), 0.001))
      try:
        connection = _Connection.over(server.accept()[0])
      except TimeoutError:
        break
      try:
        hello = connection.hear()
        number, connection.name = hello['process_id'], hello['name']
        differing = _differing(hello['facts'], facts)
      except (OSError, ValueError, LookupError, AttributeError, TypeError):
        connection.socket.close()  # a stranger
        continue
      connection.say(name=name)
      if number in arrived and not arrived[number].is_closed():
        twins = [connection, arrived[number]]
        continue
      arrived[number] = connection
      if differing:
        others.setdefault(differing, []).append(connection.name)
  problem = _problem(cluster, name, [*arrived], twins, others)
  code = UserError.exit_code if problem else 0
  for connection in (*arrived.values(), *twins[:1]):
    connection.say(sentence=problem, code=code)
  if problem:
    raise UserError(problem)
  return [*arrived.values()]


def _problem(
  cluster: Cluster,
  name: str,
  arrived: list[int],
  twins: list[_Connection],
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
      f'multihost: {", ".join(names)} and {name} differ in {differing}; start '
      'the same command with the same code and packages on all hosts.'
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


def _join(cluster: Cluster, name: str, facts: dict[str, str]) -> _Connection:
  """Goes to the first process, and waits until all have come."""
  until = time.monotonic() + _MEETING_SECONDS
  while True:
    try:
      connection = _Connection.over(
        socket.create_connection(cluster.host_and_port(), _GREETING_SECONDS)
      )
      connection.say(process_id=cluster.process_id, name=name, facts=facts)
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


def _ignore_signals() -> None:
  """Lets nothing interrupt a process that ends within seconds anyway."""
  for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)


def _delay_abort() -> None:
  """Lets SIGABRT wait for six seconds, in which `_watch` ends the process.

  JAX's client aborts the process as soon as the first process is gone, from a
  thread of its own, and nothing in JAX turns that off. A handler in Python
  would come too late, since abort() goes on when it returns; so the C function
  sleep is the handler, whose argument, the signal's number, is 6.
  """
  c_library = ctypes.CDLL(None)
  c_library.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
  sleep = ctypes.cast(c_library.sleep, ctypes.c_void_p)
  c_library.signal(signal.SIGABRT, sleep)
