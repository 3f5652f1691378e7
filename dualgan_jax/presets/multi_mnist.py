"""Truly multi-label: two digits of MNIST in one image; teachers of 0-4 and 5-9.

    dualgan train --config=multi_mnist --workdir=runs/multi_mnist \\
        [--config.data.mnist.path=DIR]

29 or 30 minutes without data, on both cores of an AMD EPYC, no GPU.
mAP, seeds 0, 1 and 2: teachers together 0.972 ± 0.000, compact TargetNet
0.953 ± 0.001, branched 0.912 ± 0.005.
Variants, and how the values were chosen: experiments/notes/multi_mnist.md
"""

import functools

import ml_collections

from dualgan_jax.config import builders, objectives
from dualgan_jax.presets.mnist import DIGITS


def get_config(variants: str = '') -> ml_collections.ConfigDict:
  """Returns the config.

  Args:
    variants: dafl or paper, or nothing.
  """
  config = builders.get_config()
  config.experiment = 'multi_mnist'
  config.image_shape = (36, 36, 1)
  config.labels = DIGITS  # Y_cst
  config.data = {'mnist': builders.data_set('ylecun/mnist', overlay=4)}
  strides = (2, 2, 2)
  config.teachers = {
    name: builders.teacher(
      labels, 'mnist', builders.conv((32, 64, 128), strides, depths=(1, 2, 2))
    )
    for name, labels in (('low', DIGITS[:5]), ('high', DIGITS[5:]))
  }
  config.student = builders.conv((32, 64, 128), strides, depths=(1, 2, 2))
  config.pretrain.steps = 9000
  config.refine.steps = 720
  config.refine.replay_steps = 8
  config.augmentation.shift = 2
  config.augmentation.mixup = 0.5
  return builders.apply_variants(config, variants, VARIANTS)


VARIANTS = {
  'dafl': functools.partial(objectives.use_dafl, mean=(0.2,), std=(0.36,)),
  'paper': objectives.use_paper,
}
