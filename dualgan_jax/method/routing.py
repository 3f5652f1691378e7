"""Conditioned routing: each generated image belongs to one teacher's world.

For teachers that were trained on different data: one batch of images cannot
match two sets of statistics, and a teacher also fires on what it has never
seen. So sample i of a batch belongs to teacher i mod M, the generator is told
which, only that teacher judges the image, and what it does not answer counts as
absent. That a label is absent from other teachers' images is an assumption
about the user's labels.

Rows here are one device's share of a batch; M divides it, so that each device
has the same rows of every teacher.
"""

from collections.abc import Sequence

import chex
import jax.numpy as jnp
import numpy as np


def condition_latents(
  z: chex.Array, routed_teachers: Sequence[int], num_teachers: int
) -> chex.Array:
  """Joins to each z a one-hot of the teacher to whom its image is to belong.

  Args:
    z: [N, d].
    routed_teachers: numbers of the teachers whose images are wanted, in turn;
      none if not routed.
    num_teachers: M, how many the generator was trained with.

  Returns:
    [N, d + M], or z itself if not routed.
  """
  if not routed_teachers:
    return z
  turn = np.asarray(routed_teachers)[np.arange(len(z)) % len(routed_teachers)]
  one_hot = np.eye(num_teachers, dtype=np.float32)[turn]
  return jnp.concatenate([z, one_hot], axis=-1)


def answer_mask(num_rows: int, num_teachers: int) -> np.ndarray:
  """Marks whose answer to each row counts, bool [num_rows, num_teachers]."""
  turn = np.arange(num_rows) % num_teachers
  return np.eye(num_teachers, dtype=bool)[turn]


def teacher_rows(x: chex.Array, teacher: int, num_teachers: int) -> chex.Array:
  """Takes one teacher's rows out of x, [N, ...]: [N / num_teachers, ...]."""
  return x[teacher::num_teachers]


def scatter_rows(x: chex.Array, teacher: int, num_teachers: int) -> chex.Array:
  """Puts one teacher's rows back in their places, with 0 in all others.

  Args:
    x: of `teacher_rows`, [n, ...].
    teacher: its number.
    num_teachers: M.

  Returns:
    [n · M, ...], of the type of x.
  """
  rows = jnp.zeros((x.shape[0] * num_teachers, *x.shape[1:]), x.dtype)
  return rows.at[teacher::num_teachers].set(x)
