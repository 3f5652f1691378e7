"""Decides whether each generated image belongs to one teacher (`routing`)."""

from collections.abc import Sequence

import ml_collections

from dualgan_jax.experiment.context import RunContext
from dualgan_jax.experiment.nets import generator_phase
from dualgan_jax.stages import routing_probe
from dualgan_jax.teachers import forward
from dualgan_jax.teachers.teacher import Teacher
from dualgan_jax.training import console

# Batches that the gaps of the teachers' statistics are measured on.
_PROBE_BATCHES = 16


def decide_routing(
  context: RunContext, everyone: Sequence[Teacher]
) -> tuple[bool, dict[str, float]]:
  """Decides, if the config leaves it open by a short routed training.

  Args:
    context: of the run.
    everyone: all teachers, frozen.

  Returns:
    Whether it does; and by teacher's name the gap of its statistics, if a short
    routed training had to decide.
  """
  config, nets = context.config, context.nets
  is_new = not context.workdir.finished('generator')
  is_routed = configured_routing(config, everyone)
  if is_routed is not None:
    if is_new and is_routed and config.objective.routing == 'auto':
      certain = ', '.join(t.name for t in everyone if t.single_label)
      console.say(
        'generator: routing is on; a teacher with one label per image '
        f'({certain}) names one whatever it is shown. If all teachers describe '
        'the same images, set objective.routing=off.'
      )
    return is_routed, {}
  if not config.objective.prior or not any(
    forward.has_batch_norm(teacher, config.image) for teacher in everyone
  ):
    if is_new:
      console.say(
        'generator: routing is off; without the statistics prior nothing tells '
        'whether the teachers were trained on the same data. If they were not, '
        'set objective.routing=on.'
      )
    return False, {}
  probe_state = context.train(
    generator_phase(nets, config, everyone, routed=True, part='probe')
  )
  measured = context.train(
    routing_probe.phase(
      'generator/misfit',
      nets.generator,
      config.generator.noise,
      everyone,
      probe_state,
      num_batches=_PROBE_BATCHES,
      batch_size=config.generator.batch,
    )
  )
  gaps = routing_probe.statistics_gaps([t.name for t in everyone], measured)
  is_routed = routing_probe.needs_routing(gaps)
  if is_new:
    console.say(
      f'generator: routing is {"on" if is_routed else "off"}; all images '
      "together fit the teachers' statistics worse than their own by a factor "
      'of '
      + ', '.join(f'{gap:.2f} ({name})' for name, gap in gaps.items())
      + f'; it is on where their mean is above {routing_probe.ROUTE_ABOVE}'
    )
  return is_routed, gaps


def configured_routing(
  config: ml_collections.FrozenConfigDict, everyone: Sequence[Teacher]
) -> bool | None:
  """Returns what the config says; None if a training has to decide.

  Beside others, a teacher with one label per image names one whatever it sees.
  """
  if config.objective.routing != 'auto':
    return config.objective.routing != 'off'
  if len(everyone) == 1:
    return False
  return True if any(t.single_label for t in everyone) else None
