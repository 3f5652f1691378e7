"""Lets all cores of a CPU share each batch, one device per core."""

import os

import jax
import ml_collections

from dualgan_jax.config import schema
from dualgan_jax.experiment import batch_sizes, stage_records


def use_cores(config: ml_collections.ConfigDict, workdir: str) -> None:
  """Makes a device of each core, as far as batches can be shared.

  On two cores, that makes small nets up to 1.6 times as fast as one device that
  runs on both (docs/performance.md). Where JAX_NUM_CPU_DEVICES is set, that
  counts. Other kinds of devices stay as they are.

  Args:
    config: the run's config.
    workdir: the run's folder, whose stages may have been begun already.

  Raises:
    UserError: the config is wrong, or the folder cannot be read.
  """
  if 'JAX_NUM_CPU_DEVICES' in os.environ:
    return
  experiment = schema.check(config)
  # A process may be bound to some of the cores; not every system tells.
  if hasattr(os, 'sched_getaffinity'):
    num_cores = len(os.sched_getaffinity(0))
  else:
    num_cores = os.cpu_count() or 1
  num_devices = batch_sizes.most_devices(
    experiment,
    experiment.devices or num_cores,
    stage_records.batches(workdir, init_from=None),
  )
  jax.config.update('jax_num_cpu_devices', num_devices)
