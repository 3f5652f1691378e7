"""Builds the nets that a config describes, and checks that they fit."""

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import jax
import jax.numpy as jnp

from dualgan_jax.config import stage_table
from dualgan_jax.config.fields import Experiment
from dualgan_jax.config.teacher_groups import (
  ExternalTeacher,
  Net,
  TorchExportTeacher,
  TrainedTeacher,
  WeightsTeacher,
)
from dualgan_jax.display import format_shape
from dualgan_jax.errors import UserError
from dualgan_jax.experiment import exported_teachers, weight_teachers
from dualgan_jax.method.labels import LabelMap, have_same_labels
from dualgan_jax.networks import classifier
from dualgan_jax.networks.classifier import Classifier
from dualgan_jax.networks.generator import Generator, ImageStatistics
from dualgan_jax.stages import generator as generator_stage
from dualgan_jax.teachers import agreement, forward, preparation
from dualgan_jax.teachers.preparation import Preparation
from dualgan_jax.teachers.teacher import Teacher, from_classifier, prepared
from dualgan_jax.training.phase import Phase, adam


@dataclasses.dataclass(frozen=True)
class Nets:
  """Everything that is built before anything is trained.

  Attributes:
    image_shape: (height, width, channels).
    label_map: labels of all teachers, and Y_cst.
    teachers: by name; a teacher that is trained here has shapes instead of
      variables.
    classifiers: by name, the nets of the teachers that are trained here.
    student: T, with |Y_cst| logits.
    generator: G.
    unmerged: by name, the teachers of PyTorch's files in full precision and
      with all their blocks, as PyTorch has them.
  """

  image_shape: tuple[int, int, int]
  label_map: LabelMap
  teachers: dict[str, Teacher]
  classifiers: dict[str, Classifier]
  student: Classifier
  generator: Generator
  unmerged: dict[str, Teacher]


def build_nets(
  config: Experiment,
  external_teachers: Mapping[str, Teacher] = MappingProxyType({}),
) -> Nets:
  """Builds the nets; only teachers that exist already have arrays.

  Args:
    config: a checked config.
    external_teachers: by name, the teachers that a user's code made.

  Raises:
    UserError: labels or nets don't fit together, or a weight file does not fit
      its net.
  """
  label_map = LabelMap.create(
    {name: entry.labels for name, entry in config.teachers.items()},
    config.labels,
  )
  classifiers = _build_classifiers(config)
  teachers, unmerged = _build_teachers(config, classifiers, external_teachers)
  # The student's head depends on whether the teachers' labels are exclusive.
  student = _build_classifier(
    config.student,
    len(config.labels),
    config.precision,
    _has_single_label(teachers.values(), label_map, config.objective.routing),
  )
  _check_feature_sizes('student', student, config.image_shape)
  # As a teacher of shapes only, the student is checked like the others.
  abstract_student = abstract_teacher(
    'student', config.labels, student, config.image_shape
  )
  # Messages name these fields instead of widths and strides.
  file_fields = {
    f'teachers.{name}': entry.origin_field
    for name, entry in config.teachers.items()
    if isinstance(entry, ExternalTeacher)
  }
  agreement.check_agreement(
    {
      **{f'teachers.{name}': teacher for name, teacher in teachers.items()},
      'student': abstract_student,
    },
    config.image_shape,
    file_fields,
  )
  return Nets(
    config.image_shape,
    label_map,
    teachers,
    classifiers,
    student,
    _build_generator(
      config, forward.feature_shapes(abstract_student, config.image_shape)
    ),
    unmerged,
  )


def generator_phase(
  nets: Nets,
  config: Experiment,
  teachers: Sequence[Teacher],
  *,
  is_routed: bool,
  part: str = 'train',
) -> Phase:
  """Makes a phase of stage `generator`.

  Args:
    nets: as `build_nets` returns them.
    config: the config that they were built from.
    teachers: the frozen teachers, in the config's order.
    is_routed: whether each image belongs to one teacher.
    part: 'train', or 'probe' for the short training that decides on routing.
  """
  training = config.generator
  # The probe differs from the real training in its number of steps only.
  if part == 'probe':
    training = training.model_copy(update={'steps': training.probe_steps})
  return generator_stage.phase(
    f'generator/{part}',
    nets.generator,
    teachers,
    nets.label_map,
    config.objective,
    training,
    routed=is_routed,
    image_shape=nets.image_shape,
    optimiser=adam(
      training.learning_rate, training.steps, b1=generator_stage.ADAM_B1
    ),
    teachers_per_step=config.teachers_per_step or 0,
  )


def abstract_teacher(
  name: str,
  labels: Sequence[str],
  net: Classifier,
  image_shape: tuple[int, int, int],
) -> Teacher:
  """Makes a teacher that has shapes instead of variables.

  Args:
    name: name of the teacher.
    labels: its labels, in the order of its logits.
    net: its blocks and head.
    image_shape: (height, width, channels).
  """
  variables = _variable_shapes(net, tuple(image_shape))
  return from_classifier(name, tuple(labels), net, variables)


# Many teachers may be of one net.
@functools.lru_cache(maxsize=16)
def _variable_shapes(
  net: Classifier, image_shape: tuple[int, int, int]
) -> tuple:
  """Finds out the shapes of a net's variables."""
  return jax.eval_shape(
    lambda key: net.init(key, image_shape), jax.random.PRNGKey(0)
  )


