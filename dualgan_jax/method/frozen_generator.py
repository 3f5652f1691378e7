"""The trained generator, frozen, with its filters and its latents z."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import chex
import jax
from flax import struct

from dualgan_jax.method import discriminators, routing
from dualgan_jax.method.labels import LabelMap
from dualgan_jax.method.teacher_draws import DrawnTeachers
from dualgan_jax.networks.generator import Generator
from dualgan_jax.teachers.teacher import Teacher
from dualgan_jax.training import parallel


@struct.dataclass
class FrozenGenerator:
  """The trained generator with its filters and its routing, frozen.

  Attributes:
    module: the Linen generator.
    latent_dim: size of z's random part.
    routed_teachers: of a routed generator, the numbers of the teachers whose
      images it makes, in the order of `label_map`; else empty.
    num_teachers: number of teachers that a routed generator was trained with.
    foreign_labels_absent: whether labels that an image's own teacher does not
      answer count as absent from it; else all teachers answer for every image.
    variables: of the generator; it runs with its running averages.
    filters: stage 1's, by teacher's name.
  """

  module: Generator = struct.field(pytree_node=False)
  latent_dim: int = struct.field(pytree_node=False)
  routed_teachers: tuple[int, ...] = struct.field(pytree_node=False, default=())
  num_teachers: int = struct.field(pytree_node=False, default=0)
  foreign_labels_absent: bool = struct.field(pytree_node=False, default=False)
  variables: Any = None
  filters: Any = None

  def features(
    self, key: chex.PRNGKey, batch_size: int
  ) -> tuple[chex.Array, ...]:
    """Generates features of all groups, Eq. 2, on this device.

    Args:
      key: the step's.
      batch_size: images in the whole batch.

    Returns:
      F_g^1 .. F_g^B, [share, h, w, c] each; the last is the image I_g.
    """
    latents = self.latents(key, batch_size)
    # With running averages: an image does not depend on its batch.
    return self.module.apply(self.variables, latents, train=False)

  def latents(self, key: chex.PRNGKey, batch_size: int) -> chex.Array:
    """Draws the generator's latents z on this device; see `draw_latents`.

    Args:
      key: the step's.
      batch_size: images in the whole batch.
    """
    return draw_latents(
      key, batch_size, self.latent_dim, self.routed_teachers, self.num_teachers
    )

  def filtered_image(self, teacher: Teacher, image: chex.Array) -> chex.Array:
    """Filters I_g, [N, h, w, c], for a teacher that has a filter f_m^B."""
    return discriminators.filter_image(self.filters[teacher.name], image)

  def ensemble_logits(
    self,
    teachers: Sequence[Teacher],
    image: chex.Array,
    label_map: LabelMap,
  ) -> chex.Array:
    """Combines the teachers' answers to I_g on Y_cst, Eq. 10.

    Args:
      teachers: M of them.
      image: I_g, [N, h, w, c], not filtered.
      label_map: the teachers in the same order.

    Returns:
      Logits, [N, |Y_cst|].
    """
    # Each teacher sees I_g behind its own f_m^B, as it did in stage 1.
    return discriminators.ensemble_logits(
      teachers,
      [self.filtered_image(teacher, image) for teacher in teachers],
      label_map.owners(label_map.customised),
      routed=self.foreign_labels_absent,
    )

  def drawn_logits(self, drawn: DrawnTeachers, image: chex.Array) -> chex.Array:
    """Combines the answers of one step's teachers to I_g, Eq. 10.

    Args:
      drawn: teachers, of those whose filters the generator has.
      image: I_g, [N, h, w, c], not filtered.

    Returns:
      Logits, [N, n], of the labels of Y_cst that these teachers answer.
    """
    generator = dataclasses.replace(
      self, filters=drawn.select_filters(self.filters)
    )
    return generator.ensemble_logits(drawn.teachers, image, drawn.label_map)


def draw_latents(
  key: chex.PRNGKey,
  batch_size: int,
  latent_dim: int,
  routed_teachers: Sequence[int] = (),
  num_teachers: int = 0,
) -> chex.Array:
  """Draws this device's share of `batch_size` standard normal latents z.

  Args:
    key: the step's.
    batch_size: images in the whole batch.
    latent_dim: size of the random part.
    routed_teachers: numbers of the teachers to which samples belong in turn;
      none if not routed.
    num_teachers: number of teachers that the generator was trained with.

  Returns:
    [share, latent_dim], or [share, latent_dim + num_teachers] if routed: a
    one-hot of the sample's teacher is joined.
  """
  # One key per sample: the batch is the same on any number of devices.
  sample_keys = parallel.sample_keys(key, batch_size)
  latents = jax.vmap(
    lambda sample_key: jax.random.normal(sample_key, (latent_dim,))
  )(sample_keys)
  return routing.condition_latents(latents, routed_teachers, num_teachers)
