"""Devices and hosts: the only file that knows of `pmap`, axes and replicas.

A batch is one list of samples numbered 0 .. batch-1, whatever the number of
devices; each device works on its share of the numbers. Several processes, one
per host, all run the same program; the first of them writes files and prints.
"""

import collections
import functools
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
# On accelerators a call that does several steps hides the time between calls.
_ACCELERATOR_STEPS_PER_CALL = 16


def is_first() -> bool:
  """Returns whether this process is the one that writes files and prints."""
  return jax.process_index() == 0


def wait_for_all(barrier_name: str) -> None:
  """Waits until all processes have reached the barrier of this name."""
  if jax.process_count() > 1:
    multihost_utils.sync_global_devices(barrier_name)


def any_process(flag: bool) -> bool:
  """Returns whether the flag is set in any process; all have to call it."""
  return any_process_each([flag])[0]


def any_process_each(flags: Sequence[bool]) -> list[bool]:
  """Returns of each flag whether it is set in any process.

  Args:
    flags: as many in all processes, which all have to call it.
  """
  if jax.process_count() == 1:
    return list(flags)
  # A collective: a process that left it out would block all others.
  gathered_flags = multihost_utils.process_allgather(np.array(flags))
  return gathered_flags.any(axis=0).tolist()


def on_first(work: Callable[[], Any]) -> Any:
  """Calls `work` in the first process; the others wait, and fail if it does.

  It is called once all processes are here, so that none still reads files that
  it may move away.

  Returns:
    The result of `work`; None in the other processes.

  Raises:
    PeerError: in the other processes, if `work` failed in the first.
  """
  wait_for_all('all are here')
  result = first_error = None
  if is_first():
    try:
      result = work()
    # Whatever it is, the others must not wait for ever.
    except Exception as error:
      first_error = error
  if any_process(first_error is not None):
    raise first_error or PeerError(
      'multihost: the first process cannot go on; its output says why.'
    )
  return result


def choose_devices(num_devices: int = 0) -> list[jax.Device]:
  """Lists the first devices of this machine, or all of all hosts.

  Args:
    num_devices: how many of this machine to take; 0 for all of all hosts.

  Raises:
    UserError: there are fewer, or none of the platforms that JAX_PLATFORMS
      names, or there are several hosts and `num_devices` is not 0.
  """
  try:
    devices = jax.devices()
  except (RuntimeError, AssertionError) as error:
    platforms = os.environ.get('JAX_PLATFORMS', '')
    raise UserError(
      f'devices: JAX finds none (JAX_PLATFORMS={platforms!r}: '
      f'{first_line(error)}); set JAX_PLATFORMS to what this machine has, or '
      'install what JAX needs for it, such as jax[cuda13].'
    ) from error
  if num_devices and jax.process_count() > 1:
    raise UserError(
      f'devices: {num_devices} asked for, but of several hosts all devices '
      'take part; set it to 0.'
    )
  if num_devices > len(devices):
    raise UserError(
      f'devices: {num_devices} asked for, but this machine has '
      f'{len(devices)}; on a CPU JAX_NUM_CPU_DEVICES makes more.'
    )
  return devices[:num_devices] if num_devices else devices


def check_shares(devices: Sequence[jax.Device]) -> None:
  """Checks that all processes have equally many devices, of one kind.

  Args:
    devices: those of all processes.

  Raises:
    UserError: they differ; all processes raise it.
  """
  device_counts = collections.Counter(
    (device.process_index, device.device_kind) for device in devices
  )
  # Each is compared with the first entry of process 0.
  (_, kind), count = min(device_counts.items())
  for (process_index, other_kind), other_count in sorted(device_counts.items()):
    if (other_kind, other_count) != (kind, count):
      raise UserError(
        f'multihost: process 0 has {count} devices ({kind}), but process '
        f'{process_index} has {other_count} ({other_kind}); give all the same, '
        'on CPUs by JAX_NUM_CPU_DEVICES.'
      )


def check_same_files(digests: Mapping[str, str]) -> None:
  """Checks that files on the disks of all hosts are the same.

  Args:
    digests: SHA-256 as hexadecimal digits, by the config field that names the
      file; all processes have the same fields.

  Raises:
    UserError: they are not; all processes raise it.
  """
  if jax.process_count() == 1 or not digests:
    return
  local_bytes = np.array(
    [list(bytes.fromhex(digest)) for digest in digests.values()], np.uint8
  )
  # [processes, files, 32]: every process sees all and raises the same error.
  gathered_bytes = multihost_utils.process_allgather(local_bytes)
  for process_index, process_bytes in enumerate(gathered_bytes):
    is_same = (process_bytes == gathered_bytes[0]).all(axis=1)
    if not is_same.all():
      field = list(digests)[int(is_same.argmin())]
      raise UserError(
        f'{field}: that of process {process_index} is not that of process 0; '
        'bring the same to all hosts.'
      )


def compile_step(
  step: Callable[[Any, Any], Any], devices: Sequence[jax.Device]
) -> Callable[[Any, Any], Any]:
  """Compiles `step(frozen, state) -> (state, metrics)` for all devices.

  The arguments are replicated trees (`replicate`); the buffers of the old state
  are donated to the new one.
  """
  # Without donation, memory would hold the old and the new state at once.
  return jax.pmap(step, axis_name=AXIS, devices=devices, donate_argnums=1)


