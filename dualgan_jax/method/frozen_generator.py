"""The trained generator, frozen, with its filters; and its latents z."""

from collections.abc import Sequence
from typing import Any

import chex
import jax
from flax import struct

from dualgan_jax.method import discriminators, routing
from dualgan_jax.method.labels import LabelMap
from dualgan_jax.networks.generator import Generator
from dualgan_jax.teachers.teacher import Teacher
from dualgan_jax.training import parallel


@struct.dataclass
class FrozenGenerator:
  """The trained generator with what stands around it, frozen.

  Attributes:
    module: the Linen generator.
    latent_dim: size of z's random part.
    routed_teachers: of a routed generator, the numbers of the teachers whose
      images it is to make, in the order of `label_map`; else empty.
    num_teachers: how many a routed generator was trained with.
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

  def features(self, key: chex.PRNGKey, batch: int) -> tuple[chex.Array, ...]:
    """Generates F_g^1 .. F_g^B of this device's share of `batch` samples."""
    z = draw_latents(
      key, batch, self.latent_dim, self.routed_teachers, self.num_teachers
    )
    return self.module.apply(self.variables, z, train=False)

  def filtered_image(self, teacher: Teacher, image: chex.Array) -> chex.Array:
    """Filters I_g, [N, h, w, c], for a teacher that has a filter f_m^B."""
    return discriminators.filter_image(self.filters[teacher.name], image)

  def ensemble_logits(
    self,
    teachers: Sequence[Teacher],
    image: chex.Array,
    label_map: LabelMap,
  ) -> chex.Array:
    """Puts the teachers' answers to I_g on Y_cst together.

    Args:
      teachers: M of them.
      image: I_g, [N, h, w, c], not filtered.
      label_map: the teachers in the same order.

    Returns:
      Logits, [N, |Y_cst|].
    """
    return discriminators.ensemble_logits(
      teachers,
      [self.filtered_image(t, image) for t in teachers],
      label_map.owners(label_map.customised),
      routed=self.foreign_labels_absent,
    )


def draw_latents(
  key: chex.PRNGKey,
  batch: int,
  latent_dim: int,
  routed_teachers: Sequence[int] = (),
  num_teachers: int = 0,
) -> chex.Array:
  """Draws this device's share of `batch` standard normal latents z.

  Args:
    key: the step's.
    batch: size of the whole batch.
    latent_dim: size of the random part.
    routed_teachers: to whom samples belong in turn; none if not routed.
    num_teachers: how many the generator was trained with.

  Returns:
    [share, latent_dim], or [share, latent_dim + num_teachers] if routed: a
    one-hot of the sample's teacher is joined.
  """
  keys = parallel.sample_keys(key, batch)
  z = jax.vmap(lambda k: jax.random.normal(k, (latent_dim,)))(keys)
  return routing.condition_latents(z, routed_teachers, num_teachers)
