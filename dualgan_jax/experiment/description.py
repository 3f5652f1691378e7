"""Describes the nets of a run, and how they fit together, for `--dry_run`."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from dualgan_jax.config import teacher_groups
from dualgan_jax.config.fields import Experiment
from dualgan_jax.config.teacher_groups import (
  GivenTeacher,
  ModuleTeacher,
  StudentTeacher,
  TorchExportTeacher,
  TrainedTeacher,
)
from dualgan_jax.display import format_shape, join_names
from dualgan_jax.experiment import exported_teachers
from dualgan_jax.experiment.nets import (
  Nets,
  abstract_teacher,
  generator_phase,
)
from dualgan_jax.experiment.routing_decision import configured_routing
from dualgan_jax.method import branched, discriminators
from dualgan_jax.networks.classifier import join
from dualgan_jax.reporting import cost
from dualgan_jax.teachers import forward, reference_logits
from dualgan_jax.teachers.stack import group_by_net
from dualgan_jax.teachers.teacher import Teacher

# Teachers that are listed one by one; of more, those alike are counted.
_MOST_NAMES = 3
# Teachers that a warning names.
_MOST_WARNED = 8


def describe(nets: Nets, config: Experiment) -> str:
  """Describes teachers, labels, blocks, feature shapes and costs.

  Args:
    nets: as `build_nets` returns them.
    config: the config that they were built from.

  Returns:
    Several lines of text.
  """
  teachers = list(nets.teachers.values())
  # Costs and shapes need no variables, and so no time for large nets.
  student = abstract_teacher(
    'student', config.labels, nets.student, nets.image_shape
  )
  lines = ['teachers', *_describe_teachers(nets, config, teachers)]
  lines += _list_comparisons(nets, config)
  lines.append(f'labels asked for (Y_cst): {", ".join(config.labels)}')
  lines += _describe_shared_labels(config.labels, teachers)
  lines.append(f'blocks: {len(nets.student.blocks)}')
  lines += _describe_generator(nets, config, teachers)
  label_note = ', one label per image' if nets.student.single_label else ''
  lines.append(f'compact: {_describe_teacher_cost(student, nets)}{label_note}')
  # Stages without steps are not run.
  if config.dual.steps:
    lines += _describe_branched_nets(nets, teachers, student)
  if config.refine.steps:
    lines.append(_describe_replay_buffer(config))
  lines += list_missing_priors(config, teachers)
  return '\n'.join(lines)


def list_missing_priors(
  config: Experiment, teachers: Sequence[Teacher]
) -> list[str]:
  """Lists the teachers without statistics of features for the prior to match.

  Args:
    config: a checked config.
    teachers: all teachers, with variables or with shapes only.

  Returns:
    A line per net of such teachers; none if the objective has no prior.
  """
  if not config.objective.bn_prior_weight:
    return []
  return [
    f'teacher{"" if len(group) == 1 else "s"} '
    f'{join_names([teacher.name for teacher in group], _MOST_WARNED)} '
    f'{"has" if len(group) == 1 else "have"} no batch norm of Flax, and no '
    '`statistics`: the statistics prior '
    + (
      'matches the mean and std of '
      f'{"its" if len(group) == 1 else "their"} images only'
      if group[0].statistics
      else 'does without it'
    )
    for group in group_by_net(teachers)
    if not forward.has_batch_norm(group[0], config.image_shape)
  ]


def _describe_teachers(
  nets: Nets, config: Experiment, teachers: Sequence[Teacher]
) -> list[str]:
  """Describes each teacher in a line, or each kind if there are many."""
  # By net, labels and origin; by name, if there are few.
  teachers_by_kind: dict[Any, list[Teacher]] = {}
  for number, group in enumerate(group_by_net(teachers)):
    for teacher in group:
      origin = _describe_origin(config.teachers[teacher.name])
      kind = number, teacher.labels, origin
      if len(teachers) <= _MOST_NAMES:
        kind = teacher.name, *kind
      teachers_by_kind.setdefault(kind, []).append(teacher)
  lines_by_name = {}
  for (*_, origin), alike in teachers_by_kind.items():
    names = join_names([teacher.name for teacher in alike], _MOST_NAMES)
    lines_by_name[alike[0].name] = (
      f'  {names} ({origin}) {"answers" if len(alike) == 1 else "each answer"} '
      f'{"one of " if alike[0].single_label else ""}'
      f'{", ".join(alike[0].labels)}: {_describe_teacher_cost(alike[0], nets)}'
    )
  # In the config's order, though they are grouped by net.
  return [
    lines_by_name[teacher.name]
    for teacher in teachers
    if teacher.name in lines_by_name
  ]


def _describe_shared_labels(
  labels: Sequence[str], teachers: Sequence[Teacher]
) -> list[str]:
  """Describes where logits are combined: a line for each set of owners."""
  labels_by_owners: dict[tuple[str, ...], list[str]] = {}
  for label in labels:
    owner_names = tuple(
      teacher.name for teacher in teachers if label in teacher.labels
    )
    if len(owner_names) > 1:
      labels_by_owners.setdefault(owner_names, []).append(label)
  return [
    f'  {", ".join(shared_labels)} '
    f'{"is" if len(shared_labels) == 1 else "are"} what '
    f'{join_names(owner_names, _MOST_NAMES)} answer together'
    for owner_names, shared_labels in labels_by_owners.items()
  ]


def _list_comparisons(nets: Nets, config: Experiment) -> list[str]:
  """Lists what was understood of PyTorch's files, and what to compare."""
  lines = []
  for name, teacher in nets.unmerged.items():
    teacher_config = config.teachers[name]
    image_shape = tuple(config.image_shape)
    if isinstance(teacher_config, TorchExportTeacher):
      descriptions = exported_teachers.describe(name, teacher_config)
      lines += [f'  {name}: {line}' for line in descriptions]
      image_shape = teacher.image_shape
    elif teacher_config.image_shape:
      image_shape = tuple(teacher_config.image_shape)
    # A reference has been compared already, when the teacher was built.
    if teacher_config.reference is None:
      lines += reference_logits.describe_comparison(
        teacher,
        image_shape,
        teacher_config.mean,
        teacher_config.std,
      )
  return lines


