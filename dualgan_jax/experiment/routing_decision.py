"""Decides whether each generated image belongs to one teacher (`routing`)."""

from collections.abc import Sequence

from dualgan_jax.config.fields import Experiment
from dualgan_jax.config.teacher_groups import TrainedTeacher
from dualgan_jax.display import join_names
from dualgan_jax.experiment.context import RunContext
from dualgan_jax.experiment.nets import generator_phase
from dualgan_jax.method.labels import have_same_labels
from dualgan_jax.stages import routing_probe
from dualgan_jax.teachers import forward
from dualgan_jax.teachers.stack import group_by_net
from dualgan_jax.teachers.teacher import Teacher
from dualgan_jax.training import console

# Teachers that a reason names.
_MOST_NAMES = 3
# Batches that the gaps of the teachers' statistics are measured on.
PROBE_BATCHES = 16


def decide_routing(
  context: RunContext, all_teachers: Sequence[Teacher]
) -> tuple[bool, dict[str, float]]:
  """Decides whether images are routed, by a short routed training if needed.

  Args:
    context: context of the run.
    all_teachers: all teachers, frozen.

  Returns:
    Whether images are routed; and by teacher's name its statistics gap, which
    is empty unless a short routed training had to decide.
  """
  config, nets = context.config, context.nets
  is_new = not context.workdir.finished('generator')
  is_routed = configured_routing(config, all_teachers)
  if is_routed is not None or not has_prior(config, all_teachers):
    if is_new and (reason := explain_routing(config, all_teachers)):
      state = 'on' if is_routed else 'off'
      console.say(f'generator: routing is {state}; {reason}')
    return bool(is_routed), {}
  probe_state = context.train(
    generator_phase(nets, config, all_teachers, is_routed=True, part='probe')
  )
  gap_state = context.train(
    routing_probe.phase(
      'generator/misfit',
      nets.generator,
      config.generator.latent_dim,
      all_teachers,
      probe_state,
      num_batches=PROBE_BATCHES,
      batch_size=config.generator.batch,
    )
  )
  statistics_gaps = routing_probe.statistics_gaps(
    [teacher.name for teacher in all_teachers], gap_state
  )
  is_routed = routing_probe.needs_routing(statistics_gaps)
  if is_new:
    console.say(
      f'generator: routing is {"on" if is_routed else "off"}; all images '
      "together fit the teachers' statistics worse than their own by a factor "
      'of '
      + ', '.join(
        f'{gap:.2f} ({name})' for name, gap in statistics_gaps.items()
      )
      + f'; it is on where their mean is above {routing_probe.ROUTE_ABOVE}'
    )
  return is_routed, statistics_gaps


def has_prior(config: Experiment, all_teachers: Sequence[Teacher]) -> bool:
  """Returns whether the objective has the statistics prior of some teacher.

  Args:
    config: a checked config.
    all_teachers: all teachers, with variables or with shapes only.
  """
  return bool(config.objective.bn_prior_weight) and any(
    forward.has_batch_norm(group[0], config.image_shape)
    for group in group_by_net(all_teachers)
  )


def explain_routing(config: Experiment, all_teachers: Sequence[Teacher]) -> str:
  """Explains what has decided on routes without a training.

  Args:
    config: a checked config.
    all_teachers: all teachers, with variables or with shapes only.

  Returns:
    Why images are routed or not, and how to change it; '' if the config says
    so, if there is one teacher, or if a training decides.
  """
  if config.objective.routing != 'auto' or len(all_teachers) == 1:
    return ''
  is_routed = configured_routing(config, all_teachers)
  if is_routed:
    names = [teacher.name for teacher in all_teachers if teacher.single_label]
    return (
      'a teacher with one label per image '
      f'({join_names(names, _MOST_NAMES)}) names one whatever it is shown. If '
      'all teachers describe the same images, set objective.routing=off.'
    )
  if is_routed is None:
    # A training compares statistics, which only the prior makes images match.
    if has_prior(config, all_teachers):
      return ''
    return (
      'without the statistics prior nothing tells whether the teachers were '
      'trained on the same data. If they were not, set objective.routing=on.'
    )
  if _have_same_images(config):
    return 'all teachers learned from the same images'
  return (
    'all teachers answer the same labels. If they were trained on images of '
    'unlike kinds, set objective.routing=on.'
  )


def configured_routing(
  config: Experiment, all_teachers: Sequence[Teacher]
) -> bool | None:
  """Returns whether the config routes images; None if a training must decide.

  Args:
    config: a checked config.
    all_teachers: all teachers, with variables or with shapes only.
  """
  if config.objective.routing != 'auto':
    return config.objective.routing != 'off'
  # One teacher; or several of the same kind of images, as the clients of
  # federated learning: routed, each image would be judged by one client, which
  # may have seen few of its label.
  if have_same_labels(teacher.labels for teacher in all_teachers):
    return False
  if _have_same_images(config):
    return False
  # A teacher with one label per image names a label for any image, also for
  # images of other teachers.
  has_single_label = any(teacher.single_label for teacher in all_teachers)
  return True if has_single_label else None


def _have_same_images(config: Experiment) -> bool:
  """Returns whether several teachers are trained here on all of one set."""
  teachers = list(config.teachers.values())
  return (
    len(teachers) > 1
    and config.pretrain.teacher_data == 'shared'
    # One of several labels per image: only images that carry one are shown.
    and all(
      isinstance(teacher, TrainedTeacher) and not teacher.single_label
      for teacher in teachers
    )
    and len({(teacher.data, teacher.client) for teacher in teachers}) == 1
  )
