"""The processes of one run watch one another, and end together.

Who watches whom: a thread reads each connection of `meeting`; so the first
process watches all, and all watch the first. A process that cannot go on says
why before it ends; a killed one has its connection closed by the system; and a
machine that vanished no longer answers the system's probes. Whatever the first
hears it passes on, and all end with the sentence and the exit code of the one
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

from dualgan_jax.display import printable
from dualgan_jax.errors import TrainingError
from dualgan_jax.multihost.cluster import Cluster
from dualgan_jax.multihost.meeting import Connection

# Seconds in which a process may say by itself what it hears from another: what
# ends one, such as a loss that is not finite, is often seen by all at once.
_GRACE_SECONDS = 5
# Seconds that the first stays, so that all others hear it.
_PASSING_ON_SECONDS = 10


class Peers:
  """The other processes, once all have met."""

  def __init__(self, cluster: Cluster, connections: list[Connection]):
    """Begins to watch.

    Args:
      cluster: which of the processes this is.
      connections: those that `meet` has returned.
    """
    self._name, self._connections = cluster.name, connections
    self._first = cluster.process_id == 0
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

  def _watch(self, connection: Connection) -> None:
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
