"""Distillation: a net learns the teachers' answers to images, end to end.

The stages `targetnet`, `refine` and `baselines` do so, on images of different
origin.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import optax
from flax import struct

from dualgan_jax import losses
from dualgan_jax.config.augmentation_group import Augmentation
from dualgan_jax.method import discriminators, routing
from dualgan_jax.method.frozen_generator import FrozenGenerator
from dualgan_jax.method.labels import LabelMap
from dualgan_jax.method.teacher_draws import DrawnTeachers, TeacherDraws
from dualgan_jax.networks.classifier import join, split
from dualgan_jax.stages.augmentation import augment_batch, draw_augmented
from dualgan_jax.teachers import forward
from dualgan_jax.teachers.teacher import Teacher
from dualgan_jax.training import image_batches, parallel
from dualgan_jax.training.image_batches import RealImages
from dualgan_jax.training.phase import Phase, first_state, train_step

# (origin, teachers, label_map, key, batch_size, augmentation) -> this device's
# share of a batch: images, and the teachers' logits on Y_cst for them
DrawFn = Callable[..., tuple[chex.Array, chex.Array]]
# (logits, targets, temperature=) -> scalar
DistillationLoss = Callable[..., chex.Array]


@struct.dataclass
class DistillationInputs:
  """Arrays that the step reads and never updates.

  Attributes:
    teachers: the relevant ones, which answer some label of Y_cst; stacked where
      steps draw some of them (`method.teacher_draws`).
    origin: a draw function draws images from it.
  """

  teachers: tuple[Teacher, ...] | Teacher
  origin: Any


def phase(
  name: str,
  apply: Callable[..., tuple[chex.Array, Any]],
  first_variables: Callable[[chex.PRNGKey], Any],
  draw: DrawFn,
  label_map: LabelMap,
  make_inputs: Callable[[], DistillationInputs],
  augmentation: Augmentation,
  *,
  temperature: float,
  steps: int,
  batch_size: int,
  optimiser: optax.GradientTransformation,
  distillation_loss: DistillationLoss = losses.distillation,
  teachers_per_step: int = 0,
) -> Phase:
  """Trains a net under a distillation loss.

  Args:
    name: the phase's.
    apply: `(variables, images, train=) -> (logits [N, |Y_cst|], variables)`.
    first_variables: `key -> variables` to start from.
    draw: `draw_generated`, `draw_stored`, `draw_noise` or `draw_real`.
    label_map: the teachers in the same order.
    make_inputs: gives teachers and the origin that `draw` takes.
    augmentation: of the images, before teachers and net see them.
    temperature: of the loss.
    steps: training steps.
    batch_size: images per step.
    optimiser: of the net's parameters.
    distillation_loss: `losses.distillation`, or another of its form.
    teachers_per_step: number of teachers that a step draws on each device, but
      not for `draw_stored`; 0 for all of them.
  """
  draws = TeacherDraws(label_map, teachers_per_step)

  def init(key):
    return first_state(key, *split(first_variables(key)), optimiser)

  def step(frozen, state):
    drawn = draws.draw(frozen.teachers, state.key, state.step)

    def loss_fn(params, batch_stats, key):
      images, targets = draw(
        _restrict_origin(frozen.origin, drawn),
        drawn.teachers,
        drawn.label_map,
        key,
        batch_size,
        augmentation,
      )
      logits, variables = apply(join(params, batch_stats), images, train=True)
      logits = drawn.select_columns(logits)
      loss = distillation_loss(logits, targets, temperature=temperature)
      # The loss of a perfect student is not 0; this share is 1.
      metrics = {'agreement': agreement(logits, targets)}
      return loss, (split(variables)[1], metrics)

    return train_step(loss_fn, optimiser, state)

  def make_frozen():
    inputs = make_inputs()
    return inputs.replace(teachers=draws.arrange(inputs.teachers))

  return Phase(name, steps, init, step, make_frozen)


def agreement(logits: chex.Array, other_logits: chex.Array) -> chex.Array:
  """Computes the share of images whose most probable label is the same.

  If there is one label only, the share on which both say alike whether it is
  there.

  Args:
    logits: of one net, [N, L].
    other_logits: of another, [N, L]; not probabilities, since those of sure
      answers are equal.

  Returns:
    A scalar.
  """
  # The argmax of one label is always the same.
  if logits.shape[-1] == 1:
    return jnp.mean((logits > 0) == (other_logits > 0))
  return jnp.mean(jnp.argmax(logits, -1) == jnp.argmax(other_logits, -1))


def draw_generated(
  generator: FrozenGenerator,
  teachers: Sequence[Teacher],
  label_map: LabelMap,
  key: chex.PRNGKey,
  batch_size: int,
  augmentation: Augmentation,
) -> tuple[chex.Array, chex.Array]:
  """Draws images I_g of fresh noise.

  Args:
    generator: the trained one.
    teachers: M of them.
    label_map: the teachers in the same order.
    key: the step's.
    batch_size: images in the whole batch.
    augmentation: of the images.

  Returns:
    Images [share, h, w, c], and the teachers' logits [share, |Y_cst|].
  """
  images = generator.features(key, batch_size)[-1]
  # Without routing there is one kind of image.
  images = augment_batch(
    images,
    _augmentation_key(key),
    batch_size,
    augmentation,
    jnp.asarray(
      routing.answer_mask(len(images), max(1, len(generator.routed_teachers)))
    ),
  )
  return images, generator.ensemble_logits(teachers, images, label_map)


@struct.dataclass
class StoredImages:
  """Generated images that were stored.

  Attributes:
    images: uint8 [n, h, w, c]; if the generator is routed, image i belongs to
      teacher i mod M.
    generator: whose filters and routing the images are of.
  """

  images: chex.Array
  generator: FrozenGenerator


def draw_stored(
  origin: StoredImages,
  teachers: Sequence[Teacher],
  label_map: LabelMap,
  key: chex.PRNGKey,
  batch_size: int,
  augmentation: Augmentation,
) -> tuple[chex.Array, chex.Array]:
  """Draws generated images that were stored.

  Args:
    origin: the images.
    teachers: M of them, all that the generator was trained with.
    label_map: the teachers in the same order.
    key: the step's.
    batch_size: images in the whole batch.
    augmentation: of the images.

  Returns:
    Images [share, h, w, c], and the teachers' logits [share, |Y_cst|].
  """
  images = draw_augmented(
    origin.images,
    len(origin.images),
    key,
    batch_size,
    augmentation,
    len(teachers) if origin.generator.routed_teachers else 1,
  )
  return images, origin.generator.ensemble_logits(teachers, images, label_map)


def draw_noise(
  example_image: chex.Array,
  teachers: Sequence[Teacher],
  label_map: LabelMap,
  key: chex.PRNGKey,
  batch_size: int,
  augmentation: Augmentation,
) -> tuple[chex.Array, chex.Array]:
  """Draws images whose pixels are independent and uniform in [0, 1].

  Args:
    example_image: an array of an image's shape.
    teachers: M of them, who all answer.
    label_map: the teachers in the same order.
    key: the step's.
    batch_size: images in the whole batch.
    augmentation: of the images.

  Returns:
    Images [share, h, w, c], and the teachers' logits [share, |Y_cst|].
  """
  # One key per sample: the batch is the same on any number of devices.
  sample_keys = parallel.sample_keys(key, batch_size)
  images = jax.vmap(
    lambda sample_key: jax.random.uniform(sample_key, example_image.shape)
  )(sample_keys)
  images = augment_batch(
    images,
    _augmentation_key(key),
    batch_size,
    augmentation,
    jnp.ones((len(images), 1), bool),
  )
  # Noise has no filters before it, and belongs to no teacher.
  owners = label_map.owners(label_map.customised)
  logits = discriminators.ensemble_logits(
    teachers, [images] * len(teachers), owners, routed=False
  )
  return images, logits


@struct.dataclass
class RealImageSets:
  """Real images; only for the baseline that uses data.

  Attributes:
    sets: their targets are the answer masks, bool [n, M].
    size: (height, width) to bring them to.
  """

  sets: tuple[RealImages, ...]
  size: tuple[int, int] = struct.field(pytree_node=False)


def draw_real(
  origin: RealImageSets,
  teachers: Sequence[Teacher],
  label_map: LabelMap,
  key: chex.PRNGKey,
  batch_size: int,
  augmentation: Augmentation,
) -> tuple[chex.Array, chex.Array]:
  """Draws real images; only teachers that the answer mask marks answer each.

  Args:
    origin: the sets to draw from.
    teachers: M of them.
    label_map: the teachers in the same order.
    key: the step's.
    batch_size: images in the whole batch.
    augmentation: of the images.

  Returns:
    Images [share, h, w, c], and the teachers' logits [share, |Y_cst|].
  """
  images, answer_mask = image_batches.draw_batch(
    origin.sets, key, batch_size, origin.size
  )
  images = augment_batch(
    images, _augmentation_key(key), batch_size, augmentation, answer_mask
  )
  teacher_logits = [
    forward.tail(teacher, teacher.variables, images, 0) for teacher in teachers
  ]
  # A label that no teacher of this image answers counts as absent.
  owners = label_map.owners(label_map.customised)
  return images, discriminators.combine_logits(
    teacher_logits, owners, answer_mask
  )


def _restrict_origin(origin: Any, drawn: DrawnTeachers) -> Any:
  """Restricts what an origin says of all teachers to those of one step."""
  if drawn.numbers is None:
    return origin
  if isinstance(origin, FrozenGenerator):
    return dataclasses.replace(
      origin, filters=drawn.select_filters(origin.filters)
    )
  if isinstance(origin, RealImageSets):
    sets = tuple(
      dataclasses.replace(
        image_set, targets=image_set.targets[:, drawn.numbers]
      )
      for image_set in origin.sets
    )
    return dataclasses.replace(origin, sets=sets)
  return origin


def _augmentation_key(key: chex.PRNGKey) -> chex.PRNGKey:
  """Makes a key of its own for what changes a batch that `key` has drawn."""
  return jax.random.fold_in(key, 1)
