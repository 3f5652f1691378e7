"""Draws images from a trained generator, to look at and to compare answers."""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np

from dualgan_jax.experiment.context import RunContext
from dualgan_jax.method import discriminators, routing
from dualgan_jax.method.frozen_generator import FrozenGenerator
from dualgan_jax.teachers.teacher import Teacher

# Images drawn for the pictures, and for the agreement with the teachers.
NUM_SAMPLES = 512


def draw(
  context: RunContext,
  all_teachers: Sequence[Teacher],
  generator: FrozenGenerator,
  labels: tuple[str, ...],
) -> tuple[np.ndarray, np.ndarray]:
  """Draws generated images, and the teachers' logits of some labels.

  If routed, each image belongs to a teacher that answers one of the labels: an
  image of another teacher would show none of them.

  Args:
    context: context of the run.
    all_teachers: all teachers, in the config's order.
    generator: the trained generator.
    labels: the labels that logits are returned of.

  Returns:
    Images [N, height, width, channels] in [0, 1], and logits [N, |labels|].
  """
  label_map = dataclasses.replace(context.nets.label_map, customised=labels)
  relevant_teachers = tuple(
    all_teachers[index] for index in label_map.relevant_teachers
  )
  label_columns = label_map.restrict_to_relevant().owners(labels)
  # Every teacher gets as many images.
  num_images = NUM_SAMPLES - NUM_SAMPLES % len(relevant_teachers)

  @jax.jit
  def draw_images(generator, relevant_teachers, key):
    latents = routing.condition_latents(
      jax.random.normal(key, (num_images, generator.latent_dim)),
      label_map.relevant_teachers if generator.routed_teachers else (),
      generator.num_teachers,
    )
    images = generator.module.apply(generator.variables, latents, train=False)[
      -1
    ]
    filtered_images = [
      generator.filtered_image(teacher, images) for teacher in relevant_teachers
    ]
    return images, discriminators.ensemble_logits(
      relevant_teachers,
      filtered_images,
      label_columns,
      routed=generator.foreign_labels_absent,
    )

  images, logits = draw_images(
    generator, relevant_teachers, context.key('samples')
  )
  return np.asarray(images), np.asarray(logits)