def _describe_replay_buffer(config: Experiment) -> str:
  """Describes the images that stage `refine` holds in memory."""
  num_images = config.refine.replay_buffer_batches * config.refine.batch
  # One byte per value: they are uint8.
  num_bytes = num_images * math.prod(config.image_shape)
  return (
    f'refine: a pool of {num_images:,} images, {num_bytes / 1e6:.0f} MB on '
    'each device and in each checkpoint'
  )


def _describe_generator(
  nets: Nets,
  config: Experiment,
  teachers: Sequence[Teacher],
) -> list[str]:
  """Describes the groups of the generator, its filters and its costs."""
  is_routed = bool(configured_routing(config, teachers))
  phase = generator_phase(nets, config, teachers, is_routed=is_routed)
  state = jax.eval_shape(phase.init, jax.random.PRNGKey(0))
  variables = join(state.params['generator'], state.batch_stats)

  def generate(variables, latents):
    return nets.generator.apply(variables, latents, train=False)

  # A routed latent also says which teacher its image belongs to.
  latent_dim = config.generator.latent_dim + (len(teachers) if is_routed else 0)
  latents = jax.ShapeDtypeStruct((1, latent_dim), jnp.float32)
  *groups, images = jax.eval_shape(generate, variables, latents)
  lines = ['generated features, and the teachers’ features that they meet']
  feature_shapes = [
    forward.feature_shapes(teacher, nets.image_shape) for teacher in teachers
  ]
  # The generator mirrors the teachers: F_g^j meets block B-j.
  for group_number, group in enumerate(groups, start=1):
    block_number = len(groups) + 1 - group_number
    names_by_features: dict[Any, list[str]] = {}
    for teacher, shapes in zip(teachers, feature_shapes, strict=True):
      features = format_shape(shapes[block_number - 1])
      kind = features, teacher.name if len(teachers) <= _MOST_NAMES else ''
      names_by_features.setdefault(kind, []).append(teacher.name)
    teacher_features = ', '.join(
      f'{join_names(names, _MOST_NAMES)} {features}'
      for (features, _), names in names_by_features.items()
    )
    lines.append(
      f'  F_g^{group_number} {format_shape(group.shape[1:])} after block '
      f'{block_number}: {teacher_features}'
    )
  lines.append(
    f'  F_g^{len(groups) + 1} {format_shape(images.shape[1:])}: the image'
  )
  # Filters stand between generator and teachers, so they are counted apart.
  filter_parameters = cost.count_parameters(state.params['filters'])
  lines.append(
    f'generator: {_describe_cost(generate, variables, latents)}; filters: '
    f'{filter_parameters:,} parameters'
  )
  return lines


