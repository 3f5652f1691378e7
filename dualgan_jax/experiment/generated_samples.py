"""Draws generated images of finished generators, and the teachers' answers."""

import dataclasses
from collections.abc import Sequence

import chex
import jax
import jax.numpy as jnp
import numpy as np

from dualgan_jax.config.fields import Experiment
from dualgan_jax.experiment.context import RunContext
from dualgan_jax.experiment.outcomes import Students, TrainedGenerator
from dualgan_jax.losses import Moments
from dualgan_jax.method import discriminators, routing
from dualgan_jax.method.frozen_generator import FrozenGenerator
from dualgan_jax.method.labels import LabelMap
from dualgan_jax.method.teacher_draws import answer_all
from dualgan_jax.teachers import forward
from dualgan_jax.teachers.stack import stack_teachers
from dualgan_jax.teachers.teacher import Teacher

# Images drawn for the pictures, and to compare student and teachers.
NUM_SAMPLES = 512


def list_seen_generators(
  config: Experiment, trained: TrainedGenerator, students: Students
) -> list[FrozenGenerator]:
  """Lists the states of the generator whose images the student learned from.

  Args:
    config: the run's.
    trained: outcome of `generator`.
    students: outcome of `refine`.
  """
  if students.generator is None:
    return [trained.frozen]
  # Refinement may begin with a generator that has learned nothing.
  states = [trained.frozen] if config.generator.steps else []
  return [*states, students.generator]


def draw_samples(
  context: RunContext,
  all_teachers: Sequence[Teacher],
  generators: Sequence[FrozenGenerator],
  labels: tuple[str, ...],
) -> tuple[np.ndarray, np.ndarray]:
  """Draws generated images, and the teachers' logits of some labels.

  If routed, each image belongs to a teacher that answers one of the labels: an
  image of another teacher would show none of them.

  Args:
    context: context of the run.
    all_teachers: all teachers, in the config's order.
    generators: one or more states of the trained generator, which take turns.
    labels: the labels that logits are returned of.

  Returns:
    Images [N, height, width, channels] in [0, 1], and logits [N, |labels|].
  """
  label_map = dataclasses.replace(context.nets.label_map, customised=labels)
  relevant_teachers = tuple(
    all_teachers[index] for index in label_map.relevant_teachers
  )
  relevant_labels = label_map.restrict_to_relevant()
  # Unless they are drawn, every teacher gets as many images.
  are_drawn = bool(context.config.teachers_per_step)
  num_images = NUM_SAMPLES - (
    0 if are_drawn else NUM_SAMPLES % len(relevant_teachers)
  )

  # A turn has an image for each teacher, so that all get images of each state.
  turns = np.arange(num_images) // len(relevant_teachers) % len(generators)

  @jax.jit
  def draw(generators, relevant_teachers, key):
    generator = generators[0]
    latents = routing.condition_latents(
      jax.random.normal(key, (num_images, generator.latent_dim)),
      label_map.relevant_teachers if generator.routed_teachers else (),
      generator.num_teachers,
    )
    images = jnp.stack(
      [
        state.module.apply(state.variables, latents, train=False)[-1]
        for state in generators
      ]
    )[turns, np.arange(num_images)]
    return images, _ask_all(
      generator, relevant_teachers, images, relevant_labels
    )

  images, logits = draw(
    tuple(generators),
    stack_teachers(relevant_teachers) if are_drawn else relevant_teachers,
    context.key('samples'),
  )
  return np.asarray(images), np.asarray(logits)


