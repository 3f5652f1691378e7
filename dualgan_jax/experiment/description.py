"""What `--dry_run` prints: the nets of a plan, and how they fit together."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from dualgan_jax.config.fields import teacher_kind
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
from dualgan_jax.teachers.teacher import Teacher


def describe(design: Nets, config: ml_collections.FrozenConfigDict) -> str:
  """Lists teachers, labels, blocks, feature shapes and costs.

  Args:
    design: of `build_nets`.
    config: what it was made of.
  """
  nets = list(design.teachers.values())
  student = abstract_teacher(
    'student', config.labels, design.student, design.image
  )
  lines = ['teachers']
  lines += [
    f'  {t.name} ({_origin(config.teachers[t.name])}) answers '
    f'{"one of " if t.single_label else ""}{", ".join(t.labels)}: '
    f'{_net(t, design)}'
    for t in nets
  ]
  lines += _comparisons(design, config)
  lines.append(f'labels asked for (Y_cst): {", ".join(config.labels)}')
  for label in config.labels:
    several = [t.name for t in nets if label in t.labels]
    if len(several) > 1:
      lines.append(f'  {label} is what {" and ".join(several)} answer together')
  lines.append(f'blocks: {len(design.student.blocks)}')
  lines += _generator(design, config, nets)
  one = ', one label per image' if design.student.single_label else ''
  lines.append(f'compact: {_net(student, design)}{one}')
  if config.dual.steps:
    lines += _branched(design, nets, student)
  if config.refine.steps:
    lines.append(_pool(config))
  lines += missing_prior(nets, design)
  return '\n'.join(lines)


def _comparisons(
  design: Nets, config: ml_collections.FrozenConfigDict
) -> list[str]:
  """Lists what to compare with PyTorch, where a config names no reference."""
  lines = []
  for name, teacher in design.unmerged.items():
    teacher_config = config.teachers[name]
    if teacher_config.reference is None:
      size = tuple(teacher_config.size or config.image)
      lines += reference_logits.comparison(
        teacher, size, teacher_config.mean, teacher_config.deviation
      )
  return lines


def _pool(config: ml_collections.FrozenConfigDict) -> str:
  images = config.refine.pool_batches * config.refine.batch
  size = images * math.prod(config.image)  # uint8
  return (
    f'refine: a pool of {images:,} images, {size / 1e6:.0f} MB on each device '
    'and in each checkpoint'
  )


def missing_prior(nets: list[Teacher], design: Nets) -> list[str]:
  """A line per teacher whom the statistics prior asks for what it lacks."""
  return [
    f'teacher {t.name} has no batch norm (nn.BatchNorm of Flax Linen): the '
    'objective goes without the statistics prior for it'
    for t in nets
    if design.loss_weights.prior and not forward.has_batch_norm(t, design.image)
  ]


def _generator(
  design: Nets,
  config: ml_collections.FrozenConfigDict,
  nets: list[Teacher],
) -> list[str]:
  routed = bool(configured_routing(config, nets))
  phase = generator_phase(design, config, nets, routed=routed)
  state = jax.eval_shape(phase.init, jax.random.PRNGKey(0))
  variables = join(state.params['generator'], state.batch_stats)

  def generate(variables, noise):
    return design.generator.apply(variables, noise, train=False)

  size = config.generator.noise + (len(nets) if routed else 0)
  noise = jax.ShapeDtypeStruct((1, size), jnp.float32)
  *groups, image = jax.eval_shape(generate, variables, noise)
  lines = ['generated features, and the teachers’ features that they meet']
  for j, group in enumerate(groups, start=1):
    b = len(groups) + 1 - j
    met = ', '.join(
      f'{t.name} {_by(forward.feature_shapes(t, design.image)[b - 1])}'
      for t in nets
    )
    lines.append(f'  F_g^{j} {_by(group.shape[1:])} after block {b}: {met}')
  lines.append(f'  F_g^{len(groups) + 1} {_by(image.shape[1:])}: the image')
  filters = cost.count_parameters(state.params['filters'])
  lines.append(
    f'generator: {_cost(generate, variables, noise)}; filters: {filters:,} '
    'parameters'
  )
  return lines


def _branched(design: Nets, nets: list[Teacher], student: Teacher) -> list[str]:
  """The shallowest and the deepest branched net; the real one lies between."""
  label_map = design.label_map.restrict_to_relevant()
  asked = [nets[m] for m in design.label_map.relevant_teachers]
  ends = sorted({1, len(design.student.blocks) - 1})
  lines = []
  for point in ends:
    filters = [
      jax.eval_shape(
        functools.partial(
          discriminators.init_filter,
          channels=design.student.blocks[point - 1].width,
          teacher_channels=forward.feature_shapes(t, design.image)[point - 1][
            -1
          ],
        ),
        jax.random.PRNGKey(0),
      )
      for t in asked
    ]
    net, variables = branched.create(
      design.student.blocks,
      student.variables,
      filters,
      asked,
      [point] * len(asked),
      label_map,
    )
    costs = _cost(
      lambda v, x, net=net: net.apply(v, x, train=False)[0],
      variables,
      _image(design),
    )
    lines.append(f'branched, if all branch after block {point}: {costs}')
  return lines


def _origin(own: ml_collections.FrozenConfigDict) -> str:
  match teacher_kind(own):
    case 'trained':
      return own.kind
    case 'module':
      return own.module
    case 'given':
      return 'in memory'
  sized = f', shown {_by(own.size)}' if own.size else ''
  return f'{own.architecture} of {own.weights}{sized}'


def _net(net: Teacher, design: Nets) -> str:
  return _cost(
    lambda v, x: forward.tail(net, v, x, 0),
    net.variables,
    _image(design),
  )


def _cost(fn: Any, variables: Any, x: jax.ShapeDtypeStruct) -> str:
  return (
    f'{cost.count_parameters(variables):,} parameters, '
    f'{cost.count_flops(fn, variables, x):,} FLOPs per image'
  )


def _image(design):
  return jax.ShapeDtypeStruct((1, *design.image), jnp.float32)


def _by(shape):
  return '×'.join(map(str, shape))