def _describe_branched_nets(
  nets: Nets, teachers: Sequence[Teacher], student: Teacher
) -> list[str]:
  """Describes the shallowest and the deepest branched net.

  The branch points are chosen by measured losses, so that before a training
  only the bounds of the real one are known.
  """
  relevant_labels = nets.label_map.restrict_to_relevant()
  relevant_teachers = [
    teachers[index] for index in nets.label_map.relevant_teachers
  ]
  lines = []
  for branch_point in sorted({1, len(nets.student.blocks) - 1}):
    # Their widths, and so the costs, depend on the branch point.
    filters = [
      jax.eval_shape(
        functools.partial(
          discriminators.init_filter,
          channels=nets.student.blocks[branch_point - 1].width,
          teacher_channels=forward.feature_shapes(teacher, nets.image_shape)[
            branch_point - 1
          ][-1],
        ),
        jax.random.PRNGKey(0),
      )
      for teacher in relevant_teachers
    ]
    branched_net, variables = branched.create(
      nets.student.blocks,
      student.variables,
      filters,
      relevant_teachers,
      [branch_point] * len(relevant_teachers),
      relevant_labels,
    )

    def answer(variables, images, branched_net=branched_net):
      return branched_net.apply(variables, images, train=False)[0]

    lines.append(
      f'branched, if all branch after block {branch_point}: '
      f'{_describe_cost(answer, variables, _make_image_spec(nets))}'
    )
  return lines


def _describe_origin(teacher_config: teacher_groups.Teacher) -> str:
  """Describes where a teacher comes from: a net, a module, a weight file."""
  match teacher_config:
    case TrainedTeacher():
      return teacher_config.kind
    case ModuleTeacher():
      return teacher_config.module
    case TorchExportTeacher():
      return teacher_config.torch_export
    case StudentTeacher():
      return f'the student of {teacher_config.student}'
    case GivenTeacher():
      return 'in memory'
  size_note = (
    f', shown {format_shape(teacher_config.image_shape)}'
    if teacher_config.image_shape
    else ''
  )
  return f'{teacher_config.architecture} of {teacher_config.weights}{size_note}'


def _describe_teacher_cost(teacher: Teacher, nets: Nets) -> str:
  """Describes the parameters and FLOPs of a teacher, or of the student."""
  return _describe_cost(
    lambda variables, images: forward.tail(teacher, variables, images, 0),
    teacher.variables,
    _make_image_spec(nets),
  )


def _describe_cost(
  apply: Callable[[Any, Any], Any],
  variables: Any,
  input_spec: jax.ShapeDtypeStruct,
) -> str:
  """Describes the parameters and FLOPs of a function of variables and input."""
  return (
    f'{cost.count_parameters(variables):,} parameters, '
    f'{cost.count_flops(apply, variables, input_spec):,} FLOPs per image'
  )


def _make_image_spec(nets: Nets) -> jax.ShapeDtypeStruct:
  """Makes shape and type of a batch of one image."""
  return jax.ShapeDtypeStruct((1, *nets.image_shape), jnp.float32)
