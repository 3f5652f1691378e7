"""The nets that a config describes, checked against one another."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import jax
import jax.numpy as jnp
import ml_collections

from dualgan_jax.config.fields import teacher_kind
from dualgan_jax.errors import UserError
from dualgan_jax.method.labels import LabelMap
from dualgan_jax.networks import architectures, classifier
from dualgan_jax.networks.classifier import Classifier
from dualgan_jax.networks.generator import Generator
from dualgan_jax.stages import generator as generator_stage
from dualgan_jax.stages.generator_loss import GeneratorLossWeights
from dualgan_jax.teachers import (
  agreement,
  forward,
  reference_logits,
  weight_files,
  weight_matching,
)
from dualgan_jax.teachers.teacher import (
  Preparation,
  Teacher,
  from_classifier,
  merged,
  prepared,
)
from dualgan_jax.training.phase import Phase, adam


@dataclasses.dataclass(frozen=True)
class Nets:
  """Everything that is built before anything is trained.

  Attributes:
    image: (height, width, channels).
    label_map: all teachers, and Y_cst.
    teachers: by name; those that are trained here of shapes only, the others
      with their variables.
    classifiers: by name, the nets of those that are trained here.
    student: T, with |Y_cst| logits.
    generator: G.
    loss_weights: of the generator's loss, not routed.
    unmerged: by name, the teachers of weight files in full precision and with
      all their blocks, as PyTorch has them.
  """

  image: tuple[int, int, int]
  label_map: LabelMap
  teachers: dict[str, Teacher]
  classifiers: dict[str, Classifier]
  student: Classifier
  generator: Generator
  loss_weights: GeneratorLossWeights
  unmerged: dict[str, Teacher]


def build_nets(
  config: ml_collections.FrozenConfigDict,
  own_teachers: Mapping[str, Teacher] = MappingProxyType({}),
) -> Nets:
  """Builds the nets; of arrays, only those of teachers that are not trained.

  Args:
    config: checked (`schema.check`); `generator.features` given.
    own_teachers: by name, those that a user's own code makes.

  Raises:
    UserError: labels or nets don't fit together, or weights don't fit theirs.
  """
  label_map = LabelMap.create(
    {name: net.labels for name, net in config.teachers.items()}, config.labels
  )
  classifiers = {
    name: _classifier(net, len(net.labels), config.precision, net.single_label)
    for name, net in config.teachers.items()
    if teacher_kind(net) == 'trained'
  }
  for name, net in classifiers.items():
    _refuse_too_small(f'teachers.{name}', net, config.image)
  own, unmerged = {}, {}
  for name, net in config.teachers.items():
    match teacher_kind(net):
      case 'trained':
        own[name] = abstract_teacher(
          name, net.labels, classifiers[name], config.image
        )
      case 'weights':
        own[name], unmerged[name] = _of_weights(name, net, config)
      case _:
        own[name] = own_teachers[name]
  student = _classifier(
    config.student,
    len(config.labels),
    config.precision,
    _one_label_per_image(own.values(), label_map, config.objective.routing),
  )
  _refuse_too_small('student', student, config.image)
  nets = {f'teachers.{name}': teacher for name, teacher in own.items()}
  nets['student'] = abstract_teacher(
    'student', config.labels, student, config.image
  )
  files = {
    f'teachers.{name}': teacher_kind(net)
    for name, net in config.teachers.items()
    if name not in classifiers
  }
  agreement.check_agreement(nets, config.image, files)

  shapes = forward.feature_shapes(nets['student'], config.image)
  blocks = len(shapes)
  for field, wanted in (('widths', blocks), ('features', blocks - 1)):
    given = len(config.generator[field])
    if given != wanted:
      raise UserError(
        f'generator.{field}: {given} values, but with {blocks} blocks it takes '
        f'{wanted}.'
      )
  # F_g^j has the size of block B-j's output; features are listed by block.
  generator = Generator(
    sizes=tuple(s[:2] for s in (*reversed(shapes[:-1]), config.image)),
    channels=(*reversed(config.generator.features), config.image[-1]),
    widths=config.generator.widths,
    dtype=_dtype(config.precision),
  )
  names = {f.name for f in dataclasses.fields(GeneratorLossWeights)}
  loss_weights = GeneratorLossWeights(
    **{name: config.objective[name] for name in names - {'routed'}}
  )
  return Nets(
    config.image,
    label_map,
    own,
    classifiers,
    student,
    generator,
    loss_weights,
    unmerged,
  )


def generator_phase(
  plan: Nets,
  config: ml_collections.FrozenConfigDict,
  frozen: Sequence[Teacher],
  *,
  routed: bool,
  part: str = 'train',
) -> Phase:
  """Stage `generator` of a plan, for teachers in the plan's order.

  Args:
    plan: of `make`.
    config: what it was made of.
    frozen: the teachers.
    routed: whether each image belongs to one teacher.
    part: 'train', or 'probe' for the short training that decides on `routed`.
  """
  own = config.generator
  steps = own.steps if part == 'train' else own.probe_steps
  return generator_stage.phase(
    f'generator/{part}',
    plan.generator,
    frozen,
    plan.label_map,
    dataclasses.replace(plan.loss_weights, routed=routed),
    image_shape=plan.image,
    latent_dim=own.noise,
    steps=steps,
    batch_size=own.batch,
    optimiser=adam(own.learning_rate, steps, b1=generator_stage.ADAM_B1),
  )


def abstract_teacher(
  name: str,
  labels: Sequence[str],
  net: Classifier,
  image: tuple[int, int, int],
) -> Teacher:
  """A teacher of shapes only, for all that computes nothing."""
  variables = jax.eval_shape(
    lambda key: net.init(key, image), jax.random.PRNGKey(0)
  )
  return from_classifier(name, tuple(labels), net, variables)


def _of_weights(name, own, config):
  """A teacher from a weight file; and the same in full precision, unmerged."""
  field = f'teachers.{name}.weights'
  architecture = architectures.ARCHITECTURES[own.architecture]
  size = tuple(own.size or config.image)
  _refuse_unfit_images(name, own, size)
  variables = weight_matching.take_over(
    field,
    own.architecture,
    weight_files.contents(weight_files.find(field, own.weights)),
    len(own.labels),
    size,
    index=own.index,
    stem_pool=own.stem_pool,
  )

  def teacher_of(dtype):
    pool = {} if own.stem_pool is None else {'stem_pool': own.stem_pool}
    net = dataclasses.replace(
      architecture.create(len(own.labels), dtype=dtype, **pool),
      single_label=own.single_label,
    )
    return prepared(
      from_classifier(name, tuple(own.labels), net, variables),
      Preparation(size, tuple(own.mean), tuple(own.deviation)),
    )

  unmerged = teacher_of(None)
  if own.reference:
    field = f'teachers.{name}.reference'
    path = weight_files.find_local(field, own.reference)
    reference_logits.check(field, path, unmerged, size)
  teacher = teacher_of(_dtype(config.precision))
  # From the last, or numbers would change on the way.
  for b in sorted({*own.merge}, reverse=True):
    if b >= len(unmerged.blocks):
      raise UserError(
        f'teachers.{name}.merge: there is no block after block {b} of '
        f'{len(unmerged.blocks)}; name smaller ones.'
      )
    teacher = merged(teacher, b)
  return teacher, unmerged


def _refuse_unfit_images(name, own, size):
  """Sees that an architecture takes images of a size, and a config's means."""
  architecture = architectures.ARCHITECTURES[own.architecture]
  least, most = architecture.smallest, architecture.largest
  small = min(size[:2]) < least
  if small or (most and max(size[:2]) > most):
    upto = f'to {most}×{most}' if most else 'or more'
    raise UserError(
      f'teachers.{name}.size: {size[0]}×{size[1]} is too '
      f'{"small" if small else "large"} for a {own.architecture}, which takes '
      f'{least}×{least} {upto}.'
    )
  for part in ('mean', 'deviation'):
    if len(own[part]) not in (1, size[-1]):
      raise UserError(
        f'teachers.{name}.{part}: {len(own[part])} values for {size[-1]} '
        'channel(s); give one for all, or one for each.'
      )


