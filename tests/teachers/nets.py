"""Teachers of every kind, for the tests of this room."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from dualgan_jax.networks import classifier
from dualgan_jax.teachers.teacher import Teacher, from_classifier

KEY = jax.random.PRNGKey(0)
IMAGE = (7, 8, 1)


def by_hand():
  """Two blocks and a head that are nothing but functions of an array."""
  blocks = (
    lambda factor, x: factor * x[:, ::2, ::2],
    lambda shift, x: jnp.concatenate([x, x + shift], axis=-1),
  )

  def head(weights, x):
    return jnp.mean(x, axis=(1, 2)) @ weights

  variables = (jnp.array(2.0), jnp.array(1.0), jnp.array([[1.0], [10.0]]))
  return Teacher('hand', ('only',), blocks, head, variables)


class Foreign(nn.Module):
  """A block as other code has it: no `train`, a batch norm deep inside."""

  @nn.compact
  def __call__(self, x):
    x = nn.Conv(3, (2, 2))(x)
    inner = nn.Sequential([nn.gelu, nn.BatchNorm(use_running_average=True)])
    return nn.max_pool(inner(x), (2, 2), (2, 2))


def foreign():
  block, head = Foreign(), nn.Dense(2)
  x, first = block.init_with_output(KEY, jnp.zeros((1, *IMAGE)))
  x, second = block.init_with_output(KEY, x)
  last = head.init(KEY, x.reshape(1, -1))
  return Teacher(
    'foreign',
    ('a', 'b'),
    (block.apply, block.apply),
    lambda variables, x: head.apply(variables, x.reshape(len(x), -1)),
    (first, second, last),
  )


def net(strides=(2, 1), *, batch_norm=True):
  return classifier.create(
    kind='conv',
    widths=(2,) * len(strides),
    depths=(1,) * len(strides),
    strides=strides,
    num_labels=2,
    batch_norm=batch_norm,
  )


def abstract(strides=(2, 1), **options):
  """A teacher of shapes only."""
  small = net(strides, **options)
  variables = jax.eval_shape(lambda: small.init(KEY, IMAGE))
  return from_classifier('shapes', ('a', 'b'), small, variables)


def features(teacher, x):
  for block, block_variables in zip(
    teacher.blocks, teacher.variables[:-1], strict=True
  ):
    x = block(block_variables, x)
    yield x


def answers(teacher, x):
  for block, block_variables in zip(
    teacher.blocks, teacher.variables[:-1], strict=True
  ):
    x = block(block_variables, x)
  return teacher.head(teacher.variables[-1], x)
