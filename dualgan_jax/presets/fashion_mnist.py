"""Two teachers of Fashion-MNIST, five of the ten articles each.

    dualgan train --config=fashion_mnist --workdir=runs/fashion_mnist \\
        [--config.data.fashion_mnist.path=DIR]

25 minutes without data, on both cores of an AMD EPYC, no GPU.
Top-1, seeds 0, 1 and 2: teachers together 0.918 ± 0.001, compact TargetNet
0.898 ± 0.001, branched 0.847 ± 0.006.
Variants, and how the values were chosen: experiments/notes/fashion_mnist.md
"""

import functools

import ml_collections

from dualgan_jax.config import builders, objectives

ARTICLES = (
  'T - shirt / top',
  'Trouser',
  'Pullover',
  'Dress',
  'Coat',
  'Sandal',
  'Shirt',
  'Sneaker',
  'Bag',
  'Ankle boot',
)


def get_config(variants: str = '') -> ml_collections.ConfigDict:
  """Returns the config.

  Args:
    variants: dafl or paper, or nothing.
  """
  config = builders.get_config()
  config.experiment = 'fashion_mnist'
  config.image_shape = (32, 32, 1)
  config.labels = ARTICLES  # Y_cst
  config.data = {
    'fashion_mnist': builders.data_set(
      'zalando-datasets/fashion_mnist', shift=2, flip=True
    )
  }
  strides = (2, 2, 2)
  config.teachers = {
    'first': builders.teacher(
      ARTICLES[:5], 'fashion_mnist', builders.conv((32, 64, 128), strides)
    ),
    'second': builders.teacher(
      ARTICLES[5:], 'fashion_mnist', builders.conv((32, 64, 128), strides)
    ),
  }
  config.student = builders.conv((24, 48, 96), strides)
  config.pretrain.steps = 6000
  config.dual.steps = 150
  config.refine.steps = 2800
  config.refine.replay_steps = 4
  config.augmentation.shift = 2
  config.augmentation.flip = True
  config.augmentation.mixup = 0.5
  return builders.apply_variants(config, variants, VARIANTS)


VARIANTS = {
  'dafl': functools.partial(objectives.use_dafl, mean=(0.29,), std=(0.35,)),
  'paper': objectives.use_paper,
}
