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


def told(z: chex.Array, routes: Sequence[int], teachers: int) -> chex.Array:
  """z, joined by a one-hot of the teacher whose image each row is to be.

  Args:
    z: [rows, size].
    routes: the teachers whose images are asked for, in turn; none if not
      routed.
    teachers: all that the generator knows.

  Returns:
    [rows, size + teachers], or z without routes.
  """
  if not routes:
    return z
  turn = np.asarray(routes)[np.arange(len(z)) % len(routes)]
  one_hot = np.eye(teachers, dtype=np.float32)[turn]
  return jnp.concatenate([z, one_hot], axis=-1)


def believed(rows: int, teachers: int) -> np.ndarray:
  """Whose answer to each row counts, bool [rows, teachers]."""
  return np.eye(teachers, dtype=bool)[np.arange(rows) % teachers]


def own_rows(x: chex.Array, teacher: int, teachers: int) -> chex.Array:
  """One teacher's rows, [rows / teachers, ...]."""
  return x[teacher::teachers]


def spread(x: chex.Array, teacher: int, teachers: int) -> chex.Array:
  """Puts one teacher's rows back in their places, 0 in all others."""
  rows = jnp.zeros((x.shape[0] * teachers, *x.shape[1:]), x.dtype)
  return rows.at[teacher::teachers].set(x)
