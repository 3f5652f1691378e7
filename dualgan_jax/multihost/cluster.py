"""Which of several processes this is, and how JAX connects them."""

import os
import signal
import socket
import threading
from typing import NamedTuple

import jax

from dualgan_jax.errors import UserError, first_line

# Short, since all processes have met before JAX connects them.
_CONNECTING_SECONDS = 30


class Cluster(NamedTuple):
  """Where several processes meet, and which of them this is.

  Attributes:
    coordinator_address: HOST:PORT of the first process.
    num_processes: number of processes of the run.
    process_id: the number of this one, from 0.
  """

  coordinator_address: str
  num_processes: int
  process_id: int

  def host_and_port(self) -> tuple[str, int]:
    """Splits the address; an IPv6 host loses its brackets."""
    host, _, port = self.coordinator_address.rpartition(':')
    return host.strip('[]'), int(port)

  @property
  def name(self) -> str:
    """Names this process in messages."""
    return f'process {self.process_id} on {socket.gethostname()}'


def find() -> Cluster:
  """Finds out which of several processes this is; call it before JAX is used.

  JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID come first; for
  those that are not set, JAX asks the manager of a Cloud TPU, Slurm and others.

  Raises:
    UserError: there is nothing to connect to.
  """
  try:
    env_values = [
      os.environ.get('JAX_COORDINATOR_ADDRESS'),
      *(
        int(os.environ[variable]) if variable in os.environ else None
        for variable in ('JAX_NUM_PROCESSES', 'JAX_PROCESS_ID')
      ),
    ]
    is_complete = None not in env_values
    cluster = Cluster(*env_values if is_complete else _fill_in(env_values))
    if None in cluster:
      raise ValueError('nothing says where they are')
    cluster.host_and_port()  # it fails if the address has no port
    if not 0 <= cluster.process_id < cluster.num_processes:
      raise ValueError(
        f'number {cluster.process_id} of {cluster.num_processes} processes'
      )
  except (ValueError, RuntimeError) as error:
    raise UserError(
      f'multihost: this process finds no others ({first_line(error)}); on '
      'one host leave the flag out, elsewhere set JAX_COORDINATOR_ADDRESS, '
      'JAX_NUM_PROCESSES and JAX_PROCESS_ID.'
    ) from error
  return cluster


def _fill_in(
  env_values: list[str | int | None],
) -> tuple[str | None, int | None, int | None]:
  """Fills in values that are None, as the machines' manager knows them.

  Only `jax.distributed.initialize` does so publicly, and it connects at once,
  which cannot be stopped where a process is missing.
  """
  from jax._src.clusters import ClusterEnv  # private

  return ClusterEnv.auto_detect_unset_distributed_params(
    *env_values, None, None, _CONNECTING_SECONDS
  )[:3]


def connect(cluster: Cluster) -> None:
  """Connects JAX to the other processes, once all of them have met.

  Args:
    cluster: where they meet, and which of them this is.

  Raises:
    UserError: JAX does not connect them.
  """
  sigterm_handler = signal.getsignal(signal.SIGTERM)
  try:
    jax.distributed.initialize(
      *cluster, initialization_timeout=_CONNECTING_SECONDS
    )
  except (ValueError, RuntimeError) as error:
    raise UserError(
      f'multihost: JAX cannot connect the processes ({first_line(error)}).'
    ) from error
  finally:
    # JAX installs a handler that only notes SIGTERM, which nobody reads.
    if threading.current_thread() is threading.main_thread():
      signal.signal(signal.SIGTERM, sigterm_handler)
