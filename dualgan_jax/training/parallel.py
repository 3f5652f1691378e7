"""Devices and hosts: the only file that knows of `pmap`, axes and replicas.

A batch is one list of samples numbered 0 .. batch-1, whatever the number of
devices; each device works on its share of the numbers. Several processes, one
per host, all run the same program; the first of them writes files and speaks.
"""

import collections
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax import flatten_util
from jax.experimental import multihost_utils

from dualgan_jax.errors import PeerError, UserError, first_line

AXIS = 'devices'


def is_first() -> bool:
  """Whether this process is the one that writes files and speaks."""
  return jax.process_index() == 0


def wait(for_what: str) -> None:
  """Waits until all processes are here."""
  if jax.process_count() > 1:
    multihost_utils.sync_global_devices(for_what)


def anywhere(flag: bool) -> bool:
  """Whether the flag is set in any process; all have to ask."""
  if jax.process_count() == 1:
    return flag
  return bool(multihost_utils.process_allgather(np.array(flag)).any())


def on_first(work: Callable[[], Any]) -> Any:
  """Calls `work` in the first process; the others wait, and fail if it does.

  It is called once all are here: none still reads what it may move away.

  Returns:
    What it returned, and None in the others.

  Raises:
    PeerError: in the others, if the first could not do it.
  """
  wait('all are here')
  found = error = None
  if is_first():
    try:
      found = work()
    # Whatever it is, the others must not wait for ever.
    except Exception as e:
      error = e
  if anywhere(error is not None):
    raise error or PeerError(
      'multihost: the first process cannot go on; its output says why.'
    )
  return found


def choose_devices(count: int = 0) -> list[jax.Device]:
  """The first `count` devices; for 0 all of them, of all hosts.

  Raises:
    UserError: there are fewer, or none of the platforms that JAX_PLATFORMS
      names, or there are several hosts and it is not 0.
  """
  try:
    devices = jax.devices()
  except (RuntimeError, AssertionError) as e:
    named = os.environ.get('JAX_PLATFORMS', '')
    raise UserError(
      f'devices: JAX finds none (JAX_PLATFORMS={named!r}: {first_line(e)}); '
      'set JAX_PLATFORMS to what this machine has, or install what JAX needs '
      'for it, such as jax[cuda13].'
    ) from e
  if count and jax.process_count() > 1:
    raise UserError(
      f'devices: {count} asked for, but of several hosts all devices take '
      'part; set it to 0.'
    )
  if count > len(devices):
    raise UserError(
      f'devices: {count} asked for, but this machine has {len(devices)}; on a '
      'CPU JAX_NUM_CPU_DEVICES makes more.'
    )
  return devices[:count] if count else devices


def check_shares(devices: Sequence[jax.Device]) -> None:
  """Sees that all processes have equally many devices, of one kind.

  Raises:
    UserError: they have not; all processes raise it.
  """
  counts = collections.Counter(
    (d.process_index, d.device_kind) for d in devices
  )
  (_, kind), count = min(counts.items())
  for (process, other_kind), other_count in sorted(counts.items()):
    if (other_kind, other_count) != (kind, count):
      raise UserError(
        f'multihost: process 0 has {count} devices ({kind}), but process '
        f'{process} has {other_count} ({other_kind}); give all the same, on '
        'CPUs by JAX_NUM_CPU_DEVICES.'
      )


def check_same_files(sums: Mapping[str, str]) -> None:
  """Sees that files on the disks of all hosts are the same.

  Args:
    sums: SHA-256 as hexadecimal digits, by the field that names the file; all
      processes have the same fields.

  Raises:
    UserError: they are not; all processes raise it.
  """
  if jax.process_count() == 1 or not sums:
    return
  table = np.array([list(bytes.fromhex(x)) for x in sums.values()], np.uint8)
  gathered = multihost_utils.process_allgather(table)
  for process, other in enumerate(gathered):
    same = (other == gathered[0]).all(axis=1)
    if not same.all():
      field = list(sums)[int(same.argmin())]
      raise UserError(
        f'{field}: that of process {process} is not that of process 0; bring '
        'the same to all hosts.'
      )