def blend_pairs(
  context: RunContext,
  relevant_teachers: Sequence[Teacher],
  generator: FrozenGenerator,
  images: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
  """Blends images in pairs, and asks the teachers about the blends.

  A student that knows its images by heart answers them as its teachers do, and
  blends otherwise.

  Args:
    context: context of the run.
    relevant_teachers: those that answer a label of the student.
    generator: the trained generator.
    images: of `draw_samples`. If routed, both images of a blend belong to the
      same teacher.

  Returns:
    Means of two images, [N, height, width, channels] in [0, 1], and the
    teachers' logits of the student's labels, [N, |Y_cst|].
  """
  distance = len(relevant_teachers) if generator.routed_teachers else 1
  blends = (images + np.roll(images, distance, axis=0)) / 2
  logits = jax.jit(_ask_all, static_argnums=3)(
    generator,
    stack_teachers(relevant_teachers)
    if context.config.teachers_per_step
    else tuple(relevant_teachers),
    blends,
    context.nets.label_map.restrict_to_relevant(),
  )
  return blends, np.asarray(logits)


def _ask_all(
  generator: FrozenGenerator,
  relevant_teachers: tuple[Teacher, ...] | Teacher,
  images: chex.Array,
  relevant_labels: LabelMap,
) -> chex.Array:
  """Combines the answers of all relevant teachers, a tuple or a stack."""
  if not isinstance(relevant_teachers, Teacher):
    return generator.ensemble_logits(relevant_teachers, images, relevant_labels)
  answers = answer_all(relevant_teachers, generator.filters, images)
  label_columns = relevant_labels.owners(relevant_labels.customised)
  return discriminators.combine_logits([answers], label_columns)


def owner_logits(
  context: RunContext,
  relevant_teachers: Sequence[Teacher],
  generator: FrozenGenerator,
  images: np.ndarray,
) -> np.ndarray | None:
  """Computes what each teacher says of the student's labels that it answers.

  Args:
    context: context of the run.
    relevant_teachers: those that answer a label of the student.
    generator: the trained generator.
    images: of `draw_samples`.

  Returns:
    Logits [N, L, K], K the most teachers that answer one of the L labels, NaN
    for labels of fewer; None if no label is shared, or if only one teacher
    answers for each image.
  """
  label_map = context.nets.label_map.restrict_to_relevant()
  label_columns = label_map.owners(label_map.customised)
  if label_columns.shape[1] == 1 or generator.foreign_labels_absent:
    return None
  are_drawn = bool(context.config.teachers_per_step)

  @jax.jit
  def answer(generator, relevant_teachers, images):
    if are_drawn:
      answers = answer_all(relevant_teachers, generator.filters, images)
      return answers[:, label_columns]
    return jnp.concatenate(
      [
        forward.tail(
          teacher,
          teacher.variables,
          generator.filtered_image(teacher, images),
          0,
        )
        for teacher in relevant_teachers
      ],
      axis=-1,
    )[:, label_columns]

  if are_drawn:
    relevant_teachers = stack_teachers(relevant_teachers)
  answers = np.asarray(answer(generator, relevant_teachers, images))
  return np.where(label_columns >= 0, answers, np.nan)


def statistics_moments(
  context: RunContext,
  relevant_teachers: Sequence[Teacher],
  generator: FrozenGenerator,
  images: np.ndarray,
) -> list[list[Moments]]:
  """Measures the statistics of generated images inside the teachers.

  Args:
    context: context of the run.
    relevant_teachers: those that answer a label of the student.
    generator: the trained generator.
    images: of `draw_samples`.

  Returns:
    By teacher of the student's labels, one entry per batch-norm layer or named
    tensor: of all images or, if routed, of the teacher's own.
  """
  num_teachers = len(relevant_teachers)

  def measure(teacher, filters, images):
    filtered_images = discriminators.filter_image(filters, images)
    return forward.ladder(teacher, filtered_images, {}).moments

  @jax.jit
  def measure_stack(stack, filters, images):
    return jax.lax.map(
      lambda teacher_and_filters: measure(*teacher_and_filters, images),
      (stack, filters),
    )

  @jax.jit
  def measure_each(relevant_teachers, filters, images):
    return [
      measure(
        teacher,
        filters[teacher.name],
        routing.teacher_rows(images, number, num_teachers)
        if generator.routed_teachers
        else images,
      )
      for number, teacher in enumerate(relevant_teachers)
    ]

  if context.config.teachers_per_step:
    layers = jax.device_get(
      measure_stack(
        stack_teachers(relevant_teachers), generator.filters, images
      )
    )
    return [
      jax.tree.map(lambda leaf, number=number: leaf[number], layers)
      for number in range(num_teachers)
    ]
  return jax.device_get(
    measure_each(relevant_teachers, generator.filters, images)
  )
