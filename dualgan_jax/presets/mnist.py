"""Two teachers of MNIST, 0-4 and 5-9.

    dualgan train --config=mnist --workdir=runs/mnist \\
        [--config.data.mnist.path=DIR] [--config.seed=N]

18 to 20 minutes without data, on one shared core of an Intel Xeon, no GPU.
Top-1, seeds 0, 1 and 2: teachers together 0.993 ± 0.000, compact TargetNet
0.989 ± 0.000, branched 0.990 ± 0.000.
Variants, and how the values were chosen: experiments/notes/mnist.md
"""

import functools

import ml_collections

from dualgan_jax.config import builders, objectives

DIGITS = tuple('0123456789')


def get_config(variants: str = '') -> ml_collections.ConfigDict:
  """Returns the config.

  Args:
    variants: separated by commas: own, plain, may_be_empty, dafl, paper.
  """
  config = builders.get_config()
  config.experiment = 'mnist'
  config.image_shape = (32, 32, 1)
  config.labels = DIGITS  # Y_cst
  config.data = {'mnist': builders.data_set('ylecun/mnist', shift=2)}
  strides = (2, 2, 2)
  config.teachers = {
    'low': builders.teacher(
      DIGITS[:5], 'mnist', builders.conv((32, 64, 128), strides)
    ),
    'high': builders.teacher(
      DIGITS[5:], 'mnist', builders.conv((32, 64, 128), strides)
    ),
  }
  config.student = builders.conv((16, 24, 56), strides)
  config.pretrain.steps = 2400
  config.augmentation.shift = 2
  config.augmentation.mixup = 0.5
  return builders.apply_variants(config, variants, VARIANTS)


def _own(config: ml_collections.ConfigDict) -> None:
  config.experiment = 'mnist_own'
  config.pretrain.teacher_data = 'own'


def _plain(config: ml_collections.ConfigDict) -> None:
  """Teachers without batch norm: the prior matches normalised images only."""
  config.experiment = 'mnist_plain'
  for teacher in config.teachers.values():
    teacher.batch_norm = False
    # Of MNIST's training images, as they are usually normalised with.
    teacher.mean, teacher.std = (0.1307,), (0.3081,)


def _may_be_empty(config: ml_collections.ConfigDict) -> None:
  """Takes pseudo labels as Eq. 5 has them, of which there may be none."""
  config.objective.name = 'may_be_empty'
  config.objective.never_empty = False


VARIANTS = {
  'own': _own,
  'plain': _plain,
  'may_be_empty': _may_be_empty,
  'dafl': functools.partial(objectives.use_dafl, mean=(0.13,), std=(0.31,)),
  'paper': objectives.use_paper,
}
