"""Which of several processes this is, and how JAX connects them."""

import os
import signal
import socket
import threading
from typing import NamedTuple

import jax

from dualgan_jax.errors import UserError, first_line

# All processes are known to be there when JAX connects them.
_CONNECTING_SECONDS = 30


class Cluster(NamedTuple):
  """Where several processes meet, and which of them this is.

  Attributes:
    coordinator_address: HOST:PORT of the first process.
    num_processes: how many there are.
    process_id: the number of this one, from 0.
  """

  coordinator_address: str
  num_processes: int
  process_id: int

  def host_and_port(self) -> tuple[str, int]:
    """Splits the address."""
    host, _, port = self.coordinator_address.rpartition(':')
    return host.strip('[]'), int(port)

  @property
  def name(self) -> str:
    """Names this process in messages."""
    return f'process {self.process_id} on {socket.gethostname()}'


def find() -> Cluster:
  """Finds out which of several processes this is; before anything else of JAX.

  JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID tell; without
  them JAX knows on Cloud TPU, under Slurm and the like.

  Raises:
    UserError: there is nothing to connect to.
  """
  try:
    values = [
      os.environ.get('JAX_COORDINATOR_ADDRESS'),
      *(
        int(os.environ[x]) if x in os.environ else None
        for x in ('JAX_NUM_PROCESSES', 'JAX_PROCESS_ID')
      ),
    ]
    cluster = Cluster(*_detected(values) if None in values else values)
    if None in cluster:
      raise ValueError('nothing says where they are')
    cluster.host_and_port()
    if not 0 <= cluster.process_id < cluster.num_processes:
      raise ValueError(
        f'number {cluster.process_id} of {cluster.num_processes} processes'
      )
  except (ValueError, RuntimeError) as e:
    raise UserError(
      f'multihost: this process finds no others ({first_line(e)}); on '
      'one host leave the flag out, elsewhere set JAX_COORDINATOR_ADDRESS, '
      'JAX_NUM_PROCESSES and JAX_PROCESS_ID.'
    ) from e
  return cluster


def _detected(values):
  """Fills in what the machines' manager knows.

  Only `jax.distributed.initialize` does so publicly, and it connects at once,
  which cannot be stopped where a process is missing.
  """
  from jax._src.clusters import ClusterEnv  # private

  return ClusterEnv.auto_detect_unset_distributed_params(
    *values, None, None, _CONNECTING_SECONDS
  )[:3]


def connect(cluster: Cluster) -> None:
  """Makes this process one of several, when all of them are there.

  Raises:
    UserError: JAX does not connect them.
  """
  terminate = signal.getsignal(signal.SIGTERM)
  try:
    jax.distributed.initialize(
      *cluster, initialization_timeout=_CONNECTING_SECONDS
    )
  except (ValueError, RuntimeError) as e:
    raise UserError(
      f'multihost: JAX cannot connect the processes ({first_line(e)}).'
    ) from e
  finally:
    # JAX would keep SIGTERM to itself, and nobody asks it.
    if threading.current_thread() is threading.main_thread():
      signal.signal(signal.SIGTERM, terminate)
