"""Teachers of one net: told from others, and stacked into one tree of arrays.

A program that loops over a stack is compiled once, however many teachers there
are; one that lists them is compiled for each.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from dualgan_jax.teachers import forward
from dualgan_jax.teachers.teacher import Teacher


def stack_teachers(teachers: Sequence[Teacher]) -> Teacher:
  """Stacks the variables and statistics of teachers of one net.

  Args:
    teachers: M of them, for which `is_one_net` holds.

  Returns:
    The first teacher, with leaves [M, ...] of all of them.
  """
  first = teachers[0]
  trees = [(teacher.variables, teacher.statistics) for teacher in teachers]
  # On the host: M small copies on a device would take longer.
  variables, statistics = jax.tree.map(
    lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *trees
  )
  return dataclasses.replace(first, variables=variables, statistics=statistics)


def take_teacher(stack: Teacher, number: int | chex.Array) -> Teacher:
  """Takes one teacher out of a stack.

  Args:
    stack: of `stack_teachers`.
    number: of the teacher, from 0; may be traced.
  """
  return jax.tree.map(lambda leaf: jnp.asarray(leaf)[number], stack)


def is_one_net(
  teachers: Sequence[Teacher], image_shape: tuple[int, int, int]
) -> bool:
  """Returns whether teachers differ in names, labels and values only.

  Args:
    teachers: any, with variables or with shapes only.
    image_shape: (height, width, channels).
  """
  keys = [net_key(teacher) for teacher in teachers]
  if None not in keys and len({*keys}) == 1:
    return True
  # Functions of equal nets may be different objects: compare what they compute.
  first, *others = (_trace(teacher, image_shape) for teacher in teachers)
  return all(
    program == first[0]
    and len(constants) == len(first[1])
    and all(map(np.array_equal, constants, first[1]))
    for program, constants in others
  )


def group_by_net(teachers: Sequence[Teacher]) -> list[list[Teacher]]:
  """Groups teachers that are certainly of one net, by `net_key`.

  Args:
    teachers: any.

  Returns:
    Groups of one teacher or more, in the order of their first ones.
  """
  groups: dict[Any, list[Teacher]] = {}
  for number, teacher in enumerate(teachers):
    key = net_key(teacher)
    groups.setdefault(number if key is None else key, []).append(teacher)
  return list(groups.values())


def net_key(teacher: Teacher) -> Any:
  """Makes a key that is equal only for teachers of one net.

  Args:
    teacher: with variables or with shapes only.

  Returns:
    Functions, and the shapes of what they take; None if a function cannot be
    hashed.
  """
  leaves, structure = jax.tree.flatten((teacher.variables, teacher.statistics))
  shapes = tuple((jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves)
  key = (
    teacher.blocks,
    teacher.head,
    teacher.single_label,
    len(teacher.labels),
    structure,
    shapes,
  )
  try:
    hash(key)
  except TypeError:
    return None
  return key


def _trace(
  teacher: Teacher, image_shape: tuple[int, int, int]
) -> tuple[Any, Sequence[Any]]:
  """Traces a teacher: kind, structure and operations; constants."""
  traced = jax.make_jaxpr(
    lambda variables, images: forward.tail(teacher, variables, images, 0)
  )(teacher.variables, jax.ShapeDtypeStruct((1, *image_shape), jnp.float32))
  structure = jax.tree.structure((teacher.variables, teacher.statistics))
  # Shapes and types of the variables stand in the text.
  kind = teacher.single_label, len(teacher.labels)
  return (kind, structure, str(traced.jaxpr)), traced.consts
