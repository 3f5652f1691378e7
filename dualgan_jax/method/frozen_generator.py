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
    noise: size of z's random part.
    routes: of a routed generator, the numbers of the teachers whose images are
      asked for, in the order of `label_map`; else empty.
    teachers: how many a routed generator knows.
    absent: whether labels that an image's own teacher does not answer count as
      absent from it; else all teachers answer for every image.
    variables: of the generator; it runs with its running averages.
    filters: stage 1's, by teacher's name.
  """

  module: Generator = struct.field(pytree_node=False)
  noise: int = struct.field(pytree_node=False)
  routes: tuple[int, ...] = struct.field(pytree_node=False, default=())
  teachers: int = struct.field(pytree_node=False, default=0)
  absent: bool = struct.field(pytree_node=False, default=False)
  variables: Any = None
  filters: Any = None

  def features(self, key: chex.PRNGKey, batch: int) -> tuple[chex.Array, ...]:
    """F_g^1 .. F_g^B of this device's share of `batch` fresh samples."""
    z = draw_noise(key, batch, self.noise, self.routes, self.teachers)
    return self.module.apply(self.variables, z, train=False)

  def seen_by(self, teacher: Teacher, image: chex.Array) -> chex.Array:
    """The image as `teacher` is shown it: behind f_m^B, if there is one."""
    return discriminators.filter_image(self.filters[teacher.name], image)

  def told(
    self,
    teachers: Sequence[Teacher],
    image: chex.Array,
    label_map: LabelMap,
  ) -> chex.Array:
    """What the teachers together say of I_g on Y_cst, logits [N, |Y_cst|]."""
    return discriminators.told(
      teachers,
      [self.seen_by(t, image) for t in teachers],
      label_map.owners(label_map.customised),
      routed=self.absent,
    )


def draw_noise(
  key: chex.PRNGKey,
  batch: int,
  size: int,
  routes: Sequence[int] = (),
  teachers: int = 0,
) -> chex.Array:
  """This device's share of `batch` standard normal z.

  Args:
    key: the step's.
    batch: size of the whole batch.
    size: of the random part.
    routes: the teachers to whom samples belong in turn; none if not routed.
    teachers: how many the generator knows.

  Returns:
    [share, size], with a one-hot of the sample's teacher joined if routed.
  """
  keys = parallel.sample_keys(key, batch)
  z = jax.vmap(lambda k: jax.random.normal(k, (size,)))(keys)
  return routing.told(z, routes, teachers)
