"""Three unlike teachers of Fashion-MNIST whose labels overlap; 7 are wanted.

    dualgan train --config=overlap --workdir=runs/overlap \\
        [--config.data.fashion_mnist.path=DIR]

29 to 31 minutes without data, on both cores of an AMD EPYC, no GPU.
Top-1, seeds 0, 1 and 2: teachers together 0.911 ± 0.003, compact TargetNet
0.896 ± 0.003, branched 0.841 ± 0.005.
Variants, and how the values were chosen: experiments/notes/overlap.md
"""

import functools

import ml_collections

from dualgan_jax.config import builders, objectives
from dualgan_jax.presets.fashion_mnist import ARTICLES


def get_config(variants: str = '') -> ml_collections.ConfigDict:
  """Returns the config.

  Args:
    variants: dafl or paper, or nothing.
  """
  config = builders.get_config()
  config.experiment = 'overlap'
  config.image_shape = (32, 32, 1)
  unwanted = ('Dress', 'Sneaker', 'Bag')
  config.labels = tuple(x for x in ARTICLES if x not in unwanted)  # Y_cst
  config.data = {
    'fashion_mnist': builders.data_set(
      'zalando-datasets/fashion_mnist', shift=2, flip=True
    )
  }
  strides = (2, 2, 2)
  tops = ('T - shirt / top', 'Pullover', 'Dress', 'Coat')
  config.teachers = {
    'tops': builders.teacher(
      (*tops, 'Shirt'), 'fashion_mnist', builders.conv((32, 64, 128), strides)
    ),
    'outdoors': builders.teacher(
      ('Coat', 'Trouser', 'Ankle boot', 'Bag'),
      'fashion_mnist',
      builders.conv((24, 48, 96), strides, depths=(1, 2, 2)),
    ),
    'summer': builders.teacher(
      ('Sandal', 'Sneaker', 'Shirt'),
      'fashion_mnist',
      builders.conv((24, 40, 80), strides, kind='residual'),
    ),
  }
  config.student = builders.conv((32, 64, 128), strides, depths=(1, 2, 2))
  config.pretrain.steps = 4000
  config.refine.steps = 1200
  config.refine.replay_steps = 8
  config.augmentation.shift = 2
  config.augmentation.flip = True
  config.augmentation.mixup = 0.5
  for part in ('generator', 'dual', 'targetnet', 'refine'):
    config[part].batch = 126  # three equal shares, should images be routed
  return builders.apply_variants(config, variants, VARIANTS)


VARIANTS = {
  'dafl': functools.partial(objectives.use_dafl, mean=(0.29,), std=(0.35,)),
  'paper': objectives.use_paper,
}