def steps_per_call(
  max_steps: int, platform: str, num_steps: int, steps_done: int
) -> int:
  """Computes how many steps one call does, so that calls end with the phase.

  Args:
    max_steps: upper bound; 0 for the platform's default.
    platform: of the devices, as JAX names it.
    num_steps: of the whole phase.
    steps_done: where an earlier run stopped; the end of a call, if its
      `max_steps` was the same.

  Returns:
    The largest divisor of `num_steps` up to the bound or, if `steps_done` is no
    multiple of it, their greatest common divisor.
  """
  if not max_steps:
    # A CPU works while it is called; nothing is gained by longer calls.
    max_steps = 1 if platform == 'cpu' else _ACCELERATOR_STEPS_PER_CALL
  largest_divisor = max(
    divisor for divisor in range(1, max_steps + 1) if num_steps % divisor == 0
  )
  return math.gcd(largest_divisor, steps_done)


def repeat(
  step: Callable[[Any, Any], Any], num_repeats: int, platform: str
) -> Callable[[Any, Any], Any]:
  """Makes a function that does several steps in one call.

  Args:
    step: `(frozen, state) -> (state, metrics)`.
    num_repeats: steps per call.
    platform: of the devices, as JAX names it.

  Returns:
    `steps(frozen, state) -> (state, metrics)`, the metrics of all steps stacked
    along a new first axis.
  """
  if num_repeats == 1:

    def single_step(frozen, state):
      state, metrics = step(frozen, state)
      return state, jax.tree.map(lambda metric: metric[None], metrics)

    return single_step
  # On CPUs, XLA runs the body of a loop on one core only (jax#12868).
  unroll = num_repeats if platform == 'cpu' else 1

  def steps(frozen, state):
    return jax.lax.scan(
      lambda state, _: step(frozen, state),
      state,
      length=num_repeats,
      unroll=unroll,
    )

  return steps


def replicate(tree: Any, devices: Sequence[jax.Device]) -> Any:
  """Copies a tree to each device.

  Returns:
    The tree; each leaf has a new first axis, as long as this host has devices.
  """
  num_local_devices = sum(
    device.process_index == jax.process_index() for device in devices
  )
  copy_to_each = _compile_copy(tuple(devices))
  return copy_to_each(np.arange(num_local_devices), tree)


@functools.lru_cache(maxsize=2)
def _compile_copy(devices: tuple[jax.Device, ...]) -> Callable[..., Any]:
  """Compiles the function that copies a tree; it keeps its programs."""
  # `pmap` takes the number of copies from its mapped argument.
  return jax.pmap(
    lambda _, tree: tree, axis_name=AXIS, in_axes=(0, None), devices=devices
  )


def first_replica(replicated_tree: Any) -> Any:
  """Reads the first device's copy of a replicated tree, as NumPy arrays."""
  return jax.tree.map(
    lambda leaf: np.asarray(leaf.addressable_shards[0].data)[0], replicated_tree
  )


def device_axis() -> str | None:
  """Returns the name of the mapped device axis; None outside `compile_step`.

  Functions that reduce over this axis run in any `jax.jit`, `jax.vmap` or
  `jax.pmap`, too: without the axis, their input is the whole batch.
  """
  # JAX has no other public test for whether an axis is mapped.
  try:
    jax.lax.axis_size(AXIS)
  except NameError:
    return None
  return AXIS


def mean(tree: Any) -> Any:
  """Averages a tree over all devices, in one reduction."""
  if _num_shares() == 1:
    return tree
  # Leaf by leaf it would be one reduction each, and each waits for the network.
  flat_tree, unflatten = flatten_util.ravel_pytree(tree)
  return unflatten(jax.lax.pmean(flat_tree, AXIS))


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


def sample_keys(key: chex.PRNGKey, batch_size: int) -> chex.Array:
  """Makes one key per sample of this device's share.

  Args:
    key: the step's key.
    batch_size: size of the whole batch.

  Returns:
    Keys [batch / devices, ...], each folded with its sample's global number, so
    that sample i is the same on any number of devices.

  Raises:
    ValueError: the devices cannot have equal shares.
  """
  share_size, num_left_over = divmod(batch_size, _num_shares())
  if num_left_over:
    raise ValueError(
      f'a batch of {batch_size} leaves {num_left_over} samples to no device'
    )
  first_sample = (
    0 if device_axis() is None else jax.lax.axis_index(AXIS) * share_size
  )
  # Numbers count through the whole batch, whatever device a sample lies on.
  sample_numbers = first_sample + jnp.arange(share_size)
  return jax.vmap(lambda number: jax.random.fold_in(key, number))(
    sample_numbers
  )


def share_number() -> tuple[chex.Array | int, int]:
  """Returns the number of this device's share, from 0, and that of shares."""
  num_shares = _num_shares()
  return (0 if num_shares == 1 else jax.lax.axis_index(AXIS)), num_shares


def _num_shares() -> int:
  """Counts the devices that share a batch, 1 where there is no device axis."""
  axis_name = device_axis()
  return 1 if axis_name is None else jax.lax.axis_size(axis_name)
