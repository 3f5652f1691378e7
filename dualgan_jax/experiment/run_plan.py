"""Says, before a run, what is to be done and how long that may take."""

import textwrap
from collections.abc import Mapping, Sequence

import jax

from dualgan_jax.config import stage_table
from dualgan_jax.config.fields import Experiment
from dualgan_jax.display import PAGE_WIDTH, align
from dualgan_jax.experiment import (
  drawn_teachers,
  memory,
  net_costs,
  versions,
  workload,
)
from dualgan_jax.experiment.nets import Nets
from dualgan_jax.experiment.routing_decision import (
  configured_routing,
  explain_routing,
  has_prior,
)
from dualgan_jax.teachers.stack import group_by_net
from dualgan_jax.training.outlook import Outlook

# The least and the largest time that trainings have taken on CPUs, over the
# estimate by forward passes.
_TIME_FACTORS = 1.2, 3.0
_PLATFORM_NAMES = {'cpu': 'CPU', 'gpu': 'GPU', 'tpu': 'TPU'}


def make_outlook(
  nets: Nets,
  config: Experiment,
  devices: Sequence[jax.Device],
  stages: Sequence[str],
) -> Outlook:
  """Makes the outlook on the phases of the stages that are still to be done.

  Args:
    nets: as `build_nets` returns them.
    config: the config that they were built from, with all batches filled in.
    devices: devices to train on.
    stages: names of the stages that will be trained.
  """
  if not stages:
    return Outlook({})
  costs = net_costs.measure_seconds(nets, config, devices)
  return Outlook(
    {
      phase_name: seconds
      for phase_name, seconds in workload.estimate_phases(
        nets, config, costs
      ).items()
      if phase_name.partition('/')[0] in stages
    }
  )


def describe_run(
  nets: Nets,
  config: Experiment,
  devices: Sequence[jax.Device],
  workdir: str,
  stages_to_do: Sequence[str],
  outlook: Outlook,
) -> list[str]:
  """Describes a run that begins now: versions, devices, stages and time.

  Args:
    nets: as `build_nets` returns them.
    config: the config that they were built from, with all batches filled in.
    devices: devices to train on.
    workdir: path of the run's folder.
    stages_to_do: names of the stages that are not finished.
    outlook: of these stages.

  Returns:
    Lines for the terminal.
  """
  packages = versions.list_versions()
  done_stages = [name for name in stage_table.NAMES if name not in stages_to_do]
  lines = [
    f'dualgan_jax {packages["dualgan_jax"]}, jax {packages["jax"]}, '
    f'{describe_devices(devices)}',
    f'folder:   {workdir}',
  ]
  if done_stages:
    lines.append(f'not now:  {", ".join(done_stages)}')
  lines.append(f'to do:    {", ".join(stages_to_do)}')
  lines += drawn_teachers.describe(config, nets)
  if outlook.num_phases:
    num_programs = outlook.num_phases
    # Teachers of one net are trained by one program.
    if 'pretrain' in stages_to_do:
      trained_teachers = [nets.teachers[name] for name in nets.classifiers]
      num_programs -= len(trained_teachers)
      num_programs += len(group_by_net(trained_teachers))
    plural = '' if num_programs == 1 else 's'
    lines.append(
      f'expected: {describe_time(outlook.total_work)}; compiling '
      f'{num_programs} program{plural} comes on top'
    )
  return lines


def describe_plan(
  nets: Nets,
  config: Experiment,
  devices: Sequence[jax.Device],
  finished_stages: Sequence[str],
) -> list[str]:
  """Describes what a run would do on these devices, for a dry run.

  Args:
    nets: as `build_nets` returns them.
    config: the config that they were built from, with all batches filled in.
    devices: devices to train on.
    finished_stages: names of the stages that would not be trained.

  Returns:
    Lines of at most 80 characters: devices, memory, routing, and a table of
    stages with their work and time.
  """
  flops_by_stage, seconds_by_stage = (
    workload.sum_by_stage(workload.estimate_phases(nets, config, costs))
    for costs in (
      net_costs.count_flops(nets, config),
      net_costs.measure_seconds(nets, config, devices),
    )
  )
  table_rows = [
    ['stage', 'batch', 'GFLOP', 'expected time'],
    ['---', '---:', '---:', '---:'],
  ]
  for stage, flops in flops_by_stage.items():
    is_finished = stage in finished_stages
    table_rows.append(
      [
        stage,
        str(getattr(config, stage).batch),
        f'{flops / 1e9:,.0f}',
        'done' if is_finished else describe_time(seconds_by_stage[stage]),
      ]
    )
  seconds_left = sum(
    seconds
    for stage, seconds in seconds_by_stage.items()
    if stage not in finished_stages
  )
  speed = sum(flops_by_stage.values()) / sum(seconds_by_stage.values())
  return [
    f'devices: {describe_devices(devices)}; measured speed '
    f'{speed / 1e9:,.3g} GFLOP/s',
    _describe_memory(nets, config, devices),
    *textwrap.wrap(
      f'routing: {_describe_routing(nets, config)}',
      PAGE_WIDTH,
      subsequent_indent='  ',
    ),
    *drawn_teachers.describe(config, nets),
    align(table_rows),
    f'all stages: {describe_time(seconds_left)}; compiling and '
    'evaluating come on top',
  ]


def describe_devices(devices: Sequence[jax.Device]) -> str:
  """Describes devices: '8 × NVIDIA H200 (GPU)', '1 × CPU'."""
  platform = _PLATFORM_NAMES.get(devices[0].platform, devices[0].platform)
  kind = devices[0].device_kind
  # A CPU has no other name than this.
  is_named = kind.lower() != platform.lower()
  return f'{len(devices)} × {f"{kind} ({platform})" if is_named else platform}'


def describe_time(forward_seconds: float) -> str:
  """Describes how long a training takes, as 'about 2 to 5 minutes'.

  Args:
    forward_seconds: as `workload.estimate_phases` returns them.
  """
  least, most = (forward_seconds * factor for factor in _TIME_FACTORS)
  for unit, seconds in (('hours', 3600), ('minutes', 60)):
    if least >= 2 * seconds:
      return f'about {least / seconds:.0f} to {most / seconds:.0f} {unit}'
  if most >= 60:
    return f'about {max(least / 60, 1):.0f} to {most / 60 + 1:.0f} minutes'
  return 'less than a minute'


def _describe_memory(
  nets: Nets, config: Experiment, devices: Sequence[jax.Device]
) -> str:
  """Describes the memory that the largest stage needs at least."""
  bytes_by_stage: Mapping[str, int] = {
    stage: num_bytes
    for stage, (num_bytes, _) in memory.count_least_bytes(nets, config).items()
  }
  stage = max(bytes_by_stage, key=lambda name: bytes_by_stage[name])
  available_bytes = memory.share_memory(devices)
  available = (
    'of an unknown amount'
    if available_bytes == memory.UNLIMITED_BYTES
    else f'of {available_bytes / 1e9:,.3g} GB'
  )
  return (
    f'memory: {bytes_by_stage[stage] / 1e9:,.2g} GB {available} per device in '
    f'{stage}, and more for activations'
  )


def _describe_routing(nets: Nets, config: Experiment) -> str:
  """Describes whether each generated image will belong to one teacher."""
  teachers = list(nets.teachers.values())
  is_routed = configured_routing(config, teachers)
  if is_routed is None and has_prior(config, teachers):
    return 'not known yet, a short training of stage generator decides'
  state = 'on, each image belongs to one teacher' if is_routed else 'off'
  reason = explain_routing(config, teachers)
  return f'{state}; {reason}' if reason else state