def _refuse_too_small(field, net, image):
  """Sees that each block leaves something of an image."""
  x = jax.ShapeDtypeStruct((1, *image), jnp.float32)
  for b, block in enumerate(net.blocks, start=1):
    x, _ = jax.eval_shape(
      functools.partial(block.init_with_output, train=False),
      jax.random.PRNGKey(0),
      x,
    )
    if 0 in x.shape:
      raise UserError(
        f'{field}.strides: block {b} leaves nothing of an image of '
        f'{image[0]}×{image[1]}; take a larger one, or smaller strides.'
      )


def _one_label_per_image(everyone, label_map, routing):
  """Whether an image has one of the student's labels, and never another.

  So it is where no teacher answers independent labels, each image belongs to
  one teacher, and all labels are asked for: the student then ends in a softmax.
  """
  return (
    all(t.single_label for t in everyone)
    and {*label_map.customised} == {*label_map.union}
    and (len(label_map.teachers) == 1 or routing in ('auto', 'on'))
  )


def _classifier(net, labels, precision, single_label):
  return classifier.create(
    kind=net.kind,
    widths=net.widths,
    depths=net.depths,
    strides=net.strides,
    batch_norm=net.batch_norm,
    labels=labels,
    single_label=single_label,
    dtype=_dtype(precision),
  )


def _dtype(precision):
  # Full precision is that of the input, so that double stays double.
  return jnp.bfloat16 if precision == 'bfloat16' else None
