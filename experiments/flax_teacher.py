"""An example of a teacher of your own: any Flax Linen model, cut into blocks.

Name the file in a config,

    config.teachers = {'mine': builders.module('experiments/flax_teacher.py')}

and put the variables beside it: here a safetensors file whose names are the
paths of the variables, 'block_1/params/Conv_0/kernel'. They could come from an
Orbax folder as well, or from anywhere else.
"""

import pathlib

import flax.linen as nn
from flax import traverse_util

from dualgan_jax import Preparation, Teacher, prepared
from dualgan_jax.teachers import weight_files

_VARIABLES_PATH = pathlib.Path(__file__).with_suffix('.safetensors')
LABELS = ('left', 'right', 'both')


class Stage(nn.Module):
  """A part of the model; as a teacher it is frozen, with running averages."""

  width: int

  @nn.compact
  def __call__(self, images):
    features = nn.Conv(self.width, (3, 3), strides=2)(images)
    return nn.gelu(nn.BatchNorm(use_running_average=True)(features))


class Head(nn.Module):
  """One logit per label."""

  @nn.compact
  def __call__(self, features):
    return nn.Dense(len(LABELS))(features.mean(axis=(1, 2)))


def get_teacher() -> Teacher:
  """Returns blocks, head, their variables, and how images are prepared."""
  modules = {'block_1': Stage(8), 'block_2': Stage(16), 'head': Head()}
  # A file of safetensors is flat: 'block_1/params/Conv_0/kernel'.
  variables = traverse_util.unflatten_dict(
    weight_files.read(_VARIABLES_PATH), sep='/'
  )
  *blocks, head = (module.apply for module in modules.values())
  teacher = Teacher(
    name='mine',
    labels=LABELS,
    blocks=tuple(blocks),
    head=head,
    variables=tuple(variables[name] for name in modules),
  )
  # Our images are 32 × 32 with values in [0, 1]; the model takes them centred.
  return prepared(
    teacher, Preparation(image_shape=(32, 32, 3), mean=(0.5,), std=(0.25,))
  )
