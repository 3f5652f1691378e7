"""Conditioned routing: each generated image belongs to one teacher's domain.

For teachers that were trained on different data: one batch of images cannot
match two sets of statistics, and a teacher also fires on images unlike all that
it was trained on. So sample i of a batch belongs to teacher i mod M. The
generator gets the teacher's number as a condition, only that teacher judges the
image, and labels that it does not answer count as absent. That a label is
absent from other teachers' images is an assumption about the user's labels.

Rows here are one device's share of a batch; M divides it, so that each device
has the same rows of every teacher.
"""

from collections.abc import Sequence

import chex
import jax.numpy as jnp
import numpy as np


def condition_latents(
  latents: chex.Array, routed_teachers: Sequence[int], num_teachers: int
) -> chex.Array:
  """Joins to each z a one-hot of the teacher to which its image will belong.

  Args:
    latents: z, [N, d].
    routed_teachers: numbers of the teachers to make images for, in turn; none
      if not routed.
    num_teachers: M, the number that the generator was trained with.

  Returns:
    [N, d + M], or the latents themselves if not routed.
  """
  if not routed_teachers:
    return latents
  # In turn, so that each device has the same share of every teacher.
  row_turns = np.arange(len(latents)) % len(routed_teachers)
  row_teachers = np.asarray(routed_teachers)[row_turns]
  # As wide as in training, even if some teachers get no images now.
  one_hot = np.eye(num_teachers, dtype=np.float32)[row_teachers]
  return jnp.concatenate([latents, one_hot], axis=-1)


def answer_mask(num_rows: int, num_teachers: int) -> np.ndarray:
  """Marks the teacher whose answer to each row counts.

  Args:
    num_rows: N.
    num_teachers: M.

  Returns:
    bool [N, M], one True per row.
  """
  row_teachers = np.arange(num_rows) % num_teachers
  return np.eye(num_teachers, dtype=bool)[row_teachers]


def teacher_rows(
  rows: chex.Array, teacher: int, num_teachers: int
) -> chex.Array:
  """Selects one teacher's rows.

  Args:
    rows: of all teachers, [N, ...].
    teacher: its number, from 0.
    num_teachers: M.

  Returns:
    [N / M, ...].
  """
  return rows[teacher::num_teachers]


def scatter_rows(
  selected_rows: chex.Array, teacher: int, num_teachers: int
) -> chex.Array:
  """Puts one teacher's rows back in their places, with 0 in all others.

  Args:
    selected_rows: of `teacher_rows`, [n, ...].
    teacher: its number, from 0.
    num_teachers: M.

  Returns:
    [n · M, ...], of the same type.
  """
  num_rows = selected_rows.shape[0] * num_teachers
  rows = jnp.zeros((num_rows, *selected_rows.shape[1:]), selected_rows.dtype)
  return rows.at[teacher::num_teachers].set(selected_rows)
