"""The processes of one run watch one another, and end together.

A thread reads each connection of `meeting`; so the first process watches all
others, and all others watch the first. A process that cannot go on says why
before it ends; the system closes the connection of a killed one; and a machine
that vanished no longer answers the system's probes. The first process passes on
whatever it receives, and all end with the sentence and the exit code of the one
that could not go on. At a good end all wait for the last.

JAX watches, too, but it aborts a process within whatever it is doing, without
a sentence, and where no process was killed it waits for 300 seconds.
"""

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from typing import Any

from dualgan_jax.display import describe_end
from dualgan_jax.errors import TrainingError
from dualgan_jax.multihost.cluster import Cluster
from dualgan_jax.multihost.meeting import Connection

# Seconds in which a process may report by itself what it hears from another:
# the cause, such as a loss that is not finite, often shows in all at once.
_GRACE_SECONDS = 5
# Seconds that the first process stays, so that all others receive the message.
_PASSING_ON_SECONDS = 10


class Peers:
  """The other processes, once all have met."""

  def __init__(self, cluster: Cluster, connections: list[Connection]):
    """Begins to watch.

    Args:
      cluster: which of the processes this is.
      connections: as `meet` has returned them.
    """
    self._name, self._connections = cluster.name, connections
    self._is_first = cluster.process_id == 0
    self._ending_lock = threading.Lock()  # taken once, and never released
    self._is_stuck = threading.Event()
    _delay_abort()
    for connection in connections:
      connection.socket.settimeout(None)
      threading.Thread(
        target=self._watch, args=(connection,), daemon=True
      ).start()

  def end_all(self, sentence: str, exit_code: int) -> None:
    """Reports why this process cannot go on, and ends all processes.

    Args:
      sentence: the reason, for the user.
      exit_code: of all processes.
    """
    _ignore_signals()
    # If a message from another process is ending this one, it goes first.
    self._ending_lock.acquire()
    for connection in self._connections:
      connection.send(name=self._name, sentence=sentence, code=exit_code)
    self._end(sentence, exit_code)

  def end_if_peer_ended(self) -> None:
    """Ends with the reason of another process, if one comes; else returns.

    It is called when a computation of all processes has failed here.
    """
    _ignore_signals()
    self._is_stuck.set()
    time.sleep(_GRACE_SECONDS)

  def wait_for_all_done(self) -> None:
    """Waits until all processes have finished their work."""
    # The first process answers when it has heard of all others.
    if not self._is_first:
      self._send_done()
    for connection in self._connections:
      connection.finished.wait()
    if self._is_first:
      self._send_done()

  def _send_done(self) -> None:
    """Tells the connected processes that this one has finished its work."""
    for connection in self._connections:
      connection.send(code=0)

  def _watch(self, connection: Connection) -> None:
    """Reads a connection until it is closed, and acts on what comes."""
    last_message = None
    with contextlib.suppress(OSError, ValueError):
      while True:
        message = connection.receive()
        if message['code']:
          last_message = message
          self._follow(last_message)
        else:
          connection.finished.set()
    connection.closed.set()
    # Closed without a word: the process was killed.
    if not (last_message or connection.finished.is_set()):
      self._is_stuck.set()  # no computation of all processes can end any more
      self._follow(
        {
          'name': connection.name,
          'sentence': 'it was killed, or its machine is gone; the same command '
          'on all hosts goes on from what is saved.',
          'code': TrainingError.exit_code,
        }
      )

  def _follow(self, message: dict[str, Any]) -> None:
    """Passes on why another process ends, and ends this one, too."""
    if self._is_first:
      for connection in self._connections:
        connection.send(**message)
    # In another thread, since this one has to go on reading.
    threading.Thread(
      target=self._end_after_grace, kwargs=message, daemon=True
    ).start()

  def _end_after_grace(self, name: str, sentence: str, code: int) -> None:
    """Ends this process as another one ended; arguments are the message's."""
    self._is_stuck.wait(_GRACE_SECONDS)
    self._ending_lock.acquire()
    self._end(f'multihost: {name} cannot go on: {sentence}', code)

  def _end(self, sentence: str, exit_code: int) -> None:
    """Ends the process at once: JAX would wait for the others first."""
    with contextlib.suppress(OSError, ValueError):
      line = describe_end(sentence, exit_code)
      print(line, file=sys.stderr, flush=True)
    # Through the first process the others hear of one another.
    if self._is_first:
      deadline = time.monotonic() + _PASSING_ON_SECONDS
      for connection in self._connections:
        connection.closed.wait(max(deadline - time.monotonic(), 0))
    with contextlib.suppress(OSError, ValueError):
      sys.stdout.flush()
    os._exit(exit_code)


def _ignore_signals() -> None:
  """Lets nothing interrupt a process that ends within seconds anyway."""
  for signal_number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(signal_number, signal.SIG_IGN)


def _delay_abort() -> None:
  """Lets SIGABRT wait for six seconds, in which `_watch` ends the process.

  JAX's client aborts the process as soon as the first process is gone, from a
  thread of its own, and nothing in JAX turns that off. A handler in Python
  would come too late, since abort() goes on when it returns; so the C function
  sleep is the handler, whose argument, the signal's number, is 6.
  """
  c_library = ctypes.CDLL(None)
  c_library.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
  sleep_function = ctypes.cast(c_library.sleep, ctypes.c_void_p)
  c_library.signal(signal.SIGABRT, sleep_function)