def preparation_of(
  name: str, teacher: TrainedTeacher, image_shape: tuple[int, int, int]
) -> Preparation:
  """Makes the preparation of the images that a teacher is trained on.

  Args:
    name: name of the teacher.
    teacher: its group of the config.
    image_shape: (height, width, channels).

  Raises:
    UserError: its mean or std does not fit the images.
  """
  return preparation.make(
    f'teachers.{name}.', image_shape, teacher.mean, teacher.std
  )


def _build_classifiers(
  config: Experiment,
) -> dict[str, Classifier]:
  """Builds the nets of the teachers that are trained here."""
  classifiers = {
    name: _build_classifier(
      entry, len(entry.labels), config.precision, entry.single_label
    )
    for name, entry in config.teachers.items()
    if isinstance(entry, TrainedTeacher)
  }
  # Of equal nets, the last one's check serves all.
  for net, name in {net: name for name, net in classifiers.items()}.items():
    _check_feature_sizes(f'teachers.{name}', net, config.image_shape)
  return classifiers


def _build_teachers(
  config: Experiment,
  classifiers: Mapping[str, Classifier],
  external_teachers: Mapping[str, Teacher],
) -> tuple[dict[str, Teacher], dict[str, Teacher]]:
  """Builds all teachers, and the unmerged ones of PyTorch's files."""
  teachers, unmerged = {}, {}
  for name, entry in config.teachers.items():
    match entry:
      case TrainedTeacher():
        # Stage `pretrain` makes its variables.
        teachers[name] = prepared(
          abstract_teacher(
            name, entry.labels, classifiers[name], config.image_shape
          ),
          preparation_of(name, entry, config.image_shape),
        )
      case WeightsTeacher():
        teachers[name], unmerged[name] = weight_teachers.build(
          name, entry, config.image_shape, _compute_dtype(config.precision)
        )
      case TorchExportTeacher():
        teachers[name], unmerged[name] = exported_teachers.build(
          name, entry, _compute_dtype(config.precision)
        )
      case _:
        # A user's code has made net and variables.
        teachers[name] = external_teachers[name]
  return teachers, unmerged


def _build_generator(
  config: Experiment,
  feature_shapes: Sequence[tuple[int, ...]],
) -> Generator:
  """Builds the generator that mirrors a student's features, block by block."""
  # The last group is the image itself, so it has no features.
  num_blocks = len(feature_shapes)
  for field, num_expected in (
    ('widths', num_blocks),
    ('features', num_blocks - 1),
  ):
    num_values = len(getattr(config.generator, field))
    if num_values != num_expected:
      raise UserError(
        f'generator.{field}: {num_values} values, but with {num_blocks} blocks '
        f'it takes {num_expected}.'
      )
  # F_g^j has the size of block B-j's output; features are listed by block.
  group_shapes = (*reversed(feature_shapes[:-1]), config.image_shape)
  return Generator(
    sizes=tuple(shape[:2] for shape in group_shapes),
    channels=(*reversed(config.generator.features), config.image_shape[-1]),
    widths=config.generator.widths,
    image_statistics=_image_statistics(config.generator),
    dtype=_compute_dtype(config.precision),
  )


def _image_statistics(
  config: stage_table.Generator,
) -> ImageStatistics | None:
  """Returns mean and std of generated images, if a batch norm sets them."""
  if config.image_mean is None or config.image_std is None:
    return None
  return config.image_mean, config.image_std


def _check_feature_sizes(
  field: str, net: Classifier, image_shape: tuple[int, int, int]
) -> None:
  """Checks that each block's features have at least one pixel."""
  features = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  for block_number, block in enumerate(net.blocks, start=1):
    features, _ = jax.eval_shape(
      functools.partial(block.init_with_output, train=False),
      jax.random.PRNGKey(0),
      features,
    )
    # Later, the error of JAX would not name the cause.
    if 0 in features.shape:
      raise UserError(
        f'{field}.strides: block {block_number} leaves nothing of an image of '
        f'{format_shape(image_shape[:2])}; take a larger one, or smaller '
        'strides.'
      )


def _has_single_label(
  teachers: Iterable[Teacher], label_map: LabelMap, routing: str
) -> bool:
  """Returns whether exactly one of the student's labels is right for an image.

  It is, where no teacher answers independent labels, Y_cst has all labels, and
  all teachers answer the same ones or each image belongs to one teacher. The
  student then ends in a softmax.
  """
  teachers = tuple(teachers)
  return (
    all(teacher.single_label for teacher in teachers)
    and {*label_map.customised} == {*label_map.union}
    and (
      have_same_labels(teacher.labels for teacher in teachers)
      or routing in ('auto', 'on')
    )
  )


def _build_classifier(
  net_config: Net,
  num_labels: int,
  precision: str,
  single_label: bool,
) -> Classifier:
  """Builds a net of the config's group `student`, or of a trained teacher."""
  return classifier.create(
    kind=net_config.kind,
    widths=net_config.widths,
    depths=net_config.depths,
    strides=net_config.strides,
    hidden_widths=net_config.hidden_widths,
    batch_norm=net_config.batch_norm,
    num_labels=num_labels,
    single_label=single_label,
    dtype=_compute_dtype(precision),
  )


def _compute_dtype(precision: str) -> jnp.dtype | None:
  """Returns the type that nets compute in; None for that of their input."""
  # Full precision is that of the input, so that double stays double.
  return jnp.bfloat16 if precision == 'bfloat16' else None