def compile_step(
  step: Callable[[Any, Any], Any], devices: Sequence[jax.Device]
) -> Callable[[Any, Any], Any]:
  """pmaps `step(frozen, state) -> (state, metrics)`, donating the old state."""
  return jax.pmap(step, axis_name=AXIS, devices=devices, donate_argnums=1)


def steps_per_call(wanted: int, platform: str, steps: int, done: int) -> int:
  """How many steps one call does, so that calls end with the training.

  Args:
    wanted: at most so many; 0 for what suits the platform.
    platform: of the devices, as JAX names it.
    steps: of the whole training.
    done: of these, already; where a call ended, if `wanted` was the same.

  Returns:
    The largest divisor of `steps` up to `wanted` or, if the steps already done
    are no whole number of such calls, what that divisor shares with them.
  """
  # A CPU works while it is called; the others would wait for the next call.
  wanted = wanted or (1 if platform == 'cpu' else 16)
  fitting = max(n for n in range(1, wanted + 1) if steps % n == 0)
  return math.gcd(fitting, done)


def repeat(
  step: Callable[[Any, Any], Any], times: int, platform: str
) -> Callable[[Any, Any], Any]:
  """`times` steps as one.

  Returns:
    `steps(frozen, state) -> (state, metrics)`, the metrics of all steps stacked
    along a new first axis.
  """
  if times == 1:

    def one(frozen, state):
      state, metrics = step(frozen, state)
      return state, jax.tree.map(lambda x: x[None], metrics)

    return one
  # XLA runs what is in a loop on one core of a CPU (jax#12868).
  unroll = times if platform == 'cpu' else 1

  def steps(frozen, state):
    return jax.lax.scan(
      lambda carry, _: step(frozen, carry), state, length=times, unroll=unroll
    )

  return steps


def replicate(tree: Any, devices: Sequence[jax.Device]) -> Any:
  """Copies a tree to each device, below a leading axis of this host's."""
  copy = jax.pmap(
    lambda _, x: x, axis_name=AXIS, in_axes=(0, None), devices=devices
  )
  here = [d for d in devices if d.process_index == jax.process_index()]
  return copy(np.arange(len(here)), tree)


def first_replica(tree: Any) -> Any:
  """The first device's copy of a replicated tree, as NumPy arrays."""
  return jax.tree.map(
    lambda x: np.asarray(x.addressable_shards[0].data)[0], tree
  )


def device_axis() -> str | None:
  """Names the mapped axis of devices; None outside of `compile_step`.

  Functions that meet on this axis run in any `jax.jit`, `jax.vmap` or
  `jax.pmap`, too: without the axis, what they get is the whole batch.
  """
  try:
    jax.lax.axis_size(AXIS)
  except NameError:
    return None
  return AXIS


def mean(tree: Any) -> Any:
  """Averages over all devices, in one reduction."""
  if _num_shares() == 1:
    return tree
  # Leaf by leaf it would be one reduction each, and each waits for the network.
  flat, restore = flatten_util.ravel_pytree(tree)
  return restore(jax.lax.pmean(flat, AXIS))


def gather(x: chex.Array) -> chex.Array:
  """Joins all devices' shares to one batch, in the samples' order.

  Args:
    x: [share, ...].

  Returns:
    [batch, ...], on each device.
  """
  if device_axis() is None:
    return x
  return jax.lax.all_gather(x, AXIS, tiled=True)


def sample_keys(key: chex.PRNGKey, batch: int) -> chex.Array:
  """Makes one key per sample of this device's share.

  Args:
    key: the step's key.
    batch: size of the whole batch.

  Returns:
    Keys [batch / devices, ...], each folded with its sample's global number, so
    that sample i is the same on any number of devices.

  Raises:
    ValueError: the devices cannot have equal shares.
  """
  share, left = divmod(batch, _num_shares())
  if left:
    raise ValueError(f'a batch of {batch} leaves {left} samples to no device')
  first = 0 if device_axis() is None else jax.lax.axis_index(AXIS) * share
  numbers = first + jnp.arange(share)
  return jax.vmap(lambda i: jax.random.fold_in(key, i))(numbers)


def _num_shares() -> int:
  axis = device_axis()
  return 1 if axis is None else jax.lax.axis_size(axis)
